"""TIFF in: ImageJ, OME and plain files, pixels lazily, axes and sizes from their metadata."""

from __future__ import annotations

import importlib.util
import math
import re
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from napari_salt.errors import InputError, MissingExtra
from napari_salt.io import label_text
from napari_salt.io.damage import UNREADABLE, one_line
from napari_salt.io.opened import Opened, distinct_axes
from napari_salt.io.pages import Pages
from napari_salt.io.tiff_series import choose, note_on, tifffile_hushed
from napari_salt.io.tiles import Tiles, worth_tiles
from napari_salt.io.units import PIXEL, normalise_unit, tidy

if TYPE_CHECKING:
    from napari_salt.records import Color
    from napari_salt.session.stack import ArrayLike

SUFFIXES = (".tif", ".tiff", ".btf", ".tf8", ".svs", ".ndpi", ".scn", ".qptiff")
"""TIFF under its own name, BigTIFF, and what scanners of whole slides write: TIFF with a dialect of its own."""

_CENTIMETRE = 3
"""Value of the tag ResolutionUnit; 1 is none, 2 inch."""

_PLAIN = (
    tifffile.COMPRESSION.NONE,
    tifffile.COMPRESSION.ADOBE_DEFLATE,
    tifffile.COMPRESSION.DEFLATE,
    tifffile.COMPRESSION.ZSTD,
    tifffile.COMPRESSION.ZSTD_DEPRECATED,
)
"""Unpacked by libraries that others fuzz day and night; all other compressions are tried first, see `probe`."""

MOST_PLANES = 1_000_000
"""Of an OME-TIFF; tifffile makes a list of all that are announced, there or not."""

MOST_LEVELS = 32
"""Of a pyramid that is shown as one: each halves the one before, so no image has more."""


@dataclass(frozen=True)
class _Found:
    """Metadata of a file: sizes and units by axis letter, label names and colours."""

    sizes: dict[str, float] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    colors: dict[int, Color] = field(default_factory=dict)


def open_tiff(path: Path, level: int = 0, series: str | None = None) -> Opened:
    """Open a TIFF; contiguous pixels are memory-mapped, others are read page by page, or tile by tile.

    ``level`` is that of a pyramid, 0 being the finest; sizes are those of the level. ``series`` is the number (the
    first is 0) or the name of one of several images; without it the first is taken, or all pages where they are alike.

    Raises
    ------
    InputError
        When the file is no TIFF, is damaged, holds no image, is packed in a way that is unknown, or has no such level
        or series.
    MissingExtra
        When its compression needs the package imagecodecs, which no wheel of this platform has brought.
    """
    with tifffile_hushed() as heard, ExitStack() as on_failure:
        try:
            tif = tifffile.TiffFile(path)
            on_failure.callback(tif.close)
            # Counted first, a chain of pages that bites its own tail ends; walked, it never does.
            if not len(tif.pages):
                raise InputError(
                    f"{path.name} holds no image; whatever wrote it may have stopped too early, so save it again."
                )
            _check_ome(tif)
            whole = choose(tif, series, path.name)
            found = _metadata(tif, whole)
            note = note_on(tif, whole, path.name, heard, asked=series is not None)
        except tifffile.TiffFileError as error:
            raise InputError(
                f"{path.name} cannot be read: it is no TIFF file, or a damaged one; copy it again, or give it the "
                "ending of its own format."
            ) from error
        except UNREADABLE as error:
            raise InputError(
                f"{path.name} cannot be read as TIFF ({one_line(error)}); open it in Fiji and save it again."
            ) from error
        chosen = _level(path, whole, level)
        if len(chosen.shape) != len(whole.shape) or len(chosen.shape) != len(chosen.axes):
            raise InputError(f"The levels of {path.name} have different axes; save it again.")
        data = _pixels(path, tif, chosen)
        risky = chosen.dataoffset is None and chosen.keyframe.compression not in _PLAIN
        on_failure.pop_all()
    axes = distinct_axes(str(chosen.axes), tuple(chosen.shape), chosen.dtype)
    name = path.name.removesuffix(path.suffix).removesuffix(".ome")
    sizes = dict(found.sizes)
    for letter, fine, coarse in zip(axes, whole.shape, chosen.shape, strict=True):
        if fine != coarse and letter in "XYZ":
            sizes[letter] = tidy(sizes.get(letter, 1.0) * fine / coarse)
    pyramid = () if level else _pyramid(path, data, len(whole.levels), series)
    return Opened(
        data,
        axes,
        name,
        sizes,
        found.units,
        found.names,
        found.colors,
        pyramid=pyramid,
        risky=risky,
        note=note,
    )


