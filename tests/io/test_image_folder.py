"""Folders of single images as stacks."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_salt.errors import InputError
from napari_salt.io import image_folder
from napari_salt.io.image_folder import image_files, open_folder
from napari_salt.io.read import read_stack
from napari_salt.session.stack import Stack


def picture(path, value=1, size=(6, 8), mode="L"):
    shape = size if mode == "L" else (*size, len(mode))
    pixels = np.full(shape, value, np.uint8)
    Image.fromarray(pixels, mode if mode != "L" else None).save(path)
    return pixels


def test_natural_order_and_only_images_of_this_folder(tmp_path):
    for name in ("x10.png", "x9.PNG", "X1.jpg", "x9b.tif", "notes.txt", "._x1.png"):
        (tmp_path / name).touch()
    (tmp_path / "masks").mkdir()
    (tmp_path / "d.png").mkdir()
    assert [file.name for file in image_files(tmp_path)] == [
        "X1.jpg",
        "x9.PNG",
        "x9b.tif",
        "x10.png",
    ]


def test_grey_planes_in_order_with_their_names(tmp_path):
    for number in (10, 2, 1):
        picture(tmp_path / f"a{number}.png", number)
    stack = read_stack(tmp_path)
    assert stack.info.shape == (3, 6, 8)
    assert [int(stack.plane(index).max()) for index in range(3)] == [1, 2, 10]
    assert [stack.plane_name(index) for index in range(3)] == ["a1.png", "a2.png", "a10.png"]
    assert stack.info.name == tmp_path.name
    assert stack.data.note == ""


def test_nothing_is_decoded_before_it_is_asked_for(tmp_path, monkeypatch):
    for number in range(4):
        picture(tmp_path / f"{number}.png", number)
    read = []
    original = image_folder.open_picture
    monkeypatch.setattr(
        image_folder,
        "open_picture",
        lambda path, **options: (read.append(path.name), original(path, **options))[1],
    )
    data = open_folder(tmp_path).data
    assert read == []
    assert data[2].max() == 2
    assert data[2, 1:3, 0].shape == (2,)
    assert read == ["2.png"], "the last plane is kept"
    assert data[1:3].shape == (2, 6, 8)
    assert read == ["2.png", "1.png", "2.png"]


def test_smaller_images_are_padded_below_and_at_the_right(tmp_path):
    picture(tmp_path / "a.png", 7, (4, 9))
    picture(tmp_path / "b.png", 8, (6, 5))
    data = open_folder(tmp_path).data
    assert data.shape == (2, 6, 9)
    assert (data[0, :4] == 7).all()
    assert not data[0, 4:].any()
    assert (data[1, :, :5] == 8).all()
    assert not data[1, :, 5:].any()
    assert "2 of 2 were padded" in data.note
    assert "6 × 9" in data.note
    assert data.names == ("a.png (4 × 9, padded)", "b.png (6 × 5, padded)")


def test_colour_keeps_three_channels(tmp_path):
    picture(tmp_path / "a.png", 5, mode="RGB")
    picture(tmp_path / "b.png", 6, mode="RGBA")
    opened = open_folder(tmp_path)
    assert opened.data.shape == (2, 6, 8, 3)
    assert opened.stack().info.rgb
    assert (opened.data[1] == 6).all()


@pytest.mark.parametrize(("orientation", "shape"), [(1, (4, 9)), (6, (9, 4))])
def test_photos_taken_sideways_are_turned(tmp_path, orientation, shape):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.zeros((4, 9, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    data = open_folder(tmp_path).data
    assert data.shape == (1, *shape, 3)
    assert data[0].shape == (*shape, 3)


def test_tiffs_keep_the_size_of_a_pixel_they_agree_on(tmp_path):
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(
            tmp_path / name,
            np.ones((4, 5), np.uint16),
            imagej=True,
            resolution=(2, 4),
            metadata={"unit": "mm"},
        )
    info = open_folder(tmp_path).stack().info
    assert info.spacing == (1.0, 0.25, 0.5)
    assert info.units == ("pixel", "mm", "mm")
    tifffile.imwrite(tmp_path / "c.tif", np.ones((4, 5), np.uint16))
    assert open_folder(tmp_path).stack().info.units == ("pixel",) * 3


def deep(path):
    Image.fromarray(np.ones((6, 8), np.uint16)).save(path)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (lambda path: picture(path, mode="RGB"), "a.png is grey but b.png is in colour"),
        (deep, "type uint8, b.png of type uint16"),
        (lambda path: path.write_bytes(b"nothing"), "b.png cannot be read"),
    ],
)
def test_what_makes_no_stack_is_refused_in_one_sentence(tmp_path, second, words):
    picture(tmp_path / "a.png")
    second(tmp_path / "b.png")
    with pytest.raises(InputError, match=words):
        open_folder(tmp_path)


def test_stacks_and_odd_channels_in_the_folder_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 6, 8), np.uint8), metadata={"axes": "ZYX"})
    with pytest.raises(InputError, match="5 slices"):
        open_folder(tmp_path)
    (tmp_path / "a.tif").unlink()
    with pytest.raises(InputError, match="holds no images"):
        open_folder(tmp_path)
    data = np.zeros((2, 6, 8), np.uint8)
    tifffile.imwrite(tmp_path / "c.tif", data, imagej=True, metadata={"axes": "CYX"})
    with pytest.raises(InputError, match="2 channels"):
        open_folder(tmp_path)


def test_a_file_that_goes_or_changes_says_so(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    data = open_folder(tmp_path).data
    (tmp_path / "a.png").unlink()
    picture(tmp_path / "b.png", size=(3, 3))
    with pytest.raises(InputError, match=r"a\.png"):
        data[0]
    with pytest.raises(InputError, match=r"b\.png has changed"):
        data[1]


def test_indexing_as_numpy_does(tmp_path):
    for number in range(3):
        picture(tmp_path / f"{number}.png", number)
    data = open_folder(tmp_path).data
    whole = np.asarray(data)
    for key in (
        np.s_[1],
        np.s_[-1],
        np.s_[...],
        np.s_[..., 2],
        np.s_[1:, 2, ::2],
        np.s_[2:2],
        np.s_[:, 0],
    ):
        np.testing.assert_array_equal(data[key], whole[key])
    assert (data.ndim, data.size, len(data)) == (3, whole.size, 3)
    with pytest.raises(IndexError):
        data[0, 0, 0, 0]


def test_other_arrays_have_no_names_of_planes():
    assert Stack(np.zeros((3, 4, 5))).plane_name(1) == ""


def test_a_folder_of_folders_names_one_of_them(tmp_path):
    for name in ("series 2", "series 1"):
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=r"choose one of the folders in it, such as series 1\."):
        read_stack(tmp_path)
