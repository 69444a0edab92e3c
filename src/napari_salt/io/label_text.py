"""Label names and colours as text inside image files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from napari_salt.records import Color

KEY = "napari-salt-labels"
"""Starts the line of ImageJ's Info text that holds our JSON."""

NAMES_SPACE = "napari-salt/label-names"
COLORS_SPACE = "napari-salt/label-colors"
"""Namespaces of the OME map annotations."""


def color_text(color: Color) -> str:
    """A colour as ``#rrggbbaa``."""
    return "#" + "".join(f"{round(min(1.0, max(0.0, part)) * 255):02x}" for part in color)


def cell_text(name: str) -> str:
    """A name for a cell of a table, which no spreadsheet takes for a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@")) else name


def color_of(text: str) -> Color | None:
    """The colour of ``#rrggbb`` or ``#rrggbbaa``; None for anything else."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?", text):
        return None
    parts = [int(text[at : at + 2], 16) / 255 for at in range(1, len(text), 2)]
    return (parts[0], parts[1], parts[2], parts[3] if len(parts) == 4 else 1.0)


def info_line(names: Mapping[int, str], colors: Mapping[int, Color]) -> str:
    """One line of JSON for ImageJ's Info text."""
    ids = sorted({*names, *colors})
    entries = [
        {"id": label_id}
        | ({"name": names[label_id]} if label_id in names else {})
        | ({"color": color_text(colors[label_id])} if label_id in colors else {})
        for label_id in ids
    ]
    return f"{KEY}: {json.dumps(entries, ensure_ascii=False)}\n"


def from_info(text: str) -> tuple[dict[int, str], dict[int, Color]]:
    """Names and colours in an Info text; empty where there are none or they are damaged."""
    line = next((x for x in text.splitlines() if x.startswith(f"{KEY}:")), None)
    if line is None:
        return {}, {}
    try:
        entries = json.loads(line.partition(":")[2])
        names = {int(e["id"]): str(e["name"]) for e in entries if "name" in e}
        shown = {int(e["id"]): color_of(str(e["color"])) for e in entries if "color" in e}
    except (ValueError, TypeError, KeyError):
        return {}, {}
    return names, {label_id: color for label_id, color in shown.items() if color is not None}
