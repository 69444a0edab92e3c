"""OME-Zarr out: labels beside their image, or a label image of its own."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_salt.errors import InputError, OutputError
from napari_salt.io.atomic import atomic_folder, refusal
from napari_salt.io.writing.ids import largest_id, smallest_type
from napari_salt.io.writing.ome_zarr_layout import (
    VERSIONS,
    Layout,
    attributes,
    layout_of,
    nearest,
    new_layout,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import zarr
    from numpy.typing import NDArray

    from napari_salt.records import Label, StackInfo
    from napari_salt.session.stack import ArrayLike

SUFFIX = ".zarr"
TILE = 1024
"""Rows and columns of a chunk, at most; a chunk never spans slices."""


def write_beside(
    image: str | os.PathLike[str],
    masks: ArrayLike,
    info: StackInfo,
    labels: Sequence[Label],
    name: str,
) -> Path:
    """Write ``labels/NAME`` into an OME-Zarr image, with its axes, levels and version.

    Where the stack was read from a smaller level, labels begin at that one. Labels of the same name are replaced,
    all others stay.

    Parameters
    ----------
    image
        Folder of the image, the one with ``multiscales``.
    masks
        ``(N, Y, X)`` whole numbers from 0 up; read one slice at a time, twice.
    info
        Geometry of the stack that was segmented: as the image, or one of its levels.
    labels
        Names and colours of the ids.
    name
        Of the labels.

    Returns
    -------
    Path
        The folder of the labels.

    Raises
    ------
    InputError
        When the image is of another version, of another shape, or has several time points.
    OutputError
        When it cannot be written; what was there is untouched.
    """
    folder = Path(image)
    layout = layout_beside(folder, info)
    if not name or name.startswith(".") or Path(name).name != name:
        raise InputError(f"“{name}” cannot be the name of labels; choose letters and digits.")
    home = folder / "labels"
    with _labels_group(home, layout) as group:
        _write(home / name, layout, masks, attributes(layout, name, labels, beside=True))
        _list(group, layout, name)
    _consolidate_again(folder, layout)
    return home / name


def write_alone(
    path: str | os.PathLike[str],
    masks: ArrayLike,
    info: StackInfo,
    labels: Sequence[Label],
    version: str = "0.4",
) -> Path:
    """Write a label image as an OME-Zarr of its own; parameters and errors as ``write_beside``.

    The root is the label image itself, with its levels, so that viewers open it as labels and others as an image.
    """
    folder = Path(path)
    if folder.suffix.lower() != SUFFIX:
        raise InputError(f"{folder.name} should end in .ome.zarr; rename it.")
    check_alone(folder)
    layout = new_layout(info, version)
    name = folder.name.removesuffix(SUFFIX).removesuffix(".ome")
    _write(folder, layout, masks, attributes(layout, name, labels, beside=False))
    return folder


def check_alone(folder: Path) -> None:
    """Raise ``InputError`` for a folder with anything in it but a label image like ours."""
    if folder.is_dir() and any(folder.iterdir()) and not _is_label_image(folder):
        raise InputError(f"{folder.name} holds something else than masks; choose another name.")


def layout_beside(folder: Path, info: StackInfo) -> Layout:
    """Layout of labels on an image, from its metadata and the shapes of its levels.

    Raises ``InputError`` where masks of the stack ``info`` do not fit beside the image.
    """
    import zarr

    try:
        group = zarr.open_group(folder, mode="r")
        found = dict(group.attrs)
        ome: Any = found.get("ome", found)
        multiscale = ome["multiscales"][0]
        version = str(ome.get("version", multiscale.get("version", "")))
        paths = [dataset["path"] for dataset in multiscale["datasets"]]
        arrays: list[Any] = [group[path] for path in paths]
        shapes = [tuple(array.shape) for array in arrays]
    except (OSError, KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{folder.name} is no OME-Zarr image; save the masks as a file of their own."
        ) from error
    if version not in VERSIONS:
        raise InputError(
            f"{folder.name} is of OME-Zarr {version or '(no version)'}; labels are written into "
            f"{' and '.join(VERSIONS)} only. Save them as an OME-Zarr of their own."
        )
    return layout_of(folder.name, version, multiscale, shapes, info)


@contextmanager
def _labels_group(home: Path, layout: Layout) -> Iterator[zarr.Group]:
    """The group that holds all labels of an image; one made for nothing is taken away again."""
    import zarr

    fresh = not home.exists()
    try:
        yield zarr.open_group(home, mode="a", zarr_format=_format(layout))
    except BaseException as error:
        if fresh:
            shutil.rmtree(home, ignore_errors=True)
        if isinstance(error, OSError):
            raise OutputError(refusal(error, home)) from error
        raise


def _list(group: zarr.Group, layout: Layout, name: str) -> None:
    """Add a name to the list of labels, by which readers find them."""
    attrs: dict[str, Any] = dict(group.attrs)
    ome = attrs if layout.version == "0.4" else dict(attrs.get("ome", {}))
    names = [str(one) for one in ome.get("labels", ())]
    ome["labels"] = [*names, *([] if name in names else [name])]
    if layout.version == "0.4":
        group.attrs.update(ome)
    else:
        group.attrs["ome"] = {"version": layout.version, **ome}


def _consolidate_again(folder: Path, layout: Layout) -> None:
    """Where an image keeps all its metadata in one place, the labels belong there too."""
    import zarr

    group = zarr.open_group(folder, mode="r")
    if group.metadata.consolidated_metadata is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that Zarr 3 has not agreed on it yet
            zarr.consolidate_metadata(folder, zarr_format=_format(layout))


def _write(folder: Path, layout: Layout, masks: ArrayLike, attrs: dict[str, Any]) -> None:
    """Write the levels and then the metadata, all of it or nothing."""
    import zarr

    dtype = smallest_type(largest_id(masks))
    with atomic_folder(folder) as part:
        group = zarr.open_group(part, mode="w", zarr_format=_format(layout))
        arrays = [_array(group, layout, at, dtype) for at in range(len(layout.levels))]
        for index in range(masks.shape[0]):
            plane = np.ascontiguousarray(masks[index], dtype)
            for at, array in enumerate(arrays):
                _put(array, layout, at, index, plane)
        group.attrs.update(attrs)


def _array(group: zarr.Group, layout: Layout, at: int, dtype: np.dtype[Any]) -> zarr.Array[Any]:
    level = layout.levels[at]
    chunks = [1] * (len(level.shape) - 2) + [min(TILE, length) for length in level.shape[-2:]]
    old = layout.zarr_format == 2
    return group.create_array(
        level.path,
        shape=level.shape,
        chunks=tuple(chunks),
        dtype=dtype,
        fill_value=0,
        chunk_key_encoding={"name": "v2" if old else "default", "separator": "/"},
        dimension_names=None if old else [str(axis["name"]) for axis in layout.axes],
    )


def _put(array: zarr.Array[Any], layout: Layout, at: int, index: int, plane: NDArray[Any]) -> None:
    """Write slice ``index`` of the whole wherever a level shows it."""
    count, rows, columns = layout.sizes(layout.levels[at])
    down, across = nearest(plane.shape[0], rows), nearest(plane.shape[1], columns)
    small = plane if plane.shape == (rows, columns) else plane[down][:, across]
    places = np.flatnonzero(nearest(layout.sizes(layout.levels[0])[0], count) == index)
    for place in places.tolist():
        key: list[int | slice] = [0] * (len(array.shape) - 2) + [slice(None), slice(None)]
        if layout.slices is not None:
            key[layout.slices] = place
        array[tuple(key)] = small


def _format(layout: Layout) -> Literal[2, 3]:
    return 2 if layout.version == "0.4" else 3


def _is_label_image(folder: Path) -> bool:
    """Whether a folder is what ``write_alone`` writes."""
    import zarr

    try:
        found = dict(zarr.open_group(folder, mode="r").attrs)
    except (OSError, ValueError):
        return False
    ome: Any = found.get("ome", found)
    return isinstance(ome, dict) and "image-label" in ome
