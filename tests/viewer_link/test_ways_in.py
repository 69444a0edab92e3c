"""What comes in through napari: folders, single images, saved labels."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import tifffile
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from npe2 import PluginManager, PluginManifest
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from PIL import Image

from napari_salt.errors import InputError
from napari_salt.io.read import read_labels
from napari_salt.records import Origin
from napari_salt.session.session import Session
from napari_salt.viewer_link import ViewerLink, menu_actions
from napari_salt.viewer_link.images import ORIGIN
from napari_salt.viewer_link.layers import dress
from napari_salt.viewer_link.ownership import META, mark
from napari_salt.viewer_link.readers import adapter_reader, folder_reader
from napari_salt.viewer_link.stacking import stack_images
from napari_salt.viewer_link.writers import write_labels
from napari_salt.views import LabelRow


@pytest.fixture(scope="module", autouse=True)
def plugins():
    """What a window does first: all installed plugins, napari's own among them."""
    manager = PluginManager.instance()
    manager.discover(include_npe1=False)
    if "napari" not in manager:
        manager.register(PluginManifest.from_distribution("napari"))


@pytest.fixture
def folder(tmp_path):
    for number, rows in ((1, 12), (2, 12), (10, 9)):
        pixels = np.full((rows, 16), number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"x{number}.png")
    return tmp_path


# ---- folders


def test_a_folder_becomes_one_lazy_image(viewer, folder):
    (layer,) = viewer.open(str(folder), plugin="napari-salt")
    assert layer.name == folder.name
    assert layer.data.shape == (3, 12, 16)
    assert not layer.rgb
    viewer.dims.set_current_step(0, 2)
    link = ViewerLink(viewer)
    session = Session(link.images.open_stack(link.images.place(link.images.active())))
    assert session.stack.plane_name(2) == "x10.png (9 × 16, padded)"
    assert session.stack.plane(2).max() == 10
    link.close()


def test_colour_folders_are_colour_layers(viewer, tmp_path):
    for name in "ab":
        Image.fromarray(np.full((5, 4, 3), 9, np.uint8)).save(tmp_path / f"{name}.jpg")
    (layer,) = viewer.open(str(tmp_path), plugin="napari-salt")
    assert layer.rgb
    assert layer.ndim == 3
    assert layer.data.shape == (2, 5, 4, 3)


def test_folders_in_three_dimensions(viewer, folder):
    viewer.open(str(folder), plugin="napari-salt")
    viewer.dims.ndisplay = 3


def test_folders_without_images_and_lists_are_left_to_others(tmp_path):
    assert folder_reader(str(tmp_path)) is None
    (tmp_path / "a.zarr").mkdir()
    assert folder_reader(str(tmp_path / "a.zarr")) is None
    (tmp_path / "a.png").touch()
    assert folder_reader(str(tmp_path)) is not None
    assert folder_reader([str(tmp_path)]) is None
    assert folder_reader(str(tmp_path / "a.png")) is None
    assert adapter_reader(["a", "b"]) is None


def test_napari_finds_the_readers(folder):
    manager = PluginManager.instance()

    def commands(path):
        return {reader.command for reader in manager.iter_compatible_readers([str(path)])}

    assert "napari-salt.read_folder" in commands(folder)
    assert "napari-salt.read_folder" not in commands(folder / "x1.png")
    assert "napari-salt.read_adapter" in commands(folder / "a.salt.safetensors")
    assert "napari-salt.read_adapter" in commands(folder / "my.brain.SALT.safetensors")
    assert "napari-salt.read_adapter" not in commands(folder / "a.safetensors")


# ---- single images


def test_single_images_become_one_stack_and_nothing_is_lost(viewer):
    for number, rows in enumerate((4, 6, 5)):
        viewer.add_image(np.full((rows, 7), number, np.float32), name=f"n{number}")
    viewer.add_image(np.zeros((3, 4, 5)), name="volume")
    stack = stack_images(viewer)
    assert stack.name == "3 images"
    assert stack.data.shape == (3, 6, 7)
    assert stack.data.names[1] == "n1"
    assert stack.data[2, 0, 0] == 2
    assert viewer.layers.selection.active is stack
    assert [layer.visible for layer in viewer.layers] == [False, False, False, True, True]
    viewer.layers["n0"].data[:] = 9
    assert stack.data[0].max() == 9, "seen, not copied"


