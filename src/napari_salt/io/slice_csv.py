"""The table of slices as a CSV file."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING

from napari_salt.io.atomic import atomic_write
from napari_salt.io.label_text import cell_text
from napari_salt.session.coverage import COMPLETE, OUTDATED, PAINTED, PREDICTED
from napari_salt.session.slice_table import NO_AREA

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from napari_salt.session.slice_table import SliceTable

_STATES = (
    ("painted", PAINTED),
    ("complete", COMPLETE),
    ("predicted", PREDICTED),
    ("out_of_date", OUTDATED),
)


def write_slices(path: str | os.PathLike[str], table: SliceTable) -> None:
    """Write a table, one line a slice: index, states (0 or 1), uncertainty, areas of labels.

    Unknown values are left empty. With a unit each label has a second column of its area in that
    unit squared. The file is UTF-8 with a mark at its start, so that spreadsheets read any name.

    Raises
    ------
    OutputError
        When the file cannot be written; what stood there stays.
    """
    with (
        atomic_write(path) as part,
        part.open("w", encoding="utf-8-sig", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(_header(table))
        writer.writerows(_rows(table))


def _header(table: SliceTable) -> list[str]:
    columns = ["slice", *(name for name, _ in _STATES), "uncertainty"]
    for name in map(cell_text, table.labels):
        columns.append(f"{name} [pixel]")
        if table.unit:
            columns.append(f"{name} [{table.unit}²]")
    return columns


def _rows(table: SliceTable) -> Iterator[list[object]]:
    for index, (areas, uncertain) in enumerate(
        zip(table.areas.tolist(), table.uncertainty.tolist(), strict=True)
    ):
        bits = table.flags[index]
        row: list[object] = [index, *(int(bool(bits & bit)) for _, bit in _STATES)]
        row.append("" if math.isnan(uncertain) else f"{uncertain:.4f}")
        for area in areas:
            known = area != NO_AREA
            row.append(area if known else "")
            if table.unit:
                row.append(f"{area * table.pixel_area:.6g}" if known else "")
        yield row
