"""What was predicted, without labels that are deleted by now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_salt.records import SlicePrediction

_Value = TypeVar("_Value")


def table_of(ids: Collection[int]) -> NDArray[np.uint16]:
    """(65536,), by predicted id: the id itself where it is one of ``ids``, else 0."""
    table = np.zeros(np.iinfo(np.uint16).max + 1, np.uint16)
    table[list(ids)] = list(ids)
    return table


def only_present(prediction: SlicePrediction, ids: Collection[int]) -> SlicePrediction:
    """A prediction in which labels are 0, and have no area, that are none of ``ids``."""
    summary = prediction.summary
    return replace(
        prediction,
        labels=table_of(ids)[prediction.labels],
        summary=replace(
            summary,
            areas=_of(summary.areas, ids),
            label_uncertainty=_of(summary.label_uncertainty, ids),
        ),
    )


def _of(values: Mapping[int, _Value], ids: Collection[int]) -> dict[int, _Value]:
    return {label_id: value for label_id, value in values.items() if label_id in ids}
