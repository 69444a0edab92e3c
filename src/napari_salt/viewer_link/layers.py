"""Making and dressing the layers of a place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_salt import wording
from napari_salt.records import UNLABELLED
from napari_salt.viewer_link.images import ORIGIN, origin_at, position_of, transforms_of
from napari_salt.viewer_link.ownership import META, mark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_salt.geometry import Place
    from napari_salt.viewer_link.predicted import SeenAlong
    from napari_salt.views import LabelRow

Role = Literal["uncertainty", "prediction", "paint"]
"""The layers of a place, from bottom to top."""

OUTLINE = 1
"""Width of the lines of a prediction shown as outlines, in pixels of the image."""
_PAINT_OPACITY = 0.7
_CLEAR = (0.0, 0.0, 0.0, 0.0)
_UNNAMED = (1.0, 0.0, 1.0, 0.8)
"""Paint with an id that is no label: loud, so that nobody overlooks it."""


def layer_name(image: Image, role: Role, place: Place, image_name: str | None = None) -> str:
    """Name of a layer of ours when it is made: ``movie paint · t = 2``, ``slide paint · level 3``.

    ``image_name`` is a former name of the image.
    """
    name = f"{image.name if image_name is None else image_name} {role}"
    position = wording.position(position_of(image, place.geometry))
    level = f"level {place.level}" if place.level else ""
    return " · ".join(part for part in (name, position, level) if part)


def new_layer(
    role: Role,
    image: Image,
    place: Place,
    data: NDArray[Any] | SeenAlong,
    visible: bool,
    opacity: float,
) -> Layer:
    """A layer of ``data`` (along the image's axes) that lies exactly on the image.

    ``opacity`` is that of a prediction.
    """
    common: dict[str, Any] = {
        "name": layer_name(image, role, place),
        "metadata": {META: mark(role, place.name), **_origin(image, place)},
        "visible": visible,
        "axis_labels": image.axis_labels,
        **transforms_of(image, place.geometry),
    }
    if role == "uncertainty":
        return Image(
            data, contrast_limits=(0, 1), colormap="inferno", blending="additive", **common
        )
    return Labels(data, opacity=opacity if role == "prediction" else _PAINT_OPACITY, **common)


def _origin(image: Image, place: Place) -> dict[str, Any]:
    """Where the image comes from, so that what is saved of a layer on it lies in the same place."""
    return {ORIGIN: origin_at(image, place)} if ORIGIN in image.metadata else {}


def display_events(layer: Layer) -> tuple[Any, ...]:
    """Emitters that tell that a layer is shown otherwise: hidden, faded, outlined."""
    events = layer.events
    more = (events.contour,) if isinstance(layer, Labels) else ()
    return (events.visible, events.opacity, *more)


def dress(layer: Labels, role: Role, rows: Iterable[LabelRow]) -> None:
    """Names and colours of the label table on a labels layer."""
    rows = tuple(rows)
    unnamed = _UNNAMED if role == "paint" else _CLEAR
    colors: dict[int | None, Any] = {None: unnamed, UNLABELLED: _CLEAR}
    colors.update({row.label_id: row.color for row in rows})
    layer.colormap = DirectLabelColormap(color_dict=colors)
    empty = "unlabelled" if role == "paint" else "none of the labels"
    layer.features = {
        "index": [UNLABELLED, *(row.label_id for row in rows)],
        "name": [empty, *(row.name for row in rows)],
    }
