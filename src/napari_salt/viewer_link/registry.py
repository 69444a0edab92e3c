"""Which link serves which viewer, for what comes in through napari's menus and not through a dock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from napari_salt.viewer_link.orphans import Orphans

if TYPE_CHECKING:
    from napari_salt.viewer_link.link import ViewerLink

_open: WeakSet[ViewerLink] = WeakSet()
_orphans: WeakKeyDictionary[Any, Orphans] = WeakKeyDictionary()
"""By the layer list of each viewer."""


def link_opened(link: ViewerLink) -> None:
    """A dock has joined a viewer."""
    _open.add(link)


def link_closed(link: ViewerLink) -> None:
    """A dock has let go of its viewer."""
    _open.discard(link)


def link_of(viewer: Any) -> ViewerLink | None:
    """The link of a viewer's dock; None where no dock is open.

    napari hands plugins a proxy of the viewer as well as the viewer itself; both are meant.
    """
    return next((link for link in _open if link.serves(viewer)), None)


def orphans_of(viewer: Any) -> Orphans:
    """Work of a viewer that waits for its image; it outlives the dock."""
    layers = getattr(viewer, "__wrapped__", viewer).layers
    return _orphans.setdefault(layers, Orphans())
