"""The label description file of ITK-SNAP: names and colours beside an image that has no room for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_salt.records import Label

_HEAD = """\
################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
# Where:
#    IDX:   Zero-based index
#    -R-:   Red color component (0..255)
#    -G-:   Green color component (0..255)
#    -B-:   Blue color component (0..255)
#    -A-:   Label transparency (0.00 .. 1.00)
#    VIS:   Label visibility (0 or 1)
#    MSH:   Label mesh visibility (0 or 1)
#  LABEL:   Label description
################################################
    0     0    0    0        0  0  0    "Clear Label"
"""


def is_ours(path: Path) -> bool:
    """Whether a file is one that `snap_text` made; ITK-SNAP's own end some of these lines otherwise."""
    head = _HEAD.encode()
    try:
        with path.open("rb") as file:
            return file.read(len(head)) == head
    except OSError:
        return False


def snap_text(labels: Sequence[Label]) -> str:
    """The whole file. A name stays on its line: quotes in it become apostrophes, breaks become spaces."""
    return _HEAD + "".join(_line(label) for label in labels)


def _line(label: Label) -> str:
    red, green, blue = (round(min(1.0, max(0.0, part)) * 255) for part in label.color[:3])
    name = " ".join(label.name.replace('"', "'").split())
    alpha = min(1.0, max(0.0, label.color[3]))
    return f'{label.label_id:5d} {red:5d} {green:4d} {blue:4d} {alpha:8.2g}  1  1    "{name}"\n'
