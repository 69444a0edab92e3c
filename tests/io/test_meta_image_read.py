"""MetaImage: what SimpleITK writes lies where it says; what lies is refused."""

from __future__ import annotations

import random

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name

from format_data import marked_volume, world_of
from fuzz_mutations import mutate
from napari_salt.errors import InputError
from napari_salt.io.read import read_labels, read_stack

TURNED = (
    (1, 0, 0, 0, 1, 0, 0, 0, 1),
    (0, -1, 0, 0, 0, -1, 1, 0, 0),
    (0.6, -0.8, 0, 0.8, 0.6, 0, 0, 0, -1),
)
HEADER = (
    b"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nDimSize = 4 3 2\n"
    b"ElementSpacing = 0.5 0.75 3\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
)


def save(path, volume, direction=TURNED[0], *, packed=False, vector=False):
    image = sitk.GetImageFromArray(volume, isVector=vector)
    image.SetSpacing((0.5, 0.75, 3.0))
    image.SetOrigin((10.0, -20.0, 30.0))
    image.SetDirection(direction)
    sitk.WriteImage(image, str(path), packed)
    return image


@pytest.mark.parametrize("direction", TURNED)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["a.mha", "a.mhd"])
def test_a_voxel_lies_where_simpleitk_says(tmp_path, name, packed, direction):
    volume = marked_volume((5, 6, 7), (2, 1, 4))
    image = save(tmp_path / name, volume, direction, packed=packed)
    stack = read_stack(tmp_path / name)
    info = stack.info
    assert (info.shape, info.spacing, info.units) == ((5, 6, 7), (3.0, 0.75, 0.5), ("mm",) * 3)
    assert (info.name, info.origin.format) == ("a", "metaimage")
    for index in (4, 0, 2):
        np.testing.assert_array_equal(stack.plane(index), volume[index])
    x, y, z = image.TransformIndexToPhysicalPoint((4, 1, 2))
    np.testing.assert_allclose(world_of(info.origin.affine, (2, 1, 4)), (-x, -y, z), atol=1e-9)


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"]
)
def test_every_type(tmp_path, dtype):
    volume = (np.arange(24).reshape(2, 3, 4) * (1 if dtype[0] == "u" else -1)).astype(dtype)
    save(tmp_path / "a.mha", volume)
    stack = read_stack(tmp_path / "a.mha")
    assert stack.plane(1).dtype == dtype
    np.testing.assert_array_equal(stack.plane(1), volume[1])


def test_a_long_has_four_bytes_as_itk_has_it(tmp_path):
    content = HEADER.replace(b"UCHAR", b"LONG") + np.arange(24, dtype="<i4").tobytes()
    (tmp_path / "a.mha").write_bytes(content)
    itk = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.mha")))
    np.testing.assert_array_equal(read_stack(tmp_path / "a.mha").plane(1), itk[1])


def test_the_other_order_of_bytes(tmp_path):
    header = HEADER.replace(b"UCHAR", b"SHORT").replace(b"MSB = False", b"MSB = True")
    (tmp_path / "a.mha").write_bytes(header + np.arange(24, dtype=">i2").tobytes())
    itk = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.mha")))
    np.testing.assert_array_equal(read_stack(tmp_path / "a.mha").plane(1), itk[1])


@pytest.mark.parametrize("skipped", [5, -1])
def test_voxels_after_a_header_of_another_program(tmp_path, skipped):
    header = HEADER.replace(
        b"ElementDataFile = LOCAL", b"HeaderSize = %d\nElementDataFile = a.raw" % skipped
    )
    (tmp_path / "a.mhd").write_bytes(header.rstrip())
    (tmp_path / "a.raw").write_bytes(b"12345" + bytes(range(24)))
    np.testing.assert_array_equal(
        read_stack(tmp_path / "a.mhd").plane(0), np.arange(12).reshape(3, 4)
    )


