"""What is left of an adapt that could not come to its end."""

from __future__ import annotations

import io

import pytest

from napari_salt.cli import main
from napari_salt.commands import adapt
from napari_salt.commands.console import Console
from napari_salt.commands.unfinished import unfinished_masks
from napari_salt.engine.requests import AdapterSaved
from napari_salt.errors import InputError, OutputError
from napari_salt.io.mask_store import MadeOf, MaskStore
from napari_salt.records import Label, StackInfo


@pytest.mark.parametrize(
    ("error", "code"), [(OutputError("The disk is full; free some."), 2), (KeyboardInterrupt, 130)]
)
@pytest.mark.parametrize("saved", [True, False])
def test_the_first_fit_that_is_kept_is_told(
    data, tmp_path, monkeypatch, capsys, error, code, saved
):
    out = tmp_path / "a.safetensors"

    def cut_off(request, planes, console, *, on_report):
        if saved:
            on_report(AdapterSaved(request.out, 1000, provisional=True))
        raise error

    monkeypatch.setattr(adapt, "run_here", cut_off)
    files = (data / "image.tif", data / "labels.tif")
    arguments = ("adapt", *files, "--names", "1=disk,2=box", "--out", out)
    assert main([str(argument) for argument in arguments]) == code
    told = capsys.readouterr().err
    assert (f"The first fit is kept in '{out}'." in told) is saved


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("the drive is gone")])
def test_an_adapter_that_is_there_stays_until_there_is_a_better_one(
    data, tmp_path, monkeypatch, capsys, error
):
    out = tmp_path / "a.salt.safetensors"
    out.write_text("the old one")
    (tmp_path / "a.first-fit.salt.safetensors").write_text("of a run before")

    def cut_off(request, planes, console, *, on_report):
        assert request.out == out
        request.first.write_text("the first fit")
        on_report(AdapterSaved(request.first, 1000, provisional=True))
        raise error

    monkeypatch.setattr(adapt, "run_here", cut_off)
    files = (data / "image.tif", data / "labels.tif")
    arguments = ("adapt", *files, "--names", "1=disk,2=box", "--out", out)
    assert main([str(argument) for argument in arguments]) != 0
    first = tmp_path / "a.first-fit-2.salt.safetensors"
    told = capsys.readouterr().err
    assert f"The first fit is kept in '{first}'; '{out}' is as it was." in told
    assert sorted(file.read_text() for file in tmp_path.iterdir()) == [
        "of a run before",
        "the first fit",
        "the old one",
    ]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("a.salt.safetensors", "a.first-fit.salt.safetensors"),
        ("a.b.SALT.safetensors", "a.b.first-fit.SALT.safetensors"),
        ("a.safetensors", "a.first-fit.safetensors"),
    ],
)
def test_a_first_fit_is_called_after_its_adapter(tmp_path, name, first):
    assert adapt._first_beside(tmp_path / name) is None
    (tmp_path / name).touch()
    assert adapt._first_beside(tmp_path / name) == tmp_path / first


def test_masks_that_cannot_be_begun_leave_no_folder(tmp_path, monkeypatch):
    def full(path, made_of, info):
        (path / "half").touch()
        raise OutputError("The disk is full; free some.")

    monkeypatch.setattr(MaskStore, "begin", full)
    made_of = MadeOf("a" * 64, "b" * 64, (2, 3, 4), (Label(1, "disk"),), uncertainty=False)
    console = Console(as_json=False, out=io.StringIO(), err=io.StringIO())
    run = unfinished_masks(tmp_path / "m.tif", made_of, StackInfo((2, 3, 4)), console, resume=False)
    with pytest.raises(OutputError), run:
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("resume", [True, False])
def test_a_run_that_goes_on_is_not_called_an_earlier_one(tmp_path, resume):
    made_of = MadeOf("a" * 64, "b" * 64, (2, 3, 4), (Label(1, "disk"),), uncertainty=False)
    console = Console(as_json=False, out=io.StringIO(), err=io.StringIO())

    def begun(resume):
        info = StackInfo((2, 3, 4))
        return unfinished_masks(tmp_path / "m.tif", made_of, info, console, resume=resume)

    with (
        begun(False),
        pytest.raises(InputError, match="Another run is writing"),
        begun(resume),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
