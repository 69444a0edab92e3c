"""Image files in a viewer: lazy layers with name, scale, units, axes, levels, and where they come from."""

from __future__ import annotations

from types import SimpleNamespace

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Image, Labels
from npe2 import PluginManager, PluginManifest
from ome_zarr.writer import write_image, write_labels

from format_data import dicom_series, marked_volume, world_of
from napari_salt.errors import ChoiceNeeded, InputError
from napari_salt.io import dicom_read
from napari_salt.io.export import export_masks
from napari_salt.io.read import read_stack
from napari_salt.records import Label, Origin
from napari_salt.viewer_link import ViewerLink, image_readers
from napari_salt.viewer_link.image_readers import add_file, file_reader, read_image
from napari_salt.viewer_link.readers import folder_reader, read_folder
from napari_salt.viewer_link.writers import write_labels as save_labels


@pytest.fixture(scope="module", autouse=True)
def plugins():
    manager = PluginManager.instance()
    manager.discover(include_npe1=False)
    if "napari" not in manager:
        manager.register(PluginManifest.from_distribution("napari"))


@pytest.fixture
def nifti(tmp_path):
    image = nibabel.Nifti1Image(marked_volume((7, 6, 5), (4, 1, 3)), np.diag([-1, 2, 2.5, 1]))
    nibabel.save(image, tmp_path / "t1.nii.gz")
    return tmp_path / "t1.nii.gz"


@pytest.fixture(params=[2, 3])
def cells(request, tmp_path):
    path = tmp_path / "cells.ome.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=request.param)
    sizes = {
        "scale": {"z": 2.0, "y": 0.5, "x": 0.25},
        "axes_units": dict.fromkeys("zyx", "micrometer"),
    }
    common = {"axes": "zyx", "scale_factors": [2], **sizes}
    write_image(np.zeros((4, 16, 12), np.uint16), group, **common)
    ids = np.zeros((4, 16, 12), np.uint8)
    ids[2, 8:, 6:] = 3
    texts = {
        "colors": [{"label-value": 3, "rgba": [255, 0, 0, 255]}],
        "properties": [{"label-value": 3, "name": "nucleus"}],
    }
    write_labels(ids, group, name="nuclei", scaler=None, label_metadata=texts, **common)
    return path


def stack_of(viewer, layer):
    link = ViewerLink(viewer)
    stack = link.images.open_stack(link.images.place(str(layer.unique_id)))
    link.close()
    return stack


def test_a_nifti_is_a_lazy_layer_that_knows_its_place(viewer, nifti):
    (layer,) = viewer.open(str(nifti), plugin="napari-salt")
    assert layer.name == "t1"
    assert layer.data.shape == (5, 6, 7)
    assert not isinstance(layer.data, np.ndarray)
    np.testing.assert_allclose(layer.scale, (2.5, 2, 1))
    assert [str(unit) for unit in layer.units] == ["millimeter"] * 3
    assert layer.axis_labels == ("z", "y", "x")
    info = stack_of(viewer, layer).info
    assert info.spacing == (2.5, 2, 1)
    assert info.units == ("mm", "mm", "mm")
    assert info.origin.path == str(nifti)
    np.testing.assert_allclose(world_of(info.origin.affine, (3, 1, 4)), (-4, 2, 7.5))


def test_along_another_axis_the_affine_does_not_hold(viewer):
    origin = Origin("/a.nii", "nifti", tuple(map(tuple, np.eye(4).tolist())))
    data, labels = np.zeros((2, 3, 4, 5), np.uint8), ("t", "z", "y", "x")
    layer = viewer.add_image(data, axis_labels=labels, metadata={"napari_salt_origin": origin})
    link = ViewerLink(viewer)
    key = str(layer.unique_id)
    assert link.images.open_stack(link.images.place(key, 1)).info.origin == origin
    along_time = link.images.open_stack(link.images.place(key, 0)).info.origin
    assert along_time == Origin("/a.nii", "nifti", None)
    link.close()


