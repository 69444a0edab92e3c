"""One real pass of adapt, segment, suggest, evaluate, info on a tiny stack; in order, each in its own process."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import tifffile
from cli_data import disks

from napari_salt.commands.segment import seen_as
from napari_salt.model.adapter_file import load_adapter, save_adapter
from napari_salt.model.conditions import Conditions

NAMES = "1=small disk,2=wide box"
ADAPT = ("adapt", "image.tif", "labels.tif", "--names", NAMES, "--complete", "--slices", "1,5")
FAST = ("--steps", "2", "--device", "cpu", "--this-stack-only")


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory, monkeypatch_module):
    monkeypatch_module.setenv("NAPARI_SALT_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def adapted(cli, data):
    """What ``adapt --json`` says; the adapter is a.salt.safetensors."""
    return cli.json(*ADAPT, *FAST, "--out", "a.salt.safetensors")


@pytest.fixture(scope="module")
def segmented(cli, adapted):
    """What ``segment --json`` says; masks.tif and unsure.tif."""
    return cli.json(
        "segment",
        "image.tif",
        "a.salt.safetensors",
        "--out",
        "masks.tif",
        "--uncertainty",
        "unsure.tif",
    )


def test_adapt_says_what_it_did(adapted, data):
    assert adapted["slices"] == [1, 5]
    assert adapted["labels"] == {"1": "small disk", "2": "wide box"}
    assert adapted["seconds"] > 0
    assert adapted["steps"] <= 2
    assert adapted["trainable_parameters"] > 0
    assert (adapted["elsewhere_steps"], adapted["elsewhere_dice"]) == (0, None), "this stack only"
    assert adapted["size_bytes"] == (data / "a.salt.safetensors").stat().st_size


def test_masks_have_the_shape_sizes_unit_and_names(segmented, data):
    with tifffile.TiffFile(data / "masks.tif") as tif:
        masks = tif.asarray()
        assert tif.imagej_metadata["spacing"] == 2.0
        assert tif.imagej_metadata["unit"] == "mm"
        assert tif.pages[0].tags["XResolution"].value == (2, 1)
        assert "small disk" in tif.imagej_metadata["Info"]
    assert masks.shape == (7, 48, 48)
    assert masks.dtype == np.uint8
    assert set(np.unique(masks)) == {0, 1, 2}
    unsure = tifffile.imread(data / "unsure.tif")
    assert unsure.dtype == np.float32
    assert unsure.shape == masks.shape
    assert 0 <= unsure.min() < unsure.max() <= 1
    assert segmented["pixels"] == {
        "small disk": int((masks == 1).sum()),
        "wide box": int((masks == 2).sum()),
    }


def test_segment_says_how_the_stack_was_seen(cli, segmented, adapted):
    assert segmented["stack"] == "painted"
    shown = segmented["intensity"]
    assert shown == {"low": [20.0], "high": [219.0], "method": "percentile", "gamma": 1.0}
    done = cli("segment", "image.tif", "a.salt.safetensors", "--slices", "2", "--out", "t.tif")
    assert "The painted stack: intensities 20 .. 219 shown as black and white\n" in done.stdout
    assert done.stdout.endswith("\nt.tif\n")


def test_a_contrast_that_was_matched_is_told():
    found = Conditions((3.0,), (1200.0,), "percentile", 1.2345, "other")
    assert seen_as(found) == (
        "Another stack than was painted: intensities 3 .. 1200 shown as black and white, contrast "
        "matched to that of the painted one (gamma 1.2)"
    )


def test_masks_are_right(cli, segmented):
    scores = cli.json("evaluate", "masks.tif", "labels.tif", "--slices", "0,2-4,6")
    assert scores["dice"] > 0.9
    assert scores["slices"] == 5
    assert set(scores["labels"]) == {"small disk", "wide box"}
    assert scores["unit"] == "mm"


def test_single_objects_as_nifti_and_their_table(cli, data, adapted):
    said = cli.json(
        *("segment", "image.tif", "a.salt.safetensors", "--slices", "2-3", "--volume"),
        *("--out", "m.nii.gz", "--objects", "watershed", "--table", "t.csv"),
    )
    assert (said["masks"], said["table"]) == ("m.nii.gz", "t.csv")
    image = nibabel.load(data / "m.nii.gz")
    np.testing.assert_allclose(image.header.get_zooms(), (0.5, 0.5, 2.0))
    found = np.unique(np.asarray(image.dataobj)).tolist()
    lines = (data / "t.csv").read_text(encoding="utf-8-sig").splitlines()
    assert "volume (mm³)" in lines[0]
    assert len(lines) - 1 == len(found) - 1 == max(found)
    assert "small disk 1" in (data / "m.labels.txt").read_text()


def test_slices_not_asked_for_are_0(cli, data, adapted):
    cli.json("segment", "image.tif", "a.salt.safetensors", "--out", "some.tif", "--slices", "2-3,6")
    masks = tifffile.imread(data / "some.tif")
    assert masks.shape == (7, 48, 48)
    assert [bool(plane.any()) for plane in masks] == [False, False, True, True, False, False, True]


def test_a_near_name_is_taken_and_told(cli, data, adapted):
    done = cli(
        "segment",
        "image.tif",
        "a.salt.safetensors",
        "--out",
        "near.tif",
        "--labels",
        "small disks",
        "--slices",
        "1",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    assert "Using 'small disk' for 'small disks'." in done.stderr
    (resolved,) = json.loads(done.stdout)["resolved"]
    assert (resolved["asked"], resolved["used"], resolved["exact"]) == (
        "small disks",
        "small disk",
        False,
    )
    assert set(np.unique(tifffile.imread(data / "near.tif"))) == {0, 1}


def test_a_far_name_is_refused_with_the_list(cli, data, adapted):
    done = cli(
        "segment", "image.tif", "a.salt.safetensors", "--out", "far.tif", "--labels", "parliament"
    )
    assert done.returncode == 2
    assert "small disk" in done.stderr
    assert "wide box" in done.stderr
    assert done.stdout == ""
    assert not (data / "far.tif").exists()


def test_suggest_leaves_labelled_slices_out(cli, adapted):
    answer = cli.json("suggest", "image.tif", "a.salt.safetensors", "-k", "2")
    chosen = [one["slice"] for one in answer["suggestions"]]
    assert answer["labelled"] == [1, 5]
    assert chosen
    assert not set(chosen) & {1, 5}
    assert all(one["reason"] for one in answer["suggestions"])
    text = cli("suggest", "image.tif", "a.salt.safetensors", "-k", "1", "--labelled", "0-4,6")
    assert text.stdout.startswith("slice 5: ")


def test_info_tells_all_without_torch(cli, adapted):
    done = cli("info", "a.salt.safetensors", "--json", light=True)
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert [label["name"] for label in told["labels"]] == ["small disk", "wide box"]
    assert told["steps"] == adapted["steps"]
    assert told["dice"] == adapted["dice"]
    text = cli("info", "a.salt.safetensors").stdout
    assert "small disk" in text
    assert told["this_stack_only"]
    assert "nothing was learned for them" in text


def test_a_second_round_starts_from_the_first(cli, adapted):
    again = cli.json(
        *ADAPT[:-1], "1,3,5", *FAST, "--out", "b.salt.safetensors", "--init", "a.salt.safetensors"
    )
    assert again["slices"] == [1, 3, 5]


def test_the_image_must_be_like_the_trained_one(cli, adapted):
    done = cli("segment", "colour.tif", "a.salt.safetensors", "--out", "c.tif", light=True)
    assert done.returncode == 2
    assert "trained on grey images and this one is colour" in done.stderr


def test_an_image_of_one_value_is_refused(cli, data, adapted):
    done = cli("segment", "blank.tif", "a.salt.safetensors", "--out", "blank_masks.tif", light=True)
    assert done.returncode == 2
    assert "The image holds one value only (7)" in done.stderr
    assert not (data / "blank_masks.tif").exists()


def test_an_adapter_of_other_base_weights_is_refused_with_both_hashes(cli, data, adapted):
    ours = load_adapter(data / "a.salt.safetensors")
    told, other = ours.info.weights_sha256, ours.info.weights_sha256[::-1]
    save_adapter(
        data / "other.salt.safetensors",
        replace(ours, info=replace(ours.info, weights_sha256=other)),
    )
    done = cli("segment", "image.tif", "other.salt.safetensors", "--out", "o.tif", light=True)
    assert done.returncode == 2
    assert told in done.stderr
    assert other in done.stderr


def test_a_stack_of_one_colour_plane(cli, data):
    image, labels = disks(1)
    tifffile.imwrite(data / "plane.tif", np.stack([image[0]] * 3, -1), photometric="rgb")
    tifffile.imwrite(data / "plane_labels.tif", np.where(labels[0] == 1, 255, 0).astype(np.uint8))
    done = cli(
        "adapt",
        "plane.tif",
        "plane_labels.tif",
        "--names",
        "255=disk",
        "--complete",
        *FAST,
        "--steps",
        "0",
        "--out",
        "plane.salt.safetensors",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    assert "'disk' gets id 1" in done.stderr
    cli.json("segment", "plane.tif", "plane.salt.safetensors", "--out", "plane_masks.tif")
    assert tifffile.imread(data / "plane_masks.tif").squeeze().shape == (48, 48)
    # The reference says 255, the masks say 1: the name brings them together.
    scores = cli.json("evaluate", "plane_masks.tif", "plane_labels.tif", "--names", "255=disk")
    assert scores["dice"] > 0.9


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_keeps_the_first_fit(cli, data):
    """Also of a command that was started in the background of a script, where a shell has it ignore Ctrl-C."""
    started = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "napari_salt.cli",
            *ADAPT,
            "--out",
            "c.salt.safetensors",
            "--steps",
            "100000",
            "--device",
            "cpu",
        ],
        cwd=data,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    # Past the first fit, whose adapter is on disk from then on.
    assert any("scoring" in line or "adapting" in line for line in started.stderr)
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=60)
    assert started.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert "The first fit is kept in 'c.salt.safetensors'." in err
    cli.json("segment", "image.tif", "c.salt.safetensors", "--out", "c.tif", "--slices", "1")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs a shell")
def test_an_answer_to_a_closed_pipe_is_no_error(cli, adapted):
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m napari_salt.cli info a.salt.safetensors | true"],
        cwd=cli.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""


def test_a_window_is_kept_told_and_asked_for(cli, data):
    window = ("--kind", "none", "--window", "-10,250", "--out", "w.salt.safetensors")
    cli.json(*ADAPT, *FAST, *window)
    assert "-10 .. 250, of 20 .. 219" in cli("info", "w.salt.safetensors", light=True).stdout
    image, _ = disks()
    tifffile.imwrite(data / "bright.tif", image + np.int16(3000), photometric="minisblack")
    done = cli("segment", "bright.tif", "w.salt.safetensors", "--out", "x.tif", light=True)
    assert done.returncode == 2
    assert "3020 .. 3219, outside of the window -10 .. 250" in done.stderr
    again = ("--init", "w.salt.safetensors", "--percentiles", "1,99", "--out", "v.safetensors")
    done = cli(*ADAPT, *FAST, *again, light=True)
    assert done.returncode == 2
    assert "cannot be continued with 1 % .. 99 %" in done.stderr
