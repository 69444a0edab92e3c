"""Measurements of objects as a CSV file, in the units of the image."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_salt.geometry import part_filled
from napari_salt.io.atomic import atomic_write
from napari_salt.io.label_text import cell_text
from napari_salt.session.measure import measure, sums

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_salt.io.object_masks import ObjectMasks
    from napari_salt.records import Label, Planes, StackInfo

SUFFIX = ".csv"
_AXES = ("slice", "row", "column")


def write_table(
    path: str | os.PathLike[str], objects: ObjectMasks, labels: Sequence[Label], image: Planes
) -> Path:
    """Write one line an object: id, label, place, size, and mean intensity in the image.

    Units stand in the titles; boxes are in pixels, first and last ones included; slices, rows and columns count
    from 0, and a centroid is the distance from the middle of the first pixel. Objects that go on from slice to
    slice have a volume, others an area and their slice. The file is UTF-8 with a mark at its start, so that
    spreadsheets read any name.

    Parameters
    ----------
    path
        The file; an old one is replaced.
    objects
        From `object_masks.find_objects`; slice by slice read one slice at a time.
    labels
        Names of the labels.
    image
        The stack that was segmented; read one slice at a time.

    Raises
    ------
    OutputError
        When the file cannot be written; what stood there stays.
    """
    names = {label.label_id: cell_text(label.name) for label in labels}
    with (
        atomic_write(path) as part,
        part.open("w", encoding="utf-8-sig", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(_header(objects, image.info))
        tables = _in_volume if objects.choice.volume else _by_slice
        for index, table, means in tables(objects, image):
            filled = part_filled(image.info.origin, 3 if index is None else 2)
            writer.writerows(_rows(index, table, means, objects, names, filled))
    return Path(path)


_COLORS = ("red", "green", "blue", "alpha")


def _header(objects: ObjectMasks, image: StackInfo) -> list[str]:
    volume, unit = objects.choice.volume, objects.unit
    axes = _AXES if volume else _AXES[1:]
    size, count, power = ("volume", "voxels", "³") if volume else ("area", "pixels", "²")
    means = ["mean intensity"]
    if image.channels > 1:
        names = _COLORS if image.rgb else [f"channel {at}" for at in range(image.channels)]
        means = [f"mean intensity of {name}" for name in names[: image.channels]]
    return [
        "object",
        "label",
        *([] if volume else ["slice"]),
        count,
        f"{size} ({unit}{power})",
        *(f"centroid {axis} ({unit})" for axis in "zyx"[-len(axes) :]),
        *(f"first {axis}" for axis in axes),
        *(f"last {axis}" for axis in axes),
        f"equivalent diameter ({unit})",
        *means,
    ]


_Table = tuple[int | None, "Mapping[str, NDArray[Any]]", "NDArray[np.float64]"]
"""Slice (None for a volume), measured columns, and mean intensities ``(objects, channels)``."""


def _by_slice(objects: ObjectMasks, image: Planes) -> Iterator[_Table]:
    for index in range(objects.ids.shape[0]):
        ids = np.asarray(objects.ids[index])
        if not ids.any():
            continue
        table = measure(ids, objects.spacing[1:])
        # Numbers within the slice: those of the stack may be many.
        here = np.searchsorted(table["label"], ids) + 1
        here[ids == 0] = 0
        added = _intensities(here, image.plane(index), len(table["label"]))
        yield index, table, added[1:] / table["num_pixels"][:, np.newaxis]


def _in_volume(objects: ObjectMasks, image: Planes) -> Iterator[_Table]:
    if not objects.label_of:
        return
    table = objects.table
    if table is None:
        table = measure(np.asarray(objects.ids), objects.spacing)
    largest = len(objects.label_of)
    added = np.zeros((largest + 1, image.info.channels))
    for index in range(objects.ids.shape[0]):
        ids = np.asarray(objects.ids[index])
        if ids.any():
            added += _intensities(ids, image.plane(index), largest)
    yield None, table, added[table["label"]] / table["num_pixels"][:, np.newaxis]


def _intensities(ids: NDArray[Any], plane: NDArray[Any], largest: int) -> NDArray[np.float64]:
    """Sums of each object's pixels in each channel, ``(largest + 1, channels)``."""
    channels = plane.reshape(*ids.shape, -1)
    return np.stack(
        [sums(ids, channels[..., channel], largest) for channel in range(channels.shape[-1])],
        axis=1,
    )


def _rows(
    index: int | None,
    table: Mapping[str, NDArray[Any]],
    means: NDArray[np.float64],
    objects: ObjectMasks,
    names: Mapping[int, str],
    filled: float,
) -> Iterator[list[object]]:
    """One line an object; ``filled`` is the part of a voxel with edges at right angles that the voxels are large."""
    ndim = 3 if index is None else 2
    for at, object_id in enumerate(table["label"].tolist()):
        label_id = objects.label_of[object_id]
        yield [
            object_id,
            names.get(label_id, str(label_id)),
            *([] if index is None else [index]),
            int(table["num_pixels"][at]),
            f"{table['area'][at] * filled:.6g}",
            *(f"{table[f'centroid-{axis}'][at]:.6g}" for axis in range(ndim)),
            *(int(table[f"bbox-{axis}"][at]) for axis in range(ndim)),
            *(int(table[f"bbox-{ndim + axis}"][at]) - 1 for axis in range(ndim)),
            f"{table['equivalent_diameter_area'][at] * filled ** (1 / ndim):.6g}",
            *(f"{mean:.6g}" for mean in means[at]),
        ]
