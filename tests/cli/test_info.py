"""What ``info`` tells of an adapter for other stacks than its own."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save

from descriptions import described
from napari_salt.cli import main
from napari_salt.errors import AdapterError
from napari_salt.model.adapter_file import load_adapter
from napari_salt.model.adapter_header import HEADER_KEY
from napari_salt.records import FitRecord, Label


def adapter(path, **told):
    record = FitRecord("salt", "lite-medsam", (0,), 0, 0.1, 9, "first fit")
    info = described((Label(1, "cell"),), record, along_stack=False, **told)
    tensors = {"x": np.zeros(400, np.float32), "y": np.ones(3, np.float32)}
    path.write_bytes(save(tensors, metadata={HEADER_KEY: info.to_json()}))
    return path


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"this_stack_only": True}, "nothing was learned for them"),
        ({}, "no adapter of their own"),
        ({"instruments": True, "noise": 0.01}, "of the same range and noise are seen as its own"),
        ({"instruments": True}, "no adapter of their own"),  # an older file: it knows no noise
    ],
)
def test_other_stacks_are_told_of(tmp_path, capsys, told, words):
    path = adapter(tmp_path / "a.salt.safetensors", **told)
    assert main(["info", str(path)]) == 0
    (line,) = [one for one in capsys.readouterr().out.splitlines() if one.startswith("other")]
    assert words in line
    assert ("range and noise" in line) is ("range and noise" in words)


@pytest.mark.parametrize("change", [lambda whole: whole[:-1], lambda whole: whole[:-1000]])
def test_an_adapter_cut_short_is_refused_as_segment_refuses_it(tmp_path, capsys, change):
    path = adapter(tmp_path / "a.salt.safetensors")
    path.write_bytes(change(path.read_bytes()))
    assert main(["info", str(path)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    with pytest.raises(AdapterError, match="is damaged and cannot be read; use another") as caught:
        load_adapter(path)
    assert told.err == f"napari-salt: {caught.value}\n"
