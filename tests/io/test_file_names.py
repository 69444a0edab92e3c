"""Any text makes a file name that is one on every system and stays in its folder."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_salt.errors import InputError
from napari_salt.io.file_names import LONGEST, check_ending, safe_file_name


@pytest.mark.parametrize("name", ["t1_stack", "Zelle 3", "größe", "胸部", "a.b-c", "_x", "1"])
def test_a_name_that_is_fine_stays(name):
    assert safe_file_name(name) == name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        (
            '<img src="x" onerror=alert(1)><b>x</b>/../../etc',
            "_img src=_x_ onerror=alert(1)_b_x_b_.._.._etc",
        ),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("C:\\Windows\\x", "C_Windows_x"),
        ("a\0b\nc\x1b[2J", "a_b_c_[2J"),
        ("abc\u202egnp.exe", "abc_gnp.exe"),
        (" .hidden. ", "hidden"),
        ("CON", "_CON"),
        ("nul.tar.gz", "_nul.tar.gz"),
        ("com1", "_com1"),
        ("LPT¹.txt", "_LPT¹.txt"),
        ("console", "console"),
        ("", "stack"),
        ("...", "stack"),
        ("///", "stack"),
        ("\ud800", "stack"),
    ],
)
def test_a_name_that_is_none_is_made_one(name, safe):
    assert safe_file_name(name) == safe


@given(st.text(max_size=400))
def test_every_name_stays_in_its_folder_and_can_be_made(text):
    name = safe_file_name(text)
    assert Path(name).name == name == PureWindowsPath(name).name
    assert 0 < len(name) <= LONGEST + 1
    assert len(name.encode()) <= 200
    assert not PureWindowsPath(name).is_reserved()
    assert safe_file_name(name) == name


def test_such_a_name_can_be_written(tmp_path):
    path = tmp_path / safe_file_name("<b>ü</b>/../" + "長" * 300)
    path.write_text("x")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["a.nrrd", "A.SEG.NRRD", ".nrrd"])
def test_an_ending_is_known_in_any_case(name):
    check_ending(Path(name), ".seg.nrrd", ".nrrd")


@pytest.mark.parametrize("name", ["a.nrrd.gz", "nrrd", "a"])
def test_another_ending_is_refused_by_name(name):
    with pytest.raises(InputError, match=rf"^{name} should end in .seg.nrrd or .nrrd; rename it.$"):
        check_ending(Path(name), ".seg.nrrd", ".nrrd")