def test_only_the_selected_ones_are_stacked(viewer):
    layers = [viewer.add_image(np.full((4, 4), n, np.uint8), name=f"n{n}") for n in range(4)]
    viewer.layers.selection = {layers[1], layers[3]}
    assert stack_images(viewer).data.names == ("n1", "n3")


def test_a_size_of_a_pixel_that_all_share_is_kept(viewer):
    for _ in range(2):
        viewer.add_image(np.zeros((4, 4), np.uint8), scale=(0.5, 0.25), units=("mm", "mm"))
    stack = stack_images(viewer)
    np.testing.assert_allclose(stack.scale, (1, 0.5, 0.25))
    assert [str(unit) for unit in stack.units] == ["pixel", "millimeter", "millimeter"]


def test_one_image_or_grey_and_colour_are_no_stack(viewer):
    viewer.add_image(np.zeros((4, 4), np.uint8), name="grey")
    with pytest.raises(InputError, match="two or more"):
        stack_images(viewer)
    viewer.add_image(np.zeros((4, 4, 3), np.uint8), rgb=True, name="colour")
    with pytest.raises(InputError, match="grey is grey but colour is in colour"):
        stack_images(viewer)
    assert [layer.name for layer in viewer.layers] == ["grey", "colour"]


# ---- saving

COLORS = {None: (0, 0, 0, 0), 1: (1, 0, 0, 1), 300: (0, 1, 0, 0.5)}


def labels(shape=(3, 4, 5), **kwargs):
    data = np.zeros(shape, np.int64)
    data.flat[:3] = (1, 300, 1)
    return Labels(
        data,
        colormap=DirectLabelColormap(color_dict=COLORS),
        features={"index": [0, 1, 300], "name": ["none", "cell", "Kern ä"]},
        **kwargs,
    )


@pytest.mark.parametrize("name", ["m.tif", "m.ome.tif"])
def test_saved_labels_keep_everything(viewer, tmp_path, name):
    layer = labels(scale=(2, 0.5, 0.25), units=("um", "um", "um"))
    viewer.add_layer(layer)
    path = tmp_path / name
    assert viewer.layers.save(str(path), plugin="napari-salt") == [str(path)]
    image = read_labels(path)
    np.testing.assert_array_equal(image.labels, layer.data)
    assert image.labels.dtype == np.uint16
    assert image.spacing == (2.0, 0.5, 0.25)
    assert image.units == ("um",) * 3
    assert image.names == {1: "cell", 300: "Kern ä"}
    np.testing.assert_allclose(image.colors[300], COLORS[300], atol=1 / 255)
    with tifffile.TiffFile(path) as tif:
        assert tif.series[0].shape == (3, 4, 5)
        assert tif.series[0].dtype == np.uint16


def test_labels_on_an_image_of_ours_are_saved_in_its_place(viewer, tmp_path):
    affine = ((0.0, 0, -0.5, 10), (0, -0.5, 0, 20), (2.0, 0, 0, 30), (0, 0, 0, 1))
    image = viewer.add_image(
        np.zeros((3, 4, 5), np.uint8),
        name="t1",
        scale=(2, 0.5, 0.5),
        units=("mm",) * 3,
        axis_labels=("z", "y", "x"),
        metadata={ORIGIN: Origin(str(tmp_path / "t1.nii"), "nifti", affine)},
    )
    link = ViewerLink(viewer)
    place = link.images.place(link.images.active())
    session = Session(link.images.open_stack(place))
    assert session.stack.info.origin == image.metadata[ORIGIN]
    session.labels.add("cell")
    link.attach(place, session)
    session.annotations.paint[1, 2, 3] = 1
    (paint,) = (layer for layer in viewer.layers if isinstance(layer, Labels))
    viewer.layers.selection = {paint}
    for name in ("m.nii.gz", "m.nii"):
        (path,) = viewer.layers.save(str(tmp_path / name), selected=True, plugin="napari-salt")
        saved = nibabel.load(path)
        marked = saved.affine @ [*np.argwhere(np.asarray(saved.dataobj))[0], 1]
        np.testing.assert_allclose(marked, np.array(affine) @ [1, 2, 3, 1])
    link.close()


