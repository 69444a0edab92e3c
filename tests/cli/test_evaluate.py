"""Which id of the masks is compared with which id of the reference."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest

from napari_salt.cli import main
from napari_salt.io.write import write_masks

LABELS = np.array([[[0, 1, 1], [2, 2, 0]], [[0, 1, 0], [0, 2, 2]]], np.uint8)


def evaluate(capsys, *arguments):
    assert main(["evaluate", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def reference(tmp_path):
    return write_masks(tmp_path / "reference.tif", LABELS)


def test_equal_files_score_1_and_ids_without_names_still_count(capsys, reference):
    told = evaluate(capsys, reference, reference)
    assert told["dice"] == told["iou"] == 1.0
    assert told["hd95"] == 0.0
    assert list(told["labels"]) == ["label 1", "label 2"]


def test_half_an_overlap(capsys, reference, tmp_path):
    half = LABELS.copy()
    half[0, 0, 2] = 0
    told = evaluate(capsys, write_masks(tmp_path / "half.tif", half), reference)
    assert told["labels"]["label 1"]["dice"] == pytest.approx(2 * 2 / (2 + 3))
    assert told["labels"]["label 2"]["dice"] == 1.0


def test_names_bring_other_ids_together(capsys, reference, tmp_path):
    swapped = np.array([0, 2, 1], np.uint8)[LABELS]
    masks = write_masks(tmp_path / "swapped.tif", swapped, names={1: "box", 2: "Disk"})
    assert evaluate(capsys, masks, reference, "--names", "1=disk,2=box")["dice"] == 1.0
    assert evaluate(capsys, masks, reference)["dice"] == 0.0


def test_an_id_that_belongs_to_another_name_is_not_taken_for_the_missing_one(
    capsys, reference, tmp_path
):
    only_box = np.where(LABELS == 2, 1, 0).astype(np.uint8)
    masks = write_masks(tmp_path / "box.tif", only_box, names={1: "box"})
    told = evaluate(capsys, masks, reference, "--names", "1=disk,2=box")
    assert told["labels"]["box"]["dice"] == 1.0
    assert told["labels"]["disk"]["dice"] == 0.0
    assert told["labels"]["disk"]["hd95"] is None


def test_background_is_not_scored(capsys, reference):
    told = evaluate(capsys, reference, reference, "--names", "1=disk,2=background")
    assert list(told["labels"]) == ["disk"]


def test_text_has_a_line_for_each_label_and_the_mean(capsys, reference):
    assert main(["evaluate", str(reference), str(reference), "--slices", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["label", "label", "label", "mean"]


def test_masks_that_lie_beside_the_reference_are_told_and_scored(capsys, tmp_path):
    for name, start in {"here": 0, "there": 5}.items():
        affine = np.diag((1.0, 1.0, 2.0, 1.0))
        affine[0, 3] = start
        nibabel.save(nibabel.Nifti1Image(LABELS.T, affine), tmp_path / f"{name}.nii")
    here, there = str(tmp_path / "here.nii"), str(tmp_path / "there.nii")
    assert main(["evaluate", here, there, "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["dice"] == 1.0
    assert "differ in first voxel; they are laid on each other voxel by voxel" in told.err
