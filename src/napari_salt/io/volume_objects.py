"""Objects that go on from slice to slice, in one volume in memory; minutes of work where it is large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_salt.scratch import scratch
from napari_salt.session.measure import measure
from napari_salt.session.objects import ObjectsChoice, split

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, eq=False)
class VolumeObjects:
    """Object ids ``(N, Y, X)`` uint32, the label of each, and their columns of `measure` where these were asked for."""

    ids: NDArray[np.uint32]
    label_of: dict[int, int]
    table: dict[str, NDArray[Any]] | None = None


def objects_of_volume(
    volume: NDArray[np.unsignedinteger],
    choice: ObjectsChoice,
    spacing: tuple[float, float, float],
    measured: bool,
) -> VolumeObjects:
    """Number the objects of a volume ``(N, Y, X)`` of label ids, label by label, and measure them if asked to.

    May run in a process of its own: the ids are in a file that goes from one to the other. Raises ``OutputError``
    when the disk has no room for it.
    """
    from scipy.ndimage import find_objects as boxes_of

    found = scratch(volume.shape, np.uint32)
    label_of: dict[int, int] = {}
    for label_id in np.unique(volume[volume > 0]).tolist():
        (box,) = boxes_of((volume == label_id).view(np.uint8))
        number(volume[box] == label_id, int(label_id), found[box], label_of, choice, spacing)
    table = measure(np.asarray(found), spacing) if measured and label_of else None
    return VolumeObjects(found, label_of, table)


def number(
    mask: NDArray[np.bool_],
    label_id: int,
    found: NDArray[np.uint32],
    label_of: dict[int, int],
    choice: ObjectsChoice,
    spacing: Sequence[float],
) -> None:
    """Number the objects of one label in ``found``, on from those in ``label_of``."""
    pieces = split(mask, choice.split, spacing)
    before, count = len(label_of), int(pieces.max())
    found[mask] = pieces[mask].astype(np.uint32) + before
    label_of.update(dict.fromkeys(range(before + 1, before + count + 1), label_id))
