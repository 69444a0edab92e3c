"""From a label image on disk to annotated slices: ids, names, which slices, what 0 means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_salt.checked import name_key
from napari_salt.commands.parsing import listed
from napari_salt.errors import InputError
from napari_salt.io.read import LabelImage
from napari_salt.records import (
    BACKGROUND,
    BACKGROUND_NAME,
    UNLABELLED,
    AnnotatedSlice,
    Label,
)
from napari_salt.session.labels import LabelTable

FIRST_WIDE_ID = 256
"""Ids from here on need 16 bits; smaller masks are kept small where an id is ours to choose."""


@dataclass(frozen=True, eq=False)
class Paint:
    """What a label image says.

    ``labels`` are those that were named; ``renumbered`` maps an id of the file to the id that its
    label got, where these differ; ``missing`` are labels that no used slice carries.
    """

    annotated: tuple[AnnotatedSlice, ...]
    labels: tuple[Label, ...]
    renumbered: dict[int, int]
    missing: tuple[str, ...]


def read_paint(
    image: LabelImage,
    path: Path,
    names: Mapping[int, str],
    slices: tuple[int, ...] | None,
    *,
    complete: bool,
) -> Paint:
    """Annotated slices of a label image; one slice at a time is read.

    Parameters
    ----------
    names
        Name of each id in the file; an id named "background" is background.
    slices
        Which to use; None means all that carry a label.
    complete
        Whether 0 is background on the slices used.

    Raises
    ------
    InputError
        For an id without a name, names that cannot be used, or when nothing is labelled.
    """
    targets, labels = _numbering(names)
    wanted = range(image.shape[0]) if slices is None else slices
    annotated: list[AnnotatedSlice] = []
    seen: set[int] = set()
    unknown: set[int] = set()
    for index in wanted:
        plane = image.plane(index)
        ids = {int(label_id) for label_id in np.unique(plane)} - {UNLABELLED}
        unknown |= ids - set(names)
        if unknown or (not ids and (slices is None or not complete)):
            continue
        seen |= {targets[label_id] for label_id in ids}
        annotated.append(AnnotatedSlice(index, _translate(plane, targets, complete), complete))
    if unknown:
        raise InputError(
            f"'{path}' has labels without a name: {listed(sorted(unknown))}; name each id by "
            "--names."
        )
    if not seen - {BACKGROUND}:
        where = "it" if slices is None else f"slices {listed(slices)}"
        raise InputError(
            f"No pixel of a label is in {where} of '{path}'; choose slices that are labelled."
            if slices is not None
            else f"No pixel of '{path}' is labelled; label at least one slice first."
        )
    return Paint(
        tuple(annotated),
        labels,
        {old: new for old, new in targets.items() if new not in (old, BACKGROUND)},
        tuple(label.name for label in labels if label.label_id not in seen),
    )


def _numbering(names: Mapping[int, str]) -> tuple[dict[int, int], tuple[Label, ...]]:
    """Target value of each id in the file, and the labels among them."""
    if UNLABELLED in names:
        raise InputError(
            "Id 0 is unlabelled and takes no name; use --complete to make it background on the "
            "slices used."
        )
    targets: dict[int, int] = {}
    table = LabelTable()
    for label_id, name in sorted(names.items(), key=lambda item: item[0] == BACKGROUND):
        if name_key(name) == BACKGROUND_NAME:
            targets[label_id] = BACKGROUND
        elif label_id == BACKGROUND:
            # The commonest mask of all is 0 and 255, and 255 means background to us.
            targets[label_id] = table.add(name, label_id=_free_id(names)).label_id
        else:
            targets[label_id] = table.add(name, label_id=label_id).label_id
    if not len(table):
        raise InputError("The names have no label besides background; name at least one.")
    return targets, tuple(table)


def _free_id(taken: Mapping[int, str]) -> int:
    return next(label_id for label_id in range(1, FIRST_WIDE_ID) if label_id not in taken)


def _translate(
    plane: NDArray[np.unsignedinteger], targets: Mapping[int, int], complete: bool
) -> NDArray[np.uint16]:
    """Target values of one slice; 0 stays unlabelled unless the slice is complete."""
    result = np.full(plane.shape, BACKGROUND if complete else UNLABELLED, np.uint16)
    for label_id, target in targets.items():
        result[plane == label_id] = target
    return result