def test_layers_of_other_readers_tell_at_least_their_path(viewer, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 4, 5), np.uint8), photometric="minisblack")
    (layer,) = viewer.open(str(tmp_path / "a.tif"), plugin="napari")
    assert stack_of(viewer, layer).info.origin == Origin(str(tmp_path / "a.tif"))
    bare = viewer.add_image(np.zeros((3, 4, 5), np.uint8))
    assert stack_of(viewer, bare).info.origin == Origin()


def test_a_tiff_opened_by_this_plugin_is_lazy_and_has_levels_and_sizes(viewer, tmp_path):
    """napari's own reader takes the files that end so, to spare everybody a question at each; this one is asked for."""
    data = np.random.default_rng(0).integers(0, 255, (3, 64, 48), np.uint8)
    common = {"tile": (16, 16), "photometric": "minisblack"}
    with tifffile.TiffWriter(tmp_path / "p.ome.tif") as tif:
        sizes = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2}
        tif.write(data, subifds=1, metadata=sizes, **common)
        tif.write(data[:, ::2, ::2], subfiletype=1, **common)
    add_file(viewer, tmp_path / "p.ome.tif")
    (layer,) = viewer.layers
    assert layer.multiscale
    assert not isinstance(layer.data[0], np.ndarray), "nothing is read whole"
    np.testing.assert_allclose(layer.scale, (2, 0.5, 0.5))
    info = stack_of(viewer, layer).info
    assert (info.spacing, info.units) == ((2, 0.5, 0.5), ("um", "um", "um"))
    with pytest.raises(InputError, match="There is no file"):
        add_file(viewer, tmp_path / "gone.tif")


def test_an_ome_zarr_brings_its_levels_and_its_labels(viewer, cells, tmp_path):
    image, labels = viewer.open(str(cells), plugin="napari-salt")
    assert isinstance(image, Image)
    assert image.multiscale
    assert [level.shape for level in image.data] == [(4, 16, 12), (4, 8, 6)]
    np.testing.assert_allclose(image.scale, (2, 0.5, 0.25))
    assert [str(unit) for unit in image.units] == ["micrometer"] * 3
    assert isinstance(labels, Labels)
    assert labels.name == "nuclei"
    np.testing.assert_allclose(labels.scale, (2, 0.5, 0.25))
    assert labels.data[0][2, 8, 6] == labels.data[1][2, 4, 3] == 3
    np.testing.assert_allclose(labels.colormap.map(np.array([3]))[0], (1, 0, 0, 1))
    info = stack_of(viewer, image).info
    assert info.shape == (4, 16, 12)
    assert (info.origin.path, info.origin.format) == (str(cells), "ome-zarr")
    save_labels(str(tmp_path / "m.tif"), *labels.as_layer_data_tuple()[:2])


def test_a_level_by_itself_lies_over_the_whole_image(viewer, cells):
    image, labels = viewer.open(str(cells / "s1"), plugin="napari-salt")
    assert not image.multiscale
    assert (image.name, image.data.shape) == ("cells level 1", (4, 8, 6))
    np.testing.assert_allclose(image.scale, (2, 1, 0.5))
    assert [str(unit) for unit in image.units] == ["micrometer"] * 3
    info = stack_of(viewer, image).info
    assert info.spacing == (2, 1, 0.5)
    assert (info.origin.path, info.origin.format) == (str(cells), "ome-zarr")
    assert isinstance(labels, Labels)
    masks = np.zeros((4, 8, 6), np.uint8)
    masks[2, 4, 3] = 1
    export_masks("", masks, info, (Label(1, "cell"),), kind="ome-zarr labels")
    opened = {layer.name: layer for layer in viewer.open(str(cells), plugin="napari-salt")}
    written = opened["napari-salt"]
    np.testing.assert_allclose(written.scale, image.scale)
    assert np.asarray(written.data)[2, 4, 3] == 1


