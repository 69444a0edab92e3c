"""What is left of an adapt that could not come to its end."""

from __future__ import annotations

import pytest

from napari_salt.cli import main
from napari_salt.commands import adapt
from napari_salt.engine.requests import AdapterSaved
from napari_salt.errors import OutputError


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
