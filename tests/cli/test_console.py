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
from napari_salt.commands.parsing import parse_list, parse_names
from napari_salt.errors import InputError
from napari_salt.io.write import write_masks

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
    assert done.returncode == 2
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
