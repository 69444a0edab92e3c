"""Whose work belongs to which place, and what becomes of it when layers go or change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_salt.viewer_link import ownership, registry
from napari_salt.viewer_link.images import layer_key
from napari_salt.viewer_link.ownership import META, sessions

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_salt.geometry import Place
    from napari_salt.session.session import Session
    from napari_salt.session.stack import Stack


class Custody:
    """Finds and keeps the sessions of one viewer's places."""

    def __init__(self, viewer: Any) -> None:
        self._layers = viewer.layers
        self._orphans = registry.orphans_of(viewer)

    def waits(self, place: Place, stack: Stack) -> bool:
        """Whether work whose image was removed waits for ``stack``, the image of a place now."""
        return self._orphans.waits(place, stack)

    def session_of(self, place: Place, stack: Stack) -> Session | None:
        """The session of a place, whose image is ``stack`` now; None for none."""
        taken = self._orphans.take(place, stack)
        if taken is not None:
            ownership.move(self._layers, taken[0], place.name)
            return taken[1]
        paint = ownership.find(self._layers, place.name, "paint")
        session = None if paint is None else sessions.get(paint)
        if session is None:
            return None
        if session.stack.info.shape != stack.info.shape:
            self.lose(place.name, session)
            return None
        session.replace_stack(stack, other_pixels=session.stack.data is not stack.data)
        return session

    def of_other_place(self, place: Place) -> Session | None:
        """The session whose paint layer lies on a place, left as it is; None for none."""
        paint = ownership.find(self._layers, place.name, "paint")
        return None if paint is None else sessions.get(paint)

    def shown(self, layer: Layer, session: Session) -> None:
        """A session has its paint layer."""
        sessions[layer] = session
        self._orphans.forget(session)

    def lose(self, place_name: str, session: Session) -> None:
        """Keep the work of a place whose image shows something else now; its layers stay."""
        lost = ownership.new_name_for_lost(place_name)
        ownership.move(self._layers, place_name, lost)
        self._orphans.keep(lost, session, image_gone=True)

    def paint_removed(self, layer: Layer) -> None:
        """Keep the work of a paint layer that was removed; any other layer is no matter."""
        session = sessions.get(layer)
        if session is not None and ownership.is_ours(layer):
            self._orphans.keep(layer.metadata[META]["place"], session, image_gone=False)

    def image_removed(self, image: Layer, place: Place | None, session: Session | None) -> None:
        """Keep the work of every place on an image that was removed.

        ``place`` and ``session`` are those in use, whose paint layer may have gone before.
        """
        for paint in ownership.of_image(self._layers, layer_key(image)):
            if paint in sessions and sessions[paint] is not session:
                self._orphans.keep(paint.metadata[META]["place"], sessions[paint], image_gone=True)
        if place is not None and session is not None and place.key == layer_key(image):
            self._orphans.keep(place.name, session, image_gone=True)