def test_colour_channels_time_and_planes(tmp_path):
    color = np.random.default_rng(0).integers(0, 255, (2, 5, 4, 3)).astype(np.uint8)
    save(tmp_path / "c.mha", color, vector=True)
    stack = read_stack(tmp_path / "c.mha")
    assert stack.info.rgb
    np.testing.assert_array_equal(stack.plane(1), color[1])
    save(tmp_path / "v.mha", color.astype(np.int16)[..., :2], vector=True)
    assert read_stack(tmp_path / "v.mha").info.channels == 2
    movie = np.arange(3 * 2 * 5 * 4, dtype=np.int16).reshape(3, 2, 5, 4)
    image = sitk.GetImageFromArray(movie, isVector=False)
    sitk.WriteImage(image, str(tmp_path / "t.mha"))
    np.testing.assert_array_equal(
        read_stack(tmp_path / "t.mha", fixed={"T": 2}).plane(1), movie[2, 1]
    )
    sitk.WriteImage(sitk.GetImageFromArray(movie[0, 0]), str(tmp_path / "p.mha"))
    stack = read_stack(tmp_path / "p.mha")
    np.testing.assert_array_equal(stack.plane(0), movie[0, 0])
    assert stack.info.origin.affine is None


def test_label_images(tmp_path):
    ids = np.zeros((2, 3, 4), np.int16)
    ids[1, 2, 1] = 7
    save(tmp_path / "l.mha", ids, packed=True)
    image = read_labels(tmp_path / "l.mha")
    assert image.labels[1, 2, 1] == 7
    assert image.names == {}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"DimSize = 4 3 2", b"DimSize = 4 3", "cannot be read"),
        (b"DimSize = 4 3 2", b"DimSize = 4 3 -2", "no voxels"),
        (b"DimSize = 4 3 2", b"DimSize = 4 3 x", "cannot be read"),
        (b"DimSize = 4 3 2", b"DimSize = 90000 90000 90000", "cut short"),
        (b"DimSize = 4 3 2\n", b"", "cannot be read"),
        (b"NDims = 3", b"NDims = 30", "30 axes"),
        (b"NDims = 3\n", b"", "ndims"),
        (b"BinaryData = True", b"BinaryData = False", "as text"),
        (b"MET_UCHAR", b"MET_STRING", "met_string"),
        (b"= LOCAL", b"= LIST", "files of their own"),
        (b"= LOCAL", b"= a%03d.raw 1 2 1", "files of their own"),
        (b"= LOCAL", b"= ../a.raw", "only a file in its own folder"),
        (b"= LOCAL", b"= /etc/passwd", "only a file in its own folder"),
        (b"= LOCAL", b"= D:\\a.raw", "only a file in its own folder"),
        (b"= LOCAL", b"= none.raw", "not beside it"),
        (b"= LOCAL", b"=", "only a file in its own folder"),
        (b"= Image", b"= Tube", "no image but Tube"),
        (b"ElementDataFile = LOCAL\n", b"", "no MetaImage"),
        (b"NDims = 3", b"NDims = 3\nCompressedData = True", "cannot be unpacked"),
    ],
)
def test_headers_that_lie_and_what_is_not_read(tmp_path, old, new, words):
    (tmp_path / "a.mha").write_bytes(HEADER.replace(old, new) + bytes(range(1, 25)))
    with pytest.raises(InputError, match=words) as caught:
        read_stack(tmp_path / "a.mha").plane(0)
    assert "\n" not in str(caught.value)


def test_a_header_without_end_is_not_read_to_its_end(tmp_path):
    with (tmp_path / "a.mha").open("wb") as file:
        file.write(b"ObjectType = Image\nComment = ")
        file.truncate(2**33)
    with pytest.raises(InputError, match="no MetaImage"):
        read_stack(tmp_path / "a.mha")


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_files_open_or_are_refused(tmp_path, packed):
    save(tmp_path / "a.mha", marked_volume((7, 6, 5), (4, 1, 3)), packed=packed)
    content = (tmp_path / "a.mha").read_bytes()
    for dice in range(300):
        (tmp_path / "a.mha").write_bytes(mutate(content, random.Random(dice)))
        try:
            read_stack(tmp_path / "a.mha").plane(0)
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either ending will do
