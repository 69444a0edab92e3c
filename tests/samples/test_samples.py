from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from napari.layers import Layer

from napari_salt.errors import MissingExtra
from napari_salt.samples import colour_image_layers, load_mni_brain, mni_brain, mni_brain_layers


@pytest.mark.parametrize(("every", "slices"), [(1, 155), (2, 78)])
def test_brain_geometry(every, slices):
    stack, labels, names = load_mni_brain(every=every)
    assert stack.info.shape == labels.shape == (slices, 233, 197)
    assert stack.info.spacing == (float(every), 1.0, 1.0)
    assert stack.info.units == ("mm", "mm", "mm")
    assert stack.info.dtype == labels.dtype == "uint8"
    assert names == {1: "gray matter", 2: "white matter"}
    assert stack.plane(0).any()
    assert stack.plane(slices - 1).any()


def test_brain_is_the_right_way_up_and_round():
    stack, labels, _ = load_mni_brain()
    volume = np.asarray(stack.data)
    # The cerebellum is at the bottom and the back: low slices lie in the lower half of the plane.
    low = np.argwhere(volume[20])
    assert low[:, 0].mean() > volume.shape[1] / 2
    # White matter is the brightest tissue of a T1 image.
    assert volume[labels == 2].mean() > volume[labels == 1].mean() > volume[labels == 0].mean()


def test_brain_stays_put_against_the_volume_on_disk():
    import nibabel

    path = mni_brain._folder() / mni_brain._FILE.format("t1")
    on_disk = nibabel.load(path)
    stack, _, _ = load_mni_brain()
    # Anterior commissure, origin of the atlas: voxel (98, 134, 72) of a grid that starts at z = 0.
    origin = np.round(np.linalg.inv(on_disk.affine) @ (0, 0, 0, 1)).astype(int)[:3]
    x, y, z = origin
    assert stack.plane(z)[232 - y, x] == np.asarray(on_disk.dataobj)[x, y, z]


@pytest.mark.parametrize("layers", [mni_brain_layers, colour_image_layers])
def test_napari_takes_the_layers(layers):
    made = [Layer.create(*entry) for entry in layers()]
    assert made[0].visible
    assert not any(layer.visible for layer in made[1:])


def test_brain_layers_keep_size_unit_and_names():
    image, reference = (Layer.create(*entry) for entry in mni_brain_layers())
    for layer in (image, reference):
        assert tuple(layer.scale) == (1, 1, 1)
        assert {str(unit) for unit in layer.units} == {"millimeter"}
    assert list(reference.features["name"])[1:] == ["gray matter", "white matter"]


def test_colour_image_is_rgb():
    ((data, attributes, kind),) = colour_image_layers()
    assert data.shape == (512, 512, 3)
    assert data.dtype == np.uint8
    assert attributes["rgb"]
    assert kind == "image"


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(mni_brain.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="pip install nilearn"):
        load_mni_brain()


def test_samples_need_neither_torch_nor_the_rest_of_nilearn():
    code = (
        "import sys; from napari_salt.samples import mni_brain_layers, colour_image_layers;"
        "mni_brain_layers(); colour_image_layers();"
        "print(sorted({'torch', 'nilearn', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