def test_labels_are_saved_as_ome_zarr(viewer, tmp_path):
    viewer.add_layer(labels(scale=(2, 0.5, 0.25), units=("um", "um", "um")))
    (path,) = viewer.layers.save(str(tmp_path / "m.ome.zarr"), plugin="napari-salt")
    (node,) = Reader(parse_url(path, mode="r"))()
    np.testing.assert_array_equal(np.asarray(node.data[0]), labels().data)
    assert node.metadata["properties"][300] == {"name": "Kern ä"}
    scale = node.metadata["coordinateTransformations"][0][0]["scale"]
    assert scale == [2.0, 0.5, 0.25]


def test_planes_and_axes_of_one(tmp_path):
    plane = labels((4, 5), scale=(0.5, 0.25), units=("mm", "mm"))
    write_labels(str(tmp_path / "p.tif"), *plane.as_layer_data_tuple()[:2])
    image = read_labels(tmp_path / "p.tif")
    assert image.shape == (1, 4, 5)
    assert image.spacing[1:] == (0.5, 0.25)
    movie = labels((1, 3, 4, 5), scale=(9, 2, 1, 1))
    write_labels(str(tmp_path / "m.tif"), *movie.as_layer_data_tuple()[:2])
    image = read_labels(tmp_path / "m.tif")
    assert image.shape == (3, 4, 5)
    assert image.spacing == (2.0, 1.0, 1.0)
    long = labels((2, 3, 4, 5))
    with pytest.raises(InputError, match="4 axes"):
        write_labels(str(tmp_path / "l.tif"), *long.as_layer_data_tuple()[:2])
    assert not (tmp_path / "l.tif").exists()


@pytest.mark.parametrize("name", ["masks.tif", "masks.nii"])
def test_a_deleted_label_is_left_out_of_a_saved_prediction(viewer, tmp_path, name):
    """It is not drawn either; the layer still holds it, and masks of a long stack are not written anew."""
    layer = viewer.add_labels(np.array([[[0, 1, 2, 2]]], np.uint16))
    layer.metadata[META] = mark("prediction", "t1")
    dress(layer, "prediction", (LabelRow(1, "cell", (1.0, 0.0, 0.0, 1.0)),))
    write_labels(str(tmp_path / name), *layer.as_layer_data_tuple()[:2])
    assert np.asarray(read_labels(tmp_path / name).labels).ravel().tolist() == [0, 1, 0, 0]


def test_any_labels_layer_without_names_can_be_saved(viewer, tmp_path):
    layer = viewer.add_labels(np.eye(5, dtype=np.uint8) * 7)
    viewer.layers.save(str(tmp_path / "a.tif"), plugin="napari-salt")
    image = read_labels(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.labels[0], layer.data)
    assert image.names == {}


def test_the_save_dialog_tells_our_writer_from_napari_s(viewer):
    names = [
        (writer.plugin_name, writer.display_name)
        for writer in PluginManager.instance().iter_compatible_writers(["labels"])
    ]
    assert ("napari-salt", "Labels with names, colours and sizes") in names
    assert len(set(names)) == len(names)


# ---- the plugin's own entries in the menus


def test_files_and_folders_are_asked_for(viewer, qapp, folder, monkeypatch):
    tifffile.imwrite(folder / "x.tif", np.zeros((3, 4, 5), np.uint8), photometric="minisblack")
    asked = []

    def answer(parent, title, **options):
        asked.append(options["filter"])
        return answers.pop(), ""

    answers = ["", str(folder / "x.tif")]
    monkeypatch.setattr(menu_actions.QFileDialog, "getOpenFileName", answer)
    menu_actions.open_image_file(viewer)
    assert [layer.name for layer in viewer.layers] == ["x"]
    menu_actions.open_image_file(viewer)
    assert len(viewer.layers) == 1, "nothing was chosen"
    assert "*.nii.gz" in asked[0]
    assert "*.svs" in asked[0]
    (folder / "x.tif").unlink()
    answers = ["", str(folder)]
    monkeypatch.setattr(menu_actions.QFileDialog, "getExistingDirectory", lambda *_: answers.pop())
    menu_actions.open_image_folder(viewer)
    menu_actions.open_image_folder(viewer)
    assert [layer.name for layer in viewer.layers] == ["x", folder.name]
