"""The objects of a whole label image: a number for each, and the label that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_salt.errors import InputError
from napari_salt.io.slice_file import SliceFile
from napari_salt.io.units import convert, normalise_unit
from napari_salt.io.volume_objects import VolumeObjects, number, objects_of_volume
from napari_salt.io.watched import WatchedMasks
from napari_salt.io.writing.ids import largest_id, smallest_type
from napari_salt.records import Label
from napari_salt.scratch import scratch
from napari_salt.session.objects import ObjectsChoice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_salt.records import StackInfo
    from napari_salt.session.stack import ArrayLike

MOST_VOXELS = 500_000_000
"""Objects that go on from slice to slice are found in memory: 5 bytes a voxel, and up to 50 a voxel of the box
around the label in hand. More voxels than these are refused."""

_SHADES = (1.0, 0.7, 0.45)
"""Neighbours in number differ in brightness."""


@dataclass(frozen=True, eq=False)
class ObjectMasks:
    """Object ids, and what they are of.

    ``ids`` is ``(N, Y, X)`` uint32, 0 for none; ``label_of`` maps each id to its label's; ``spacing`` is the size
    of a voxel along (slices, rows, columns), all in ``unit``; ``table`` has the columns of `session.measure`, of a
    volume that was measured.
    """

    ids: ArrayLike
    label_of: Mapping[int, int]
    choice: ObjectsChoice
    spacing: tuple[float, float, float]
    unit: str
    table: Mapping[str, NDArray[Any]] | None = None

    def watched(self, on_slice: Callable[[int], None]) -> ObjectMasks:
        """The same, telling which slice is read (see `watched.WatchedMasks`)."""
        return replace(self, ids=WatchedMasks(self.ids, on_slice))

    def labels(self, labels: Sequence[Label]) -> tuple[Label, ...]:
        """A name (``nucleus 12``) and a colour for each object: its label's, in another shade than the one before."""
        known = {label.label_id: label for label in labels}
        counts = dict.fromkeys(self.label_of.values(), 0)
        made = []
        for object_id, label_id in self.label_of.items():
            counts[label_id] += 1
            label = known.get(label_id, Label(label_id, str(label_id)))
            red, green, blue, alpha = label.color
            shade = _SHADES[counts[label_id] % len(_SHADES)]
            color = (red * shade, green * shade, blue * shade, alpha)
            made.append(Label(object_id, f"{label.name} {counts[label_id]}", color))
        return tuple(made)


@contextmanager
def find_objects(
    masks: ArrayLike,
    info: StackInfo,
    choice: ObjectsChoice,
    folder: Path,
    *,
    measured: bool = False,
    run: Callable[..., VolumeObjects] | None = None,
) -> Iterator[ObjectMasks]:
    """Number the objects of a label image, label by label.

    Slice by slice memory stays flat: ids go to a temporary file in ``folder`` until the context ends. As a volume
    all is in memory (see ``MOST_VOXELS``).

    Parameters
    ----------
    masks
        ``(N, Y, X)`` label ids from 0 up.
    info
        Voxel size of the stack.
    choice
        How objects are told apart.
    folder
        On a disk with room for 4 bytes a voxel.
    measured
        Whether a volume is measured, too: slices are when they are asked for.
    run
        Calls a function with arguments, for a volume: in a process of its own, say. Here where omitted.

    Raises
    ------
    InputError
        When a volume is too large, or its axes are not measured in one unit.
    OutputError
        When the disk is full.
    """
    spacing, unit = common_sizes(info, volume=choice.volume)
    if choice.volume:
        found = _in_volume(masks, choice, spacing, measured, run or _here)
        yield ObjectMasks(found.ids, found.label_of, choice, spacing, unit, found.table)
        return
    shape = (int(masks.shape[0]), int(masks.shape[1]), int(masks.shape[2]))
    with SliceFile(shape, np.uint32, folder) as file:
        yield ObjectMasks(file, _by_slice(masks, file, choice, spacing), choice, spacing, unit)


def common_sizes(info: StackInfo, *, volume: bool) -> tuple[tuple[float, float, float], str]:
    """Voxel size along (slices, rows, columns) in the unit of the columns, and that unit.

    The slices' size is 1 where it is of another kind and ``volume`` does not ask for it.
    """
    unit = normalise_unit(info.units[2])
    sizes = [convert(s, u, unit) for s, u in zip(info.spacing, info.units, strict=True)]
    along, down, across = sizes
    if down is None or across is None or (along is None and volume):
        between = "slices" if along is None and down is not None else "rows"
        raise InputError(
            f"The distance of {between} is not measured in {unit} as that of columns is; measure each "
            "slice by itself, or set the units of the image."
        )
    return (1.0 if along is None else along, down, across), unit


def _by_slice(
    masks: ArrayLike, file: SliceFile, choice: ObjectsChoice, spacing: Sequence[float]
) -> dict[int, int]:
    label_of: dict[int, int] = {}
    for index in range(masks.shape[0]):
        plane = np.asarray(masks[index])
        found = np.zeros(plane.shape, np.uint32)
        for label_id in np.unique(plane[plane > 0]).tolist():
            number(plane == label_id, int(label_id), found, label_of, choice, spacing[1:])
        if found.any():
            file.put(index, found)
    return label_of


def _in_volume(
    masks: ArrayLike,
    choice: ObjectsChoice,
    spacing: tuple[float, float, float],
    measured: bool,
    run: Callable[..., VolumeObjects],
) -> VolumeObjects:
    voxels = prod(masks.shape)
    if voxels > MOST_VOXELS:
        raise InputError(
            f"Objects across slices are found in memory, and {voxels / 1e9:.1f} billion voxels are too "
            "many; find them slice by slice."
        )
    volume = scratch(masks.shape, smallest_type(largest_id(masks)))
    for index in range(masks.shape[0]):
        volume[index] = masks[index]
    return run(objects_of_volume, volume, choice, spacing, measured)


def _here(work: Callable[..., VolumeObjects], *args: Any) -> VolumeObjects:
    return work(*args)
