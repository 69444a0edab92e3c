from __future__ import annotations

import csv

import numpy as np
import pytest

from napari_salt.errors import OutputError
from napari_salt.io.label_text import cell_text
from napari_salt.io.slice_csv import write_slices
from napari_salt.session.coverage import COMPLETE, PAINTED, PREDICTED
from napari_salt.session.slice_table import NO_AREA, SliceTable


def table(unit="mm"):
    return SliceTable(
        ("Zelle, groß",),
        np.array([[4], [NO_AREA]]),
        np.array([0.125, np.nan]),
        bytes([PREDICTED | PAINTED | COMPLETE, 0]),
        0.25,
        unit,
    )


def read(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_rows_are_written_and_the_unknown_is_left_empty(tmp_path):
    write_slices(tmp_path / "t.csv", table())
    header, first, second = read(tmp_path / "t.csv")
    states = ["painted", "complete", "predicted", "out_of_date"]
    assert header == [
        "slice", *states, "uncertainty", "Zelle, groß [pixel]", "Zelle, groß [mm²]",
    ]  # fmt: skip
    assert first == ["0", "1", "1", "1", "0", "0.1250", "4", "1"]
    assert second == ["1", "0", "0", "0", "0", "", "", ""]


def test_without_a_unit_only_pixels(tmp_path):
    write_slices(tmp_path / "t.csv", table(unit=""))
    assert read(tmp_path / "t.csv")[0][-1] == "Zelle, groß [pixel]"


def test_a_place_that_does_not_exist_is_a_sentence(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        write_slices(tmp_path / "missing" / "t.csv", table())


@pytest.mark.parametrize("name", ["=1+1", "+x", "-x", "@x"])
def test_a_name_is_never_a_formula(name):
    assert cell_text(name) == f"'{name}"
    assert cell_text(f"x{name}") == f"x{name}"