def _pyramid(
    path: Path, finest: ArrayLike, count: int, series: str | None
) -> tuple[ArrayLike, ...]:
    """All levels, each with the file opened for itself; empty where there is one only, or one cannot be used."""
    if not 2 <= count <= MOST_LEVELS:
        return ()
    try:
        return (finest, *(open_tiff(path, level, series).data for level in range(1, count)))
    except (InputError, MissingExtra):
        return ()


def _level(path: Path, series: tifffile.TiffPageSeries, level: int) -> tifffile.TiffPageSeries:
    count = len(series.levels)
    if not 0 <= level < count:
        raise InputError(
            f"{path.name} has no level {level}; it has {count}, counted from 0 (the finest)."
        )
    return series.levels[level]


def _check_ome(tif: tifffile.TiffFile) -> None:
    """Refuse OME-XML with planes without end, or that leads to files in other folders, before tifffile obeys it."""
    if not (tif.is_ome and tif.ome_metadata):
        return
    if "<!DOCTYPE" in tif.ome_metadata:
        raise ValueError("its XML defines entities")
    for element in ElementTree.fromstring(tif.ome_metadata).iter():  # noqa: S314 - no entities in it
        tag = element.tag.rpartition("}")[2]
        counts = [int(element.get(f"Size{axis}", 1)) for axis in "ZCT"] if tag == "Pixels" else [1]
        if max(counts) > MOST_PLANES or math.prod(counts) > MOST_PLANES:
            raise ValueError(f"{math.prod(counts):,} planes")
        beside = element.get("FileName", "") if tag == "UUID" else ""
        if any(sign in beside for sign in "/\\:"):
            raise ValueError("it leads to files in other folders")


