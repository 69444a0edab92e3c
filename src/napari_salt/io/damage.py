"""What the parsers of other libraries raise on damaged or hostile files, and how much memory a file may ask for."""

from __future__ import annotations

import lzma
import struct
import sys
import tokenize
import zipfile
import zlib
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image

from napari_salt.errors import InputError

UNREADABLE: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    ElementTree.ParseError,
    Image.DecompressionBombError,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""Parsers trust their files: a wrong number in a header surfaces as any of these."""


_OWN = {
    "nrrd.errors": ("NRRDError",),
    "nibabel.filebasedimages": ("ImageFileError",),
    "nibabel.spatialimages": ("HeaderDataError",),
    "pydicom.errors": ("BytesLengthException", "InvalidDicomError"),
}
"""Errors that are none of the built-in ones, by the module of an optional package that has them."""


def unreadable() -> tuple[type[Exception], ...]:
    """``UNREADABLE``, and what the packages that are loaded by now raise of their own."""
    loaded = (
        (sys.modules[module], names) for module, names in _OWN.items() if module in sys.modules
    )
    return (*UNREADABLE, *(getattr(module, name) for module, names in loaded for name in names))


def check_room(size: int, what: str) -> None:
    """``InputError`` where ``size`` bytes do not fit into the memory that is free; before they are asked for."""
    import psutil

    free = psutil.virtual_memory().available
    if size > free:
        raise InputError(
            f"{what} needs {size / 1e9:,.0f} GB of memory and {free / 1e9:,.0f} GB are free; choose a smaller image, "
            "or check whether the file is damaged."
        )


def check_not_empty(file: Path) -> None:
    """``InputError`` for a file without a single byte, of which parsers say all kinds of things."""
    if file.is_file() and file.stat().st_size == 0:
        raise InputError(f"{file.name} cannot be read: the file is empty; copy it again.")


def one_line(error: BaseException) -> str:
    """What an error says, for use inside a sentence: one line, not long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
