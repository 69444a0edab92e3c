"""A colour image from the files inside the scikit-image package: a stained tissue section."""

from __future__ import annotations

from napari_salt.samples.mni_brain import LayerData


def colour_image_layers() -> list[LayerData]:
    """Layer data for napari's File > Open Sample: immunohistochemistry of colonic glands.

    ``(Y, X, 3)`` uint8, brown DAB against FHL2 and blue haematoxylin on nuclei; of the images that
    scikit-image carries in its wheel, so that nothing is downloaded.
    """
    from skimage import data

    image = data.immunohistochemistry()
    return [(image, {"name": "Stained tissue", "rgb": True}, "image")]
