"""Commands take every format that is read, and say what to choose where there are several images."""

from __future__ import annotations

import argparse
import io

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from cli_data import disks

from format_data import dicom_series
from napari_salt.cli import main
from napari_salt.commands.console import Console
from napari_salt.commands.images import open_finest, open_image, open_labels
from napari_salt.errors import InputError
from napari_salt.io.export import export_masks
from napari_salt.io.writing.ome_zarr import write_alone
from napari_salt.records import Label, Origin, StackInfo


@pytest.fixture
def console():
    return Console(as_json=False, out=io.StringIO(), err=io.StringIO())


def opened(path, console, level=0, series=None, at=()):
    return open_image(argparse.Namespace(image=path, level=level, series=series, at=at), console)


def test_info_tells_how_an_image_is_read(tmp_path, capsys):
    image = nibabel.Nifti1Image(np.zeros((5, 4, 3), np.int16), np.diag([-1, 1, 2.5, 1]))
    nibabel.save(image, tmp_path / "t1.nii.gz")
    assert main(["info", str(tmp_path / "t1.nii.gz")]) == 0
    told = capsys.readouterr().out
    assert "t1 (nifti)" in told
    assert "3 slices along Z, 4 × 5 pixels" in told
    assert "grey, int16" in told
    assert "2.5 mm × 1 mm × 1 mm" in told


def test_info_tells_where_an_ome_zarr_lies(tmp_path, capsys):
    info = StackInfo((2, 3, 4), units=("um",) * 3, origin=Origin(offset=(10.0, 0.0, -2.5)))
    write_alone(tmp_path / "m.ome.zarr", np.ones((2, 3, 4), int), info, ())
    assert main(["info", str(tmp_path / "m.ome.zarr")]) == 0
    assert "10 um, 0 um, -2.5 um (slices, rows, columns)" in capsys.readouterr().out


def test_several_series_are_listed_and_chosen(tmp_path, capsys):
    folder = dicom_series(tmp_path / "s", np.zeros((3, 4, 4), np.uint8))
    other = dicom_series(tmp_path / "o", np.zeros((2, 4, 4), np.uint8), SeriesInstanceUID="1.9")
    for file in other.iterdir():
        file.rename(folder / f"o{file.name}")
    assert main(["info", str(folder)]) == 2
    refusal = capsys.readouterr().err
    assert "holds 2 series" in refusal
    assert "--series 1.2.3" in refusal
    assert main(["info", str(folder), "--series", "1.9"]) == 0
    assert "2 slices along Z" in capsys.readouterr().out


def test_a_dataset_is_part_of_the_name(tmp_path, capsys):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = file["other"] = np.zeros((3, 4, 5), np.uint8)
    assert main(["info", str(tmp_path / "a.h5")]) == 2
    assert "a.h5::/other" in capsys.readouterr().err
    assert main(["info", f"{tmp_path / 'a.h5'}::/raw"]) == 0


def test_what_the_reader_has_to_say_is_said(tmp_path, console):
    folder = dicom_series(tmp_path / "s", np.zeros((8, 4, 4), np.uint8), skip=(3,))
    opened(folder, console)
    assert "1 slice seems to be missing" in console._err.getvalue()


def test_labels_of_an_ome_zarr_at_the_image_s_level(tmp_path, console):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=3)
    for level, length in enumerate((8, 4)):
        for place in ("", "labels/cells/"):
            group.create_array(f"{place}{level}", data=np.zeros((2, length, length), np.uint8))
    levels = [
        {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 1]}]}
        for level in range(2)
    ]
    image = {"axes": [{"name": name} for name in "zyx"], "datasets": levels}
    for node in (group, group["labels/cells"]):
        node.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    group["labels"].attrs["ome"] = {"labels": ["cells"]}
    stack = opened(tmp_path / "a.zarr", console, level=1)
    assert (
        open_labels(tmp_path / "a.zarr", stack, console, level=1).shape
        == stack.info.shape
        == (2, 4, 4)
    )


def test_evaluate_compares_labels_of_different_formats(tmp_path, capsys):
    _, labels = disks()
    ids = np.asarray(labels, np.uint8)
    nibabel.save(nibabel.Nifti1Image(ids.transpose(2, 1, 0), np.eye(4)), tmp_path / "r.nii.gz")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["exported_data"] = ids
    files = [str(tmp_path / "m.h5"), str(tmp_path / "r.nii.gz")]
    assert main(["evaluate", *files]) == 0
    assert "1.000" in capsys.readouterr().out


def test_evaluate_compares_a_segmentation_of_3d_slicer_with_a_meta_image(tmp_path, capsys):
    _, labels = disks()
    named = tuple(Label(at, name, (1, 0, 0, 1)) for at, name in enumerate(("disk", "box"), 1))
    info = StackInfo(labels.shape, spacing=(2, 1, 1), units=("mm",) * 3, origin=Origin("/a", "x"))
    for name in ("m.seg.nrrd", "r.mha"):
        export_masks(tmp_path / name, labels, info, named)
    assert main(["evaluate", str(tmp_path / "m.seg.nrrd"), str(tmp_path / "r.mha")]) == 0
    told = capsys.readouterr().out
    assert "disk    1.000   1.000    0.00" in told
    assert main(["info", str(tmp_path / "r.mha")]) == 0
    assert "2 mm × 1 mm × 1 mm" in capsys.readouterr().out


def test_the_finest_level_of_a_tiff(tmp_path, console):
    path, data = tmp_path / "p.ome.tif", np.zeros((3, 64, 48), np.uint8)
    with tifffile.TiffWriter(path) as tif:
        sizes = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2}
        common = {"tile": (16, 16), "photometric": "minisblack"}
        tif.write(data, subifds=1, metadata=sizes, **common)
        tif.write(data[:, ::2, ::2], subfiletype=1, **common)
    args = argparse.Namespace(image=path, level=1, series=None, at=[])
    coarse = open_image(args, console)
    finest = open_finest(args, coarse).info
    assert (coarse.info.shape, finest.shape) == ((3, 32, 24), (3, 64, 48))
    assert (coarse.info.spacing, finest.spacing) == ((2, 1, 1), (2, 0.5, 0.5))


def test_levels_whose_slices_run_along_other_axes_are_refused(tmp_path, console):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=3)
    group.create_array("0", data=np.zeros((2, 4, 8, 8), np.uint8))
    group.create_array("1", data=np.zeros((2, 1, 4, 4), np.uint8))
    image = {
        "axes": [{"name": name} for name in "tzyx"],
        "datasets": [{"path": "0"}, {"path": "1"}],
    }
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    args = argparse.Namespace(image=tmp_path / "a.zarr", level=1, series=None, at=[])
    with pytest.raises(InputError, match="along T and level 0 along Z; choose a finer level"):
        open_finest(args, open_image(args, console))
