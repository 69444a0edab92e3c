"""A run that is cut off at any moment goes on where it was, and ends with the very file of a run in one piece."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest
import tifffile

from napari_salt.commands.unfinished import store_beside
from napari_salt.io.mask_store import MaskStore

SEGMENT = ("segment", "image.tif", "a.salt.safetensors")
CUTS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def folder(cli, tiny_work):
    """The tiny stack in the folder of the command line."""
    for name in ("image.tif", "a.salt.safetensors"):
        target = cli.folder / name
        if not target.exists():
            os.link(tiny_work / name, target)
    return cli.folder


def cut_off(folder, out, cut: signal.Signals, least: int, wait: float):
    """Start a run with --resume and end it once ``least`` slices are done, a little later."""
    command = [sys.executable, "-m", "napari_salt.cli", *SEGMENT, "--out", out, "--resume"]
    running = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    path = store_beside(folder / out)
    while running.poll() is None:
        if MaskStore.is_store(path) and len(MaskStore.open_store(path).done()) >= least:
            time.sleep(wait)
            break
        time.sleep(0.02)
    running.send_signal(cut)
    _, told = running.communicate(timeout=60)
    return running.returncode, told


def test_runs_cut_off_at_random_moments_end_with_the_masks_of_one_run(cli, folder):
    chance, out = random.Random(5), "masks.tif"
    cli.json(*SEGMENT, "--out", "whole.tif")
    done = 0
    for cut in CUTS:
        code, told = cut_off(folder, out, cut, done + chance.randint(1, 60), chance.random() / 10)
        store = MaskStore.open_store(store_beside(folder / out))
        assert not (folder / out).exists()
        assert done < len(store.done()) < 300, "each run goes on where the one before was"
        done = len(store.done())
        if cut != signal.SIGKILL:
            assert code == 128 + cut
            assert f"{done} of 300 slices are kept; add --resume" in told
    refused = cli(*SEGMENT, "--out", out, light=True)
    assert refused.returncode == 2
    assert f"left {done} of 300 slices of 'masks.tif' unfinished; add --resume" in refused.stderr
    other = cli(*SEGMENT, "--out", out, "--resume", "--labels", "disk")
    assert other.returncode == 2
    assert "were made for other labels (disk, box)" in other.stderr
    ended = cli.json(*SEGMENT, "--out", out, "--resume")
    assert ended["slices"] == list(range(300))
    assert (folder / out).read_bytes() == (folder / "whole.tif").read_bytes()
    assert not store_beside(folder / out).exists()


def test_a_run_that_asks_for_fewer_slices_writes_these_only(cli, folder):
    """Also where an earlier run, cut off, has done others."""
    cut_off(folder, "few.tif", signal.SIGKILL, 10, 0)
    cli.json(*SEGMENT, "--out", "few.tif", "--slices", "3-5", "--resume")
    masks = tifffile.imread(folder / "few.tif")
    assert [bool(masks[index].any()) for index in range(2, 7)] == [False, True, True, True, False]
    assert not store_beside(folder / "few.tif").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--cluster", "tcp://10.0.0.3:8786"), "add --insecure"),
        (("--cluster", "nowhere"), "no address of a scheduler"),
        (("--workers", "2", "--tls-ca", "x.pem"), "certificates of their own"),
        (("--insecure",), "one of the two"),
    ],
)
def test_clusters_that_make_no_sense_are_refused_at_once(cli, folder, options, words):
    done = cli(*SEGMENT, "--out", "c.tif", *options, light=True)
    assert done.returncode == 2
    assert words in done.stderr
