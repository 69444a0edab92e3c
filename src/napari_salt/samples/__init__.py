"""Sample data from installed packages; nothing is downloaded."""

from __future__ import annotations

from napari_salt.samples.colour_image import colour_image_layers
from napari_salt.samples.mni_brain import load_mni_brain, mni_brain_layers

__all__ = ["colour_image_layers", "load_mni_brain", "mni_brain_layers"]