def test_a_label_image_by_itself_is_a_labels_layer(viewer, cells):
    (layer,) = viewer.open(str(cells / "labels" / "nuclei"), plugin="napari-salt")
    assert isinstance(layer, Labels)
    assert list(layer.features["name"]) == ["", "nucleus"]


def test_a_plain_zarr_and_a_shifted_one(viewer, tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group.create_array("0", data=np.zeros((3, 4, 5), np.uint8))
    (layer,) = viewer.open(str(tmp_path / "a.zarr"), plugin="napari-salt")
    assert not layer.multiscale
    steps = [
        {"type": "scale", "scale": [1, 2, 2]},
        {"type": "translation", "translation": [0, 9, 7]},
    ]
    image = {
        "axes": [{"name": name} for name in "zyx"],
        "datasets": [{"path": "0", "coordinateTransformations": steps}],
    }
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    (layer,) = viewer.open(str(tmp_path / "a.zarr"), plugin="napari-salt")
    np.testing.assert_allclose(layer.translate, (0, 9, 7))


def test_a_dicom_folder_is_one_layer_and_what_is_odd_is_told(viewer, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(image_readers, "show_info", told.append)
    folder = dicom_series(tmp_path / "ct", np.zeros((6, 4, 5), np.int16), skip=(2,))
    decoded = []
    pixels = dicom_read._pixels
    monkeypatch.setattr(dicom_read, "_pixels", lambda f: (decoded.append(f.number), pixels(f))[1])
    data, attributes, kind = folder_reader(str(folder))(str(folder))[0]
    assert decoded == []
    assert (data.shape, kind) == ((5, 4, 5), "image")
    assert "seems to be missing" in told[0]
    assert attributes["name"] == "abdomen"
    assert attributes["metadata"]["napari_salt_origin"].path == str(folder)
    (layer,) = viewer.open(str(folder), plugin="napari-salt")
    assert layer.data.shape == (5, 4, 5)


@pytest.mark.parametrize(
    ("tags", "shown"),
    [
        ({"WindowCenter": 40, "WindowWidth": 400}, (-160, 240)),
        ({"WindowCenter": [60, -600], "WindowWidth": [80, 1500]}, (20, 100)),
        ({}, None),
        ({"WindowCenter": 40, "WindowWidth": 0}, None),
        ({"WindowCenter": 40}, None),
        (
            {"WindowCenter": 4, "WindowWidth": 2, "PhotometricInterpretation": "MONOCHROME1"},
            None,
        ),
    ],
)
def test_a_dicom_series_is_shown_in_the_window_that_it_names(viewer, tmp_path, tags, shown):
    folder = dicom_series(tmp_path / "ct", np.zeros((3, 4, 5), np.int16), **tags)
    ((_, attributes, _),) = read_image(folder)
    assert attributes.get("contrast_limits") == shown
    (layer,) = viewer.open(str(folder), plugin="napari-salt")
    if shown is not None:
        assert tuple(layer.contrast_limits) == shown


def test_dropping_all_files_of_a_series_opens_it_once(viewer, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(image_readers, "show_info", told.append)
    monkeypatch.setattr(image_readers.napari, "current_viewer", lambda: viewer)
    folder = dicom_series(tmp_path / "ct", np.zeros((4, 4, 5), np.int16))
    for file in list(folder.iterdir()):
        file.rename(file.with_suffix(".dcm"))
    files = sorted(map(str, folder.iterdir()))
    viewer.open(files, plugin="napari-salt")
    assert [layer.data.shape for layer in viewer.layers] == [(4, 4, 5)]
    assert len(told) == 3
    assert file_reader(files)(files)[0] == (None,)
    assert file_reader(["a.nii", "b.nii"]) is None


def test_of_several_images_one_is_chosen_by_the_user(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["raw"], file["soft"] = np.zeros((3, 4, 5), np.uint8), np.ones((2, 4, 5), np.uint8)
    with pytest.raises(ChoiceNeeded):
        read_image(path)
    asked = []

    def answer(name, choices):
        asked.append((name, [choice.text for choice in choices]))
        return choices[1]

    monkeypatch.setattr(image_readers.napari, "current_viewer", lambda: SimpleNamespace(layers=[]))
    monkeypatch.setattr(image_readers, "choose", answer)
    ((data, attributes, _),) = read_image(path)
    assert data.shape == (2, 4, 5)
    assert attributes["name"] == "a soft"
    assert asked == [("a.h5", ["/raw (3 × 4 × 5, uint8)", "/soft (2 × 4 × 5, uint8)"])]
    monkeypatch.setattr(image_readers, "choose", lambda name, choices: None)
    assert read_image(path) == [(None,)]


def test_the_dialog_gives_the_choice_that_was_taken(qapp, monkeypatch):
    from qtpy.QtWidgets import QInputDialog

    from napari_salt.errors import Choice
    from napari_salt.viewer_link.choosing import choose

    choices = [Choice("one", "a"), Choice("two", "b")]
    monkeypatch.setattr(QInputDialog, "getItem", lambda *_: ("two", True))
    assert choose("x", choices) is choices[1]
    monkeypatch.setattr(QInputDialog, "getItem", lambda *_: ("two", False))
    assert choose("x", choices) is None


def test_colour_and_units_that_napari_does_not_know(viewer, tmp_path):
    path = tmp_path / "c.zarr"
    group = zarr.open_group(str(path), mode="w")
    group.create_array("0", data=np.zeros((3, 4, 5, 3), np.uint8))
    units = {"z": "furlong", "y": "angstrom", "x": "angstrom"}
    axes = [{"name": name, "unit": unit} for name, unit in units.items()] + [{"name": "c"}]
    group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    (layer,) = viewer.open(str(path), plugin="napari-salt")
    assert layer.rgb
    assert layer.ndim == 3
    assert [str(unit) for unit in layer.units] == ["pixel", "angstrom", "angstrom"]
    assert stack_of(viewer, layer).info.units[1] == "A"


def test_a_folder_that_is_several_things_is_zarr_then_dicom_then_images(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5), np.uint8))
    assert folder_reader(str(tmp_path)) is read_folder
    dicom_series(tmp_path, np.zeros((2, 4, 5), np.uint8))
    assert folder_reader(str(tmp_path)) is read_image
    zarr.create_array(str(tmp_path), data=np.zeros((7, 4, 5), np.uint8))
    assert read_image(str(tmp_path))[0][0].shape == (7, 4, 5)


@pytest.mark.parametrize("name", ["a.nii", "A.NII.GZ", "a.b.dcm", "a.h5", "a.hdf5", "a.hdr"])
def test_napari_asks_us_for_these_files(tmp_path, name):
    found = PluginManager.instance().iter_compatible_readers([str(tmp_path / name)])
    assert "napari-salt.read_image" in {reader.command for reader in found}


@pytest.mark.parametrize("by", ["scale", "affine"])
def test_a_labels_layer_is_saved_with_the_place_that_it_has(tmp_path, by):
    places = {
        "scale": {"scale": (2, 0.5, 0.25), "translate": (100, -7.5, 0.125)},
        "affine": {
            "affine": [[2, 0, 0, 100], [0, 0.5, 0, -7.5], [0, 0, 0.25, 0.125], [0, 0, 0, 1]]
        },
    }
    layer = Labels(np.ones((2, 3, 4), int), units=("um",) * 3, **places[by])
    data, attributes, _ = layer.as_layer_data_tuple()
    save_labels(str(tmp_path / "m.ome.zarr"), data, attributes)
    info = read_stack(tmp_path / "m.ome.zarr").info
    assert info.spacing == (2, 0.5, 0.25)
    assert info.origin.offset == (100, -7.5, 0.125)
