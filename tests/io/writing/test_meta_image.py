"""MetaImage masks, read with SimpleITK."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK

from napari_salt.errors import InputError
from napari_salt.io.export import check_target
from napari_salt.io.read import read_labels
from napari_salt.io.writing.meta_image import write_meta_image
from napari_salt.records import Label
from writing_data import LABELS, info, masks, placed

TO_LPS = np.array([-1.0, -1.0, 1.0])
TURNED = (
    (0.0, 0.56, -0.72, 10.0),
    (0.0, -0.42, -0.54 * 16 / 9, 20.0),
    (2.0, 0, 0, 30.0),
    (0, 0, 0, 1),
)
"""Rows and columns turned about the axis of slices."""


def there():
    sizes = np.linalg.norm(np.array(TURNED)[:3, :3], axis=0)
    return replace(placed(), origin=replace(placed().origin, affine=TURNED), spacing=tuple(sizes))


def test_itk_finds_a_marked_voxel_at_its_place(tmp_path):
    path = write_meta_image(tmp_path / "m.mha", masks(), there(), LABELS)
    image = SimpleITK.ReadImage(str(path))
    assert image.GetPixelIDTypeAsString() == "8-bit unsigned integer"
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), masks())
    for at in np.argwhere(masks()):
        place = (np.array(TURNED) @ [*at, 1])[:3] * TO_LPS
        assert image[image.TransformPhysicalPointToIndex(place.tolist())] == masks()[tuple(at)]


def test_our_own_reader_gives_back_what_was_written(tmp_path):
    image = read_labels(write_meta_image(tmp_path / "m.mha", masks(300), there(), LABELS))
    np.testing.assert_array_equal(image.labels, masks(300))
    assert image.names == {label.label_id: label.name for label in LABELS}
    assert image.colors[2] == pytest.approx(LABELS[1].color, abs=1 / 255)
    np.testing.assert_allclose(image.info.origin.affine, TURNED, atol=1e-9)


@pytest.mark.parametrize("name", ["n" * 10_000, "ü" * 10_000, "a\nElementDataFile = /etc/passwd"])
def test_itk_reads_on_after_any_name(tmp_path, name):
    labels = (Label(1, name, (1, 1, 1, 1)), Label(2, "b", (0, 0, 0, 1)))
    path = write_meta_image(tmp_path / "m.mha", masks(), there(), labels)
    found = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    np.testing.assert_array_equal(found, masks())
    assert read_labels(path).names[2] == "b"


def test_time_points_are_the_fourth_axis(tmp_path):
    frames = info(units=("ms", "um", "um"), spacing=(500, 1, 1))
    path = write_meta_image(tmp_path / "m.mha", masks(), frames, LABELS)
    image = SimpleITK.ReadImage(str(path))
    assert image.GetSize() == (5, 4, 1, 3)
    np.testing.assert_allclose(image.GetSpacing(), (0.001, 0.001, 1, 0.5))
    np.testing.assert_array_equal(read_labels(path).labels, masks())


def test_a_sheared_place_is_refused_before_any_work(tmp_path):
    with pytest.raises(InputError, match="not at right angles"):
        check_target(tmp_path / "m.mha", placed())


def test_another_name_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"should end in \.mha"):
        write_meta_image(tmp_path / "m.mhd", masks(), info(), ())
