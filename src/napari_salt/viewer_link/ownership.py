"""Which layers are ours, what they show, and whose work they carry.

A layer of ours carries a mark in its metadata (its role and place) and is known here. A duplicate
or a converted layer takes the metadata along, but nobody knows it: it is the user's own.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from napari.layers import Layer

    from napari_salt.session.session import Session
    from napari_salt.viewer_link.layers import Role
    from napari_salt.viewer_link.predicted import StackArray

META = "napari-salt"
"""Key of the mark that our own layers carry in their metadata."""

sessions: WeakKeyDictionary[Layer, Session] = WeakKeyDictionary()
"""Sessions outlive the dock: they stay with the paint layer as long as that lives."""
arrays: WeakKeyDictionary[Layer, StackArray] = WeakKeyDictionary()
"""The (N, Y, X) array that a layer shows."""
kept: WeakKeyDictionary[Session, dict[Role, StackArray]] = WeakKeyDictionary()
"""The (N, Y, X) arrays of a session's roles, also of those that have no layer (yet)."""

levels: WeakKeyDictionary[Layer, int] = WeakKeyDictionary()
"""The level of its pyramid that an image was worked at last."""


def is_ours(layer: Layer) -> bool:
    """Whether a layer was made here and shows an array of ours."""
    return META in layer.metadata and layer in arrays


def disown_copy(layer: Layer) -> None:
    """Take the mark off a layer that has it only because it was copied or converted from ours."""
    if META in layer.metadata and layer not in arrays:
        layer.metadata.pop(META)


def disown(layer: Layer) -> None:
    """Have nothing to do with a layer of ours any more."""
    layer.metadata.pop(META, None)
    arrays.pop(layer, None)
    sessions.pop(layer, None)


def mark(role: str, place_name: str) -> dict[str, str]:
    """What the metadata of a layer says."""
    return {"role": role, "place": place_name}


def find(layers: Iterable[Layer], place_name: str, role: str) -> Layer | None:
    """Our layer of a place and a role."""
    wanted = mark(role, place_name)
    return next((x for x in layers if x.metadata.get(META) == wanted and x in arrays), None)


def of_image(layers: Iterable[Layer], key: str) -> Iterator[Layer]:
    """Our layers of every place on an image."""
    for layer in layers:
        if is_ours(layer) and str(layer.metadata[META]["place"]).startswith(f"{key}/"):
            yield layer


def move(layers: Iterable[Layer], old_name: str, new_name: str) -> None:
    """Give our layers of one place to another."""
    for layer in layers:
        if is_ours(layer) and layer.metadata[META]["place"] == old_name:
            layer.metadata[META] = mark(layer.metadata[META]["role"], new_name)


def new_name_for_lost(place_name: str) -> str:
    """A name for layers whose image now shows something else, so that nobody takes them for its own."""
    return f"lost-{next(_numbers)}/{place_name}"


_numbers = count(1)
