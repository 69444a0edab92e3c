"""What each slice of a stack is called, and how large it was, for formats that keep one file or entry a slice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_salt.io.file_names import safe_file_name
from napari_salt.io.plane_stack import PlaneStack

if TYPE_CHECKING:
    from napari_salt.records import StackInfo
    from napari_salt.session.stack import Stack


@dataclass(frozen=True)
class SourceSlice:
    """The file of a slice, without folder, and its own size: smaller than the stack's where it was padded."""

    name: str
    rows: int
    columns: int


def slices_of(stack: Stack) -> tuple[SourceSlice, ...]:
    """Files of a stack that was read from a folder of single images; numbered names for any other."""
    if isinstance(stack.data, PlaneStack) and len(stack.data) == len(stack):
        return tuple(SourceSlice(p.name, *p.size) for p in stack.data.planes)
    return numbered(stack.info)


def numbered(info: StackInfo) -> tuple[SourceSlice, ...]:
    """``NAME_0000.png``, ``NAME_0001.png``, …"""
    count, rows, columns = info.shape
    width = max(4, len(str(count - 1)))
    name = safe_file_name(Path(info.name or "slice").name, "slice")
    return tuple(SourceSlice(f"{name}_{i:0{width}d}.png", rows, columns) for i in range(count))
