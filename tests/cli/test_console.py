"""Streams that take less than one thinks: old encodings, a full disk, none at all."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from napari_salt.commands.console import Console
from napari_salt.commands.parsing import parse_list, parse_names, parse_slices
from napari_salt.errors import InputError
from napari_salt.io.write import write_masks
from napari_salt.records import StepReport

NAMES = {1: "Zellkörper µm³", 2: "細胞 🙂"}


@pytest.fixture
def masks(tmp_path):
    ids = np.array([[[0, 1, 1], [2, 2, 0]]], np.uint8)
    return write_masks(tmp_path / "m.tif", ids, names=NAMES)


def evaluate(masks, *more, streams="", **variables):
    """``napari-salt evaluate`` of masks with themselves, in a process, where need be by a line of shell."""
    words = [sys.executable, "-m", "napari_salt.cli", "evaluate", str(masks), str(masks), *more]
    if streams:
        words = ["sh", "-c", f'"$@" {streams}', "sh", *words]
    return subprocess.run(
        words, capture_output=True, check=False, timeout=120, env=os.environ | variables
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_an_encoding_without_a_letter_ends_no_command(masks, encoding):
    done = evaluate(masks, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"1.000" in done.stdout
    done = evaluate(masks, "--json", PYTHONIOENCODING=encoding)
    assert list(json.loads(done.stdout.decode(encoding))["labels"]) == [*NAMES.values()]


def test_letters_are_as_they_are_where_the_stream_has_them():
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    Console(as_json=True, out=out, err=io.StringIO()).answer("", {"name": NAMES[2]})
    assert NAMES[2] in out.buffer.getvalue().decode()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("more", [(), ("--json",)], ids=["text", "JSON"])
def test_an_answer_to_a_full_disk_is_a_sentence(masks, more):
    done = evaluate(masks, *more, streams="> /dev/full")
    assert done.returncode == 1
    assert done.stderr.decode().startswith(
        "napari-salt: The answer cannot be written (No space left"
    )
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(os.name == "nt", reason="a shell closes the streams")
@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-"])
def test_streams_may_be_closed(masks, streams):
    done = evaluate(masks, streams=streams)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (b"1.000" in done.stdout) is (streams == "2>&-")


@pytest.mark.parametrize("parse", [parse_names, parse_list])
def test_names_that_the_terminal_could_not_read_are_refused(parse):
    with pytest.raises(
        InputError, match=r"'1=\\udcdcber' are not in the encoding of this terminal"
    ):
        parse("1=\udcdcber")


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), OSError(28, "No space")])
def test_a_note_that_nobody_can_read_ends_no_job(monkeypatch, error):
    gone = io.StringIO()
    monkeypatch.setattr(gone, "write", lambda text: (_ for _ in ()).throw(error))
    out = io.StringIO()
    console = Console(as_json=False, out=out, err=gone)
    console.note("Going on with 3 of 7 slices done.")
    console.progress(StepReport("segmenting", 1, 7))
    console.answer("done", {})
    assert out.getvalue() == "done\n"


@pytest.mark.skipif(os.name == "nt", reason="a shell closes the streams")
def test_an_error_that_nobody_reads_is_one_all_the_same(tmp_path):
    missing = tmp_path / "missing.tif"
    for streams in ("2>&-", "2> /dev/full"):
        if "full" not in streams or os.path.exists("/dev/full"):
            assert evaluate(missing, streams=streams).returncode == 2
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "napari_salt.cli", "info", str(missing)]
    try:
        done = subprocess.run(words, stderr=writer, check=False, timeout=120)
    finally:
        os.close(writer)
    assert done.returncode == 2


@pytest.mark.parametrize("parse", [parse_names, lambda text: parse_slices(text, 9)])
def test_numbers_without_end_are_refused(parse):
    with pytest.raises(InputError, match="Cannot read"):
        parse("9" * 5000 + "=cell" * (parse is parse_names))


def test_names_in_files_do_not_steer_the_terminal(tmp_path):
    steering = "cell\x1b[2J\x9b31m\r"
    ids = np.array([[[0, 1, 1], [2, 2, 0]]], np.uint8)
    masks = write_masks(tmp_path / "m\x1b[31m.tif", ids, names={1: steering, 2: "box"})
    plain, told = evaluate(masks), evaluate(masks, "--json")
    missing = evaluate(tmp_path / "none\x1b[31m\n.tif")
    for done in (plain, told, missing):
        text = (done.stdout + done.stderr).decode()
        assert not set(text) & set("\x1b\x9b\r")
    assert r"cell\x1b[2J\x9b31m\r" in plain.stdout.decode()
    assert json.loads(told.stdout)["labels"][steering]["dice"] == 1.0
    assert len(missing.stderr.splitlines()) == 1
