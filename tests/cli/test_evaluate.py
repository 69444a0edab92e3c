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


def test_names_that_a_mac_took_apart_are_the_same_names(capsys, tmp_path):
    reference = write_masks(tmp_path / "r.tif", LABELS, names={1: "K\u00f6rper", 2: "box"})
    swapped = np.array([0, 2, 1], np.uint8)[LABELS]
    masks = write_masks(tmp_path / "m.tif", swapped, names={1: "box", 2: "Ko\u0308rper"})
    assert evaluate(capsys, masks, reference)["dice"] == 1.0


def test_ids_that_never_meet_are_told_with_the_way_out(capsys, tmp_path):
    reference = write_masks(tmp_path / "r.tif", np.where(LABELS == 1, 255, 0).astype(np.uint8))
    masks = write_masks(tmp_path / "m.tif", np.where(LABELS == 1, 1, 0), names={1: "cell"})
    arguments = ["evaluate", str(masks), str(reference)]
    assert main(arguments) == 0
    told = capsys.readouterr().err
    assert f"'{masks}' has the ids 1 and '{reference}' 255; match them by name" in told
    assert '--names "255=cell"' in told
    assert main([*arguments, "--names", "255=cell"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert "cell    1.000" in told.out
    bare = write_masks(tmp_path / "bare.tif", np.where(LABELS == 1, 1, 0))
    assert main(["evaluate", str(bare), str(reference)]) == 0
    assert "give equal things equal ids first" in capsys.readouterr().err


@pytest.mark.parametrize("grey_first", [True, False])
def test_an_image_in_place_of_labels_is_refused(capsys, tmp_path, grey_first):
    image = np.arange(1, 301, dtype=np.uint16).reshape(3, 10, 10)
    grey = write_masks(tmp_path / "grey.tif", image)
    masks = write_masks(tmp_path / "m.tif", (image > 100).astype(np.uint8))
    files = [str(grey), str(masks)] if grey_first else [str(masks), str(grey)]
    assert main(["evaluate", *files]) == 2
    assert f"'{grey}' holds 300 values without a name" in capsys.readouterr().err
    assert main(["evaluate", *files, "--names", "1=first"]) == 0


def test_an_id_that_belongs_to_another_name_is_not_taken_for_the_missing_one(
    capsys, reference, tmp_path
):
    only_box = np.where(LABELS == 2, 1, 0).astype(np.uint8)
    masks = write_masks(tmp_path / "box.tif", only_box, names={1: "box"})
    told = evaluate(capsys, masks, reference, "--names", "1=disk,2=box")
    assert told["labels"]["box"]["dice"] == 1.0
    assert told["labels"]["disk"]["dice"] == 0.0
    assert told["labels"]["disk"]["hd95"] is None


def test_distances_are_those_within_slices_and_said_to_be(capsys, tmp_path):
    reference = np.zeros((3, 8, 8), np.uint8)
    reference[:, 2, 2] = 1
    moved = np.roll(reference, 2, axis=1)
    moved[0] = 0
    files = [
        write_masks(
            tmp_path / f"{name}.ome.tif", data, spacing=(9, 500, 2), units=("mm", "um", "mm")
        )
        for name, data in {"moved": moved, "reference": reference}.items()
    ]
    told = evaluate(capsys, *files)
    assert (told["hd95"], told["unit"], told["hd95_within"]) == (1.0, "mm", "slices")
    assert told["labels"]["label 1"]["common_slices"] == 2
    assert main(["evaluate", *map(str, files)]) == 0
    assert "HD95 in slices (mm)" in capsys.readouterr().out


def test_rows_in_another_kind_of_unit_have_no_distance_to_columns(capsys, tmp_path):
    file = write_masks(tmp_path / "m.ome.tif", LABELS, spacing=(1, 2, 3), units=("um", "s", "um"))
    told = evaluate(capsys, file, file)
    assert (told["dice"], told["hd95"]) == (1.0, None)


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