def _pixels(path: Path, tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> ArrayLike:
    if series.dataoffset is not None:
        dtype = np.dtype(series.dtype).newbyteorder(tif.byteorder)
        try:
            data = np.memmap(path, dtype, "r", series.dataoffset, tuple(series.shape))
        except (ValueError, OverflowError, OSError) as error:
            raise InputError(
                f"{path.name} is cut short: it ends before its last slice; copy it again."
            ) from error
        tif.close()
        return data
    page = series.keyframe
    _check_parts(path, page)
    _check_compression(path, page)
    return (Tiles if worth_tiles(series) else Pages)(tif, series, path.name)


def _check_compression(path: Path, page: tifffile.TiffPage) -> None:
    """Refuse pixels that nothing here unpacks, before anybody waits for a slice."""
    if page.compression in tifffile.TIFF.DECOMPRESSORS:
        return
    kind = getattr(page.compression, "name", f"method {page.compression}")
    if importlib.util.find_spec("imagecodecs") is None:
        raise MissingExtra(
            f"{path.name} is compressed with {kind}; install the package imagecodecs, or save the file without "
            "compression."
        )
    raise InputError(
        f"{path.name} is compressed with {kind}, which cannot be read here; save the file without compression."
    )


def _check_parts(path: Path, page: tifffile.TiffPage) -> None:
    """Refuse a page that lists fewer tiles or strips than it has; tifffile would go through all that are missing."""
    listed, wanted = len(page.dataoffsets), math.prod(page.chunked)
    if listed < wanted:
        raise InputError(
            f"{path.name} is damaged: a page lists {listed:,} of its {wanted:,} parts; copy it again."
        )


def _metadata(tif: tifffile.TiffFile, chosen: tifffile.TiffPageSeries) -> _Found:
    """Of a series; further ones of a slide are pictures of another scale, of its label say."""
    number = next((at for at, one in enumerate(tif.series) if one is chosen), 0)
    if tif.is_ome and tif.ome_metadata:
        return _from_ome(tif.ome_metadata, number)
    if tif.is_svs:
        return _Found() if number else _from_svs(tif.pages.first.description)
    if tif.imagej_metadata is not None:
        return _from_imagej(tif.imagej_metadata, _resolution(tif.pages.first))
    return _from_tags(tif, number, chosen)


def _resolution(page: tifffile.TiffPage) -> tuple[dict[str, float], int]:
    """Size of a pixel along X and Y by the resolution tags, and the number of their unit."""
    tags, sizes = page.tags, {}
    for letter, name in (("X", "XResolution"), ("Y", "YResolution")):
        pixels, per = tags.valueof(name, (0, 1))
        if pixels and per:
            sizes[letter] = tidy(per / pixels)
    return sizes, int(tags.valueof("ResolutionUnit", 1))


def _from_imagej(meta: dict[str, Any], resolution: tuple[dict[str, float], int]) -> _Found:
    """ImageJ: pixels per unit in the tags, z spacing and unit in the description."""
    sizes, tag_unit = resolution
    unit = normalise_unit(meta.get("unit", ""))
    if unit == PIXEL and tag_unit == _CENTIMETRE:
        unit = "cm"
    elif unit == PIXEL and tag_unit != 1:
        # Print resolutions (72 per inch) say nothing about what was imaged.
        sizes = {}
    units = {"X": unit, "Y": normalise_unit(meta.get("yunit", unit))}
    if "spacing" in meta:
        # Fiji writes a negative spacing for stacks that were turned over.
        sizes["Z"] = tidy(abs(float(meta["spacing"])))
        units["Z"] = normalise_unit(meta.get("zunit", unit))
    interval = float(meta.get("finterval", 0) or 0)
    if interval > 0:
        sizes["T"], units["T"] = tidy(interval), normalise_unit(meta.get("tunit", "s"))
    names, colors = label_text.from_info(str(meta.get("Info", "")))
    return _Found(sizes, units, names, colors)


def _from_ome(text: str, number: int = 0) -> _Found:
    """OME-XML: sizes of the image of this number; names and colours of our own map annotations."""
    root = ElementTree.fromstring(text)  # noqa: S314 - looked through by _check_ome
    space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
    found = _Found()
    every = root.findall(f"{space}Image/{space}Pixels")
    given = every[number].attrib if number < len(every) else {}
    for letter in "XYZ":
        if f"PhysicalSize{letter}" in given:
            found.sizes[letter] = tidy(float(given[f"PhysicalSize{letter}"]))
            found.units[letter] = normalise_unit(given.get(f"PhysicalSize{letter}Unit", "um"))
    if "TimeIncrement" in given:
        found.sizes["T"] = tidy(float(given["TimeIncrement"]))
        found.units["T"] = normalise_unit(given.get("TimeIncrementUnit", "s"))
    for annotation in root.iter(f"{space}MapAnnotation"):
        pairs = {m.get("K", ""): m.text or "" for m in annotation.iter(f"{space}M")}
        kept = {int(key): value for key, value in pairs.items() if key.isdigit()}
        if annotation.get("Namespace") == label_text.NAMES_SPACE:
            found.names.update(kept)
        elif annotation.get("Namespace") == label_text.COLORS_SPACE:
            colors = {label_id: label_text.color_of(value) for label_id, value in kept.items()}
            found.colors.update({i: color for i, color in colors.items() if color is not None})
    return found


def _from_svs(description: str) -> _Found:
    """A whole slide of Aperio: micrometres per pixel stand in its description."""
    told = re.search(r"\bMPP\s*=\s*(\d+(?:\.\d*)?)", description)
    if told is None:
        return _Found()
    return _Found(dict.fromkeys("XY", tidy(float(told[1]))), dict.fromkeys("XY", "um"))


def _from_tags(tif: tifffile.TiffFile, number: int, chosen: tifffile.TiffPageSeries) -> _Found:
    """A plain TIFF: what tifffile's own JSON says, else pixels per centimetre."""
    described = tif.shaped_metadata or ({},)
    shaped = described[number] if number < len(described) else {}
    unit = normalise_unit(shaped.get("unit", ""))
    sizes, tag_unit = _resolution(chosen.keyframe)
    if unit == PIXEL:
        unit, sizes = ("cm", sizes) if tag_unit == _CENTIMETRE else (PIXEL, {})
    spacing = shaped.get("spacing")
    if isinstance(spacing, int | float):
        sizes["Z"] = float(spacing)
    return _Found(sizes, dict.fromkeys("XYZ", unit))
