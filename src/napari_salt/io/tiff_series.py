"""Which image of a TIFF is meant, where tifffile finds several series in it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import tifffile

from napari_salt.errors import InputError
from napari_salt.io.damage import UNREADABLE

_CUT_SHORT = "invalid page offset"
"""What tifffile logs where the chain of pages leads out of the file; it goes on with the pages before."""


@contextmanager
def tifffile_hushed() -> Iterator[list[str]]:
    """Keep what tifffile logs in this thread off the user's terminal; it is gathered in the list."""
    me, heard = threading.get_ident(), list[str]()

    def keep(record: logging.LogRecord) -> bool:
        if record.thread != me:
            return True
        heard.append(record.getMessage())
        return False

    logger = tifffile.logger()
    logger.addFilter(keep)
    try:
        yield heard
    finally:
        logger.removeFilter(keep)


def main_series(tif: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """All series as one stack where each is a plane like the others, as loops over ``TiffWriter.write`` make them.

    Else the first one.
    """
    series = tif.series
    first = series[0]
    if len(series) == 1 or not all(_alike(first, other) for other in series):
        return first
    return tifffile.TiffPageSeries(
        [one.pages[0] for one in series],
        (len(series), *first.shape),
        first.dtype,
        f"I{first.axes}",
        kind="uniform",
        parent=tif,
    )


def choose(tif: tifffile.TiffFile, wanted: str | None, name: str) -> tifffile.TiffPageSeries:
    """The series of a number (the first is 0) or of a name; without ``wanted`` the `main_series`.

    Raises
    ------
    InputError
        When there is none, or no single one, of that name; the sentence lists those that there are.
    """
    if wanted is None:
        return main_series(tif)
    series, asked = tif.series, wanted.strip().casefold()
    if asked.isdecimal() and int(asked) < len(series):
        return series[int(asked)]
    named = [one for one in series if asked and asked == (one.name or "").strip().casefold()]
    if len(named) == 1:
        return named[0]
    shown = "; ".join(_described(number, one) for number, one in enumerate(series[:_MOST_LISTED]))
    more = f" and {len(series) - _MOST_LISTED} more" if len(series) > _MOST_LISTED else ""
    raise InputError(
        f"{name} has {'several images' if named else 'no image'} “{wanted}”; it holds {shown}{more}. Choose one, such "
        "as --series 0."
    )


_MOST_LISTED = 20


def _described(number: int, series: tifffile.TiffPageSeries) -> str:
    size = " × ".join(map(str, series.shape))
    return f"{number}: {series.name} ({size})" if series.name else f"{number} ({size})"


def files_of_set(path: Path) -> frozenset[str]:
    """Names of the files beside it that an OME-TIFF says it is made of, its own perhaps among them; empty for none."""
    try:
        with tifffile_hushed(), tifffile.TiffFile(path) as tif:
            text = tif.ome_metadata or ""
        if "<!DOCTYPE" in text or not text:
            return frozenset()
        elements = list(ElementTree.fromstring(text).iter())  # noqa: S314 - no entities in it
    except UNREADABLE:
        return frozenset()
    found = (element.get("FileName") or element.get("MetadataFile") for element in elements)
    return frozenset(filter(None, found))


def note_on(
    tif: tifffile.TiffFile,
    chosen: tifffile.TiffPageSeries,
    name: str,
    heard: list[str],
    *,
    asked: bool = False,
) -> str:
    """Sentences on images that were left out unless one was ``asked`` for, and on pages that are not there.

    Empty where all is well.
    """
    sentences = []
    if chosen is tif.series[0] and len(tif.series) > 1 and not asked:
        size = " × ".join(map(str, chosen.shape))
        sentences.append(
            f"{name} holds {len(tif.series)} images; this is the first ({size}). Another one is opened by --series 1 "
            "on the command line, or from a file of its own."
        )
    missing = sum(page is None for page in chosen.pages) if chosen.kind == "ome" else 0
    if missing:
        sentences.append(
            f"{missing} of {len(chosen.pages)} planes of {name} are in files that are not there, and come out black."
        )
    if any(_CUT_SHORT in message for message in heard):
        sentences.append(
            f"{name} ends before its last page; it may be cut short, so copy it again."
        )
    return " ".join(sentences)


def _alike(first: tifffile.TiffPageSeries, other: tifffile.TiffPageSeries) -> bool:
    """Whether both are single planes of one size and type, packed in one way, without coarser levels."""
    plane = other.axes in ("YX", "YXS") and len(other.pages) == len(other.levels) == 1
    same = (first.shape, first.axes, first.dtype) == (other.shape, other.axes, other.dtype)
    return plane and same and first.keyframe.hash == other.keyframe.hash
