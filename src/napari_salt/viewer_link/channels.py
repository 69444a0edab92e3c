"""Channels that are layers of their own, seen together as one image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_salt.io.joined_channels import JoinedChannels
from napari_salt.records import Origin
from napari_salt.viewer_link.images import ORIGIN
from napari_salt.viewer_link.ownership import is_ours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel

_LONGEST_NAME = 40
"""Letters of the names of all channels, beyond which they are only counted."""


def channels_beside(viewer: ViewerModel, image: Image) -> list[Image]:
    """The channels of what ``image`` is a channel of, itself among them, from bottom to top; empty where it is none.

    Those are grey images of one shape in one place that come from the same file or sample, or, where napari does not
    know where they come from, are laid over each other additively.
    """
    found = [
        layer
        for layer in viewer.layers
        if isinstance(layer, Image)
        and not is_ours(layer)
        and (layer is image or _goes_with(layer, image))
    ]
    together = len(found) > 1 and (_source(image) or any(map(_is_additive, found)))
    return found if together and _may_be_channel(image) else []


def joined_image(viewer: ViewerModel, channels: Sequence[Image]) -> Image | None:
    """The image that ``channels`` were joined to; None where that is not there."""
    parts = [image.data for image in channels]
    for layer in viewer.layers:
        if isinstance(layer.data, JoinedChannels) and _same(layer.data.channels.parts, parts):
            return layer
    return None


def join_channels(viewer: ViewerModel, channels: Sequence[Image]) -> Image:
    """Add ``channels`` as one image, which nobody needs to see: they stay on screen as they are.

    The image that they were joined to before is taken, if it is there still.
    """
    before = joined_image(viewer, channels)
    if before is not None:
        return before
    parts = [image.data for image in channels]
    first, names = channels[0], " + ".join(image.name for image in channels)
    origin = first.metadata.get(ORIGIN)
    # the file of the first channel is not the file of all: another reader may see them otherwise
    metadata = {ORIGIN: replace(origin, path="")} if isinstance(origin, Origin) else {}
    joined = Image(
        JoinedChannels(parts),
        name=names if len(names) <= _LONGEST_NAME else f"{len(parts)} channels",
        multiscale=False,
        visible=False,
        contrast_limits=first.contrast_limits,
        axis_labels=first.axis_labels,
        scale=first.scale,
        translate=first.translate,
        rotate=first.rotate,
        shear=first.shear,
        affine=first.affine,
        units=first.units,
        metadata=metadata,
    )
    viewer.layers.append(joined)
    return joined


def _goes_with(layer: Image, image: Image) -> bool:
    return (
        _may_be_channel(layer)
        and _pixels(layer).shape == _pixels(image).shape
        and _source(layer) == _source(image)
        and np.array_equal(layer.scale, image.scale)
        and np.array_equal(layer.translate, image.translate)
    )


def _pixels(layer: Image) -> Any:
    return layer.data[0] if layer.multiscale else layer.data


def _may_be_channel(layer: Image) -> bool:
    """Whether a layer is a grey image of its own: no copy of another layer, and nothing joined."""
    own = layer.source.parent is None and not isinstance(layer.data, JoinedChannels)
    return own and not layer.rgb


def _source(layer: Image) -> tuple[Any, ...]:
    """The file or sample that a layer comes from; empty where napari does not know."""
    source = layer.source
    known = source.path, source.sample
    return known if any(known) else ()


def _is_additive(layer: Image) -> bool:
    return str(layer.blending) == "additive"


def _same(one: Sequence[Any], other: Sequence[Any]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
