"""OME-Zarr 0.4 and 0.5 in, and plain zarr arrays: chunks are read when a slice asks for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import zarr

from napari_salt.errors import Choice, ChoiceNeeded, InputError
from napari_salt.io.bounded_store import BoundedStore
from napari_salt.io.damage import UNREADABLE, one_line
from napari_salt.io.guarded import GuardedArray
from napari_salt.io.opened import Opened, distinct_axes
from napari_salt.io.zarr_chunks import check_no_code
from napari_salt.io.zarr_meta import Multiscale, label_texts, multiscale_of, ome_of
from napari_salt.records import Origin

_MARKS = ("zarr.json", ".zgroup", ".zarray")
_LABELS = "labels"


def is_zarr(folder: Path) -> bool:
    """Whether a folder is a zarr array or group, by the files that mark one."""
    return any((folder / mark).is_file() for mark in _MARKS)


def open_zarr(folder: Path, level: int = 0) -> Opened:
    """Open an OME-Zarr image, one of its levels, a plain zarr array, or a group that holds only one of these.

    A level that is opened by itself, as ``image.ome.zarr/1``, has the axes, sizes and place of the image. Sizes are
    those of the chosen level, as is where it lies among others (its translation, in ``offsets``).

    Raises
    ------
    ChoiceNeeded
        When the group holds several images.
    InputError
        When the folder is no zarr, is damaged, or has no such level.
    """
    node = _node(folder)
    if isinstance(node, zarr.Array):
        _check_level(folder, level, 1)
        alone = _level_alone(folder)
        return _plain(node, folder) if alone is None else alone
    ome = ome_of(node.attrs)
    if "multiscales" in ome:
        return _image(node, folder, level)
    if "plate" in ome or "well" in ome:
        raise InputError(
            f"{folder.name} is a plate of many images; open one of them, such as {folder.name}/A/1/0."
        )
    return open_zarr(_only_child(node, folder), level)


def open_zarr_labels(folder: Path, level: int = 0) -> Opened:
    """Open a label image with its names and colours: the folder itself, or the one in its ``labels``.

    Raises
    ------
    ChoiceNeeded
        When there are several label images.
    InputError
        As ``open_zarr``.
    """
    found = label_folders(folder)
    if len(found) > 1:
        listed = ", ".join(one.name for one in found)
        raise ChoiceNeeded(
            f"{folder.name} has {len(found)} label images ({listed}); choose one as "
            f"{folder.name}/{_LABELS}/{found[0].name}.",
            [Choice(one.name, str(one)) for one in found],
        )
    chosen = found[0] if found else folder
    names, colors = label_texts(dict(_node(chosen).attrs))
    return replace(open_zarr(chosen, level), names=names, colors=colors)


def label_folders(folder: Path) -> tuple[Path, ...]:
    """The label images that lie beside an image, in the order in which the group lists them."""
    place = folder / _LABELS
    if not is_zarr(place):
        return ()
    node = _node(place)
    listed = ome_of(node.attrs).get(_LABELS)
    names = listed if isinstance(listed, list) else sorted(node.keys())
    plain = (str(name) for name in names if not set("/\\:") & set(str(name)) and name != "..")
    return tuple(place / name for name in plain if is_zarr(place / name))


def is_label_image(folder: Path) -> bool:
    """Whether a zarr says of itself that it holds label ids."""
    return "image-label" in ome_of(_node(folder).attrs)


def _node(folder: Path) -> Any:
    try:
        return zarr.open(BoundedStore.of(folder), mode="r")
    except UNREADABLE as error:
        raise InputError(
            f"{folder.name} cannot be read as zarr ({one_line(error)}); it may be damaged, so copy it again."
        ) from error


def _only_child(group: zarr.Group, folder: Path) -> Path:
    """The one image or array in a group without metadata of its own."""
    children = [
        (name, node)
        for name, node in sorted(group.members())
        if isinstance(node, zarr.Array) or "multiscales" in ome_of(node.attrs)
    ]
    if not children:
        raise InputError(f"{folder.name} holds no image; choose an OME-Zarr image or an array.")
    if len(children) > 1:
        names = ", ".join(name for name, _ in children)
        raise ChoiceNeeded(
            f"{folder.name} holds {len(children)} images ({names}); open one of them as "
            f"{folder.name}/{children[0][0]}.",
            [Choice(name, str(folder / name)) for name, _ in children],
        )
    return folder / children[0][0]


def _level_alone(folder: Path) -> Opened | None:
    """An array as a level of the OME-Zarr image in whose folder it lies; None where it lies in none."""
    image = folder.absolute().parent
    if not is_zarr(image):
        return None
    try:
        group = _node(image)
        paths = [level.path for level in multiscale_of(dict(group.attrs)).levels]
    except InputError:
        return None
    except UNREADABLE:
        return None
    if folder.name not in paths or "image-label" in ome_of(group.attrs):
        return None
    level = paths.index(folder.name)
    return _image(group, image, level).alone(level)


def _plain(array: Any, folder: Path) -> Opened:
    """An array without OME metadata; axes by its dimension names, where they are x and y."""
    if len(array.shape) < 2:
        raise InputError(f"{folder.name} has the shape {array.shape}, which is no image.")
    named = array.metadata.to_dict().get("dimension_names") or array.attrs.get("_ARRAY_DIMENSIONS")
    letters = "".join(str(name or "Q")[:1].upper() for name in named or ())
    if len(letters) != len(array.shape) or not {"X", "Y"} <= set(letters):
        letters = "Q" * (len(array.shape) - 2) + "YX"
    return Opened(
        _guarded(array, folder.name),
        distinct_axes(letters, array.shape, array.dtype),
        _name(folder),
        origin=Origin(str(folder.absolute()), "zarr"),
    )


def _guarded(array: Any, name: str) -> GuardedArray:
    try:
        check_no_code(array)
    except ValueError as error:
        raise InputError(f"{name} is not opened: {error}; write the image again.") from error
    return GuardedArray(array, name)


def _image(group: Any, folder: Path, level: int) -> Opened:
    try:
        image = multiscale_of(dict(group.attrs))
        arrays = tuple(_guarded(group[one.path], folder.name) for one in image.levels)
    except UNREADABLE as error:
        raise InputError(
            f"The OME metadata of {folder.name} cannot be used ({one_line(error)}); write the image again."
        ) from error
    _check_level(folder, level, len(arrays))
    if any(one.ndim != len(image.axes) for one in arrays):
        raise InputError(
            f"The OME metadata of {folder.name} name {len(image.axes)} axes for an array of "
            f"{arrays[0].ndim}; write the image again."
        )
    axes = distinct_axes(_letters(image), arrays[level].shape, arrays[level].dtype)
    return Opened(
        arrays[level],
        axes,
        _name(folder),
        dict(zip(axes, image.levels[level].scale, strict=True)),
        dict(zip(axes, image.units, strict=True)),
        origin=Origin(str(folder.absolute()), "ome-zarr", level=level),
        pyramid=arrays if len(arrays) > 1 else (),
        offsets=dict(zip(axes, image.levels[level].offset, strict=True)),
    )


def _letters(image: Multiscale) -> str:
    return "".join(name[:1].upper() or "Q" for name in image.axes)


def _check_level(folder: Path, level: int, count: int) -> None:
    if not 0 <= level < count:
        raise InputError(
            f"{folder.name} has no level {level}; it has {count}, counted from 0 (the finest)."
        )


def _name(folder: Path) -> str:
    return folder.name.removesuffix(".zarr").removesuffix(".ome") or folder.name
