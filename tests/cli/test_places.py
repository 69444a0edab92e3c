"""What the command line takes of images with more axes than slices, rows and columns, and how to choose it."""

from __future__ import annotations

import argparse
import io
import json

import numpy as np
import pytest
import tifffile

from napari_salt.cli import main
from napari_salt.commands.adapt import _paint
from napari_salt.commands.console import Console
from napari_salt.commands.images import open_finest, open_image, open_labels
from napari_salt.errors import InputError

IDS = np.repeat(np.arange(1, 4, dtype=np.uint8), 4 * 8 * 8).reshape(3, 4, 8, 8)
"""Three time points of four slices; all pixels of the first are 1, of the second 2, of the third 3."""


@pytest.fixture
def console():
    return Console(as_json=False, out=io.StringIO(), err=io.StringIO())


@pytest.fixture
def series(tmp_path):
    return ome(tmp_path / "series.ome.tif", IDS)


def ome(path, data, axes="TZYX"):
    tifffile.imwrite(path, data, ome=True, photometric="minisblack", metadata={"axes": axes})
    return path


def arguments(image, *at, **rest):
    return argparse.Namespace(image=image, level=0, series=None, at=list(at), **rest)


def test_info_tells_the_time_point_and_takes_another(series, capsys):
    assert main(["info", str(series)]) == 0
    told = capsys.readouterr()
    assert told.err == "Takes time point 0 of 3; choose another with --at T=1.\n"
    assert "4 slices along Z, 8 × 8 pixels, at time point 0 of 3" in told.out
    assert main(["info", str(series), "--at", "t=2", "--json"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert json.loads(told.out)["at"] == {"T": 2}
    assert json.loads(told.out)["lengths"] == {"T": 3}


def test_an_axis_has_one_place(series, capsys):
    assert main(["info", str(series), "--at", "T=1", "--at", "time=2"]) == 2
    assert "--at names T twice" in capsys.readouterr().err
    assert main(["info", str(series), "--at", "T=2", "--at", "time=2"]) == 0


def test_all_axes_that_were_not_chosen_are_told(tmp_path, console):
    path = ome(tmp_path / "a.ome.tif", np.zeros((2, 3, 4, 2, 8, 8), np.uint8), "TAZCYX")
    stack = open_image(arguments(path, ("time", 1)), console)
    assert stack.places == {"T": (1, 2), "A": (0, 3)}
    assert console._err.getvalue() == (
        "Takes position 0 of 3 along A; choose another with --at A=1.\n"
    )


def test_one_stack_says_nothing(tmp_path, console):
    path = ome(tmp_path / "a.ome.tif", IDS[:1])
    assert open_image(arguments(path), console).places == {}
    assert console._err.getvalue() == ""


@pytest.mark.parametrize(
    ("at", "says"),
    [
        ("T=3", "There is no T=3 in series; the first is 0, the last one is 2."),
        ("Q=1", "There is no axis “Q” in series; it has T, Z, Y, X."),
        ("T", "'T' is not AXIS=INDEX, such as T=2; the first is 0"),
        ("T=-1", "'T=-1' is not AXIS=INDEX"),
        ("y=1", "rows and columns are taken whole; name another axis"),
    ],
)
def test_what_is_not_there_is_refused(series, capsys, at, says):
    assert main(["info", str(series), "--at", at]) == 2
    assert says in capsys.readouterr().err


def test_the_finest_level_is_of_the_same_time_point(series, console):
    args = arguments(series, ("T", 1))
    assert (open_finest(args, open_image(args, console)).plane(0) == 2).all()


def test_labels_are_of_the_time_point_of_the_image(series, console):
    args = arguments(series, ("T", 2), labels=series, slices=None, names="3=c", complete=False)
    paint = _paint(args, open_image(args, console), console)
    assert [one.index for one in paint.annotated] == [0, 1, 2, 3]
    assert all((one.targets == 3).all() for one in paint.annotated)
    assert console._err.getvalue() == ""


def test_labels_of_one_stack_belong_to_any_time_point(series, tmp_path, console):
    stack = open_image(arguments(series, ("T", 2)), console)
    alone = ome(tmp_path / "labels.ome.tif", IDS[1], "ZYX")
    assert (open_labels(alone, stack, console).labels == 2).all()


def test_time_points_of_labels_that_the_image_lacks_are_told(series, tmp_path, console):
    image = open_image(arguments(ome(tmp_path / "i.ome.tif", IDS[0], "ZYX")), console)
    assert (open_labels(series, image, console).labels == 1).all()
    assert "Takes time point 0 of 3 of series.ome.tif; save what" in console._err.getvalue()


def test_labels_with_fewer_time_points_are_refused(series, tmp_path, console):
    stack = open_image(arguments(series, ("T", 2)), console)
    fewer = ome(tmp_path / "labels.ome.tif", IDS[:2])
    with pytest.raises(InputError, match="no T=2 in labels; the first is 0, the last one is 1"):
        open_labels(fewer, stack, console)


def test_evaluate_compares_one_time_point(series, tmp_path, capsys):
    masks = str(ome(tmp_path / "masks.ome.tif", IDS[1], "ZYX"))
    assert main(["evaluate", masks, str(series), "--at", "T=1", "--json"]) == 0
    told = capsys.readouterr()
    assert (json.loads(told.out)["dice"], told.err) == (1.0, "")
    assert main(["evaluate", masks, str(series)]) == 0
    assert "Takes time point 0 of 3; choose another with --at T=1." in capsys.readouterr().err
    assert main(["evaluate", masks, str(series), "--at", "P=1"]) == 2
    assert "Neither file has anything to choose at P=1" in capsys.readouterr().err
