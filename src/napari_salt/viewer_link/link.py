"""Shows the work on one image in the viewer, and tells what happens there.

Layers that belong to a place are found by their metadata, so renaming them does no harm. The paint
layer's data *is* the annotations' array (seen along the image's axes).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_salt.viewer_link import ownership, registry
from napari_salt.viewer_link.askew import is_askew, straighten
from napari_salt.viewer_link.box_tool import BoxTool
from napari_salt.viewer_link.channels import channels_beside, join_channels, joined_image
from napari_salt.viewer_link.compare import CompareLayers
from napari_salt.viewer_link.custody import Custody
from napari_salt.viewer_link.image_readers import image_layer
from napari_salt.viewer_link.image_watch import ImageWatch
from napari_salt.viewer_link.images import ViewerImages, layer_key, shown_unit
from napari_salt.viewer_link.keys import ViewerKeys
from napari_salt.viewer_link.listening import Listening
from napari_salt.viewer_link.making import LayerMaking
from napari_salt.viewer_link.place_layers import PlaceLayers
from napari_salt.viewer_link.selecting import no_status
from napari_salt.viewer_link.signals import ViewerSignals
from napari_salt.viewer_link.slices import show_slice, shows_volume, slice_at
from napari_salt.viewer_link.stacking import single_images, stack_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.layers import Image, Labels
    from napari.viewer import Viewer

    from napari_salt.geometry import Place
    from napari_salt.io.opened import Opened
    from napari_salt.key_table import KeysState
    from napari_salt.records import SlicePrediction
    from napari_salt.session.session import Session
    from napari_salt.session.stack import Stack
    from napari_salt.viewer_link.file_facts import VoxelSize
    from napari_salt.viewer_link.layers import Role
    from napari_salt.viewer_link.predicted import StackArray
    from napari_salt.views import DisplayState, LabelRow


class ViewerLink:
    """Finds, makes and fills the layers of one place; tells what happens in the viewer."""

    def __init__(self, viewer: Viewer) -> None:
        self.signals = ViewerSignals()
        self.images = ViewerImages(viewer)
        self.compare = CompareLayers(viewer, self.images)
        self._viewer = viewer
        self._image: Image | None = None
        self._place: Place | None = None
        self._session: Session | None = None
        self._image_watch: ImageWatch | None = None
        self._image_name = ""
        self._custody = Custody(viewer)
        self._listening = Listening()
        layers, dims = viewer.layers.events, viewer.dims.events
        self._listening.to(layers.inserted, self._on_inserted)
        self._listening.to(layers.removed, self._on_removed)
        self._listening.to(layers.renamed, self._on_layers)
        for moved in (dims.point, dims.ndisplay, dims.order):
            self._listening.to(moved, self._on_dims)
        self._keys = ViewerKeys(viewer, self.signals)
        self._box = BoxTool(viewer, self.images, self.signals)
        making = LayerMaking(viewer, self._box)
        self._layers = PlaceLayers(viewer, making, position=self, signals=self.signals)
        registry.link_opened(self)

    @property
    def box(self) -> BoxTool:
        """The tool that turns boxes into masks."""
        return self._box

    def serves(self, viewer: Any) -> bool:
        """Whether this is the link of ``viewer``, which may be a proxy of it."""
        mine, other = (getattr(x, "__wrapped__", x) for x in (self._viewer, viewer))
        return mine is other

    # ---- layers of a place

    def session_of(self, place: Place) -> Session | None:
        """The session that an earlier dock has left with the paint layer of a place.

        Work that was kept when its image or its paint layer went is given back here.
        """
        return self._custody.session_of(place, self.images.open_stack(place))

    def sessions_at_other_levels(self, place: Place) -> list[Session]:
        """Sessions with a paint layer on the other levels of a place's image."""
        levels = (x for x in range(len(self.images.levels(place))) if x != place.level)
        places = (self.images.at_level(place, level) for level in levels)
        found = (self._custody.of_other_place(one) for one in places)
        return [session for session in found if session is not None]

    def first_place(self, key: str) -> Place:
        """The stack of an image to start with: at the level that work waits for, else at a handy one."""
        place = self.images.place(key)
        count = len(self.images.levels(place))
        levels = [self.images.at_level(place, level) for level in range(count)]
        waiting = (x for x in (place, *levels) if self._custody.waits(x, self.images.open_stack(x)))
        return next(waiting, place) if levels else place

    def attach(self, place: Place, session: Session) -> None:
        """Show the session's paint as a layer on the image; layers of other places are hidden."""
        self.detach()
        self._place, self._image = place, self.images.get(place.key)
        ownership.levels[self._image] = place.level
        self._session = session
        self._image_name = self._image.name
        self._image_watch = ImageWatch(self._image, self._on_image, self._on_pixels)
        self._layers.attach(self._image, place, session)
        self.show_paint(session)

    def detach(self, *, hide: bool = True) -> None:
        """Let go of the layers of the current place; they stay in the viewer."""
        self._layers.detach(hide=hide)
        if self._image_watch is not None:
            self._image_watch.close()
        self._place = self._image = self._session = self._image_watch = None

    def release(self) -> None:
        """Let go of the current place for good: its image is not the one that was painted on."""
        if self._place is not None and self._session is not None:
            self._custody.lose(self._place.name, self._session)
        self.detach(hide=False)

    def show_paint(self, session: Session) -> None:
        """Show the paint layer, also after it was removed; the paint itself was never lost."""
        layer = self._layers.show_paint(session)
        with no_status(self._viewer):
            self._viewer.layers.selection.active = layer
        self._custody.shown(layer, session)
        self._layers.note_paint()

    def set_labels(self, rows: tuple[LabelRow, ...]) -> None:
        """Names, colours and ids of all layers."""
        self._layers.set_labels(rows)

    def select_label(self, label_id: int, *, brush: bool) -> None:
        """Give the brush a label; ``brush`` also makes the paint layer active, ready to paint, and seen."""
        paint = self._paint()
        if paint is None:
            return
        paint.selected_label = label_id
        if brush:
            if not paint.visible:  # napari takes the brush away from a layer that is hidden
                paint.visible = True
            with no_status(self._viewer):
                self._viewer.layers.selection.active = paint
            self._layers.take_brush()

    def brush_label(self) -> int | None:
        """Id that the brush paints, also one that is no label; None without a paint layer."""
        paint = self._paint()
        return None if paint is None else int(paint.selected_label)

    def has_brush(self) -> bool:
        """Whether the paint layer is active with a tool that paints."""
        paint = self._paint()
        active = self._viewer.layers.selection.active
        return paint is not None and active is paint and self._layers.has_brush()

    # ---- slices

    def current_slice(self) -> int | None:
        """Index of the slice on screen; None when the position lies outside the stack."""
        if self._image is None or self._place is None or self._session is None:
            return None
        count = len(self._session.annotations.paint)
        return slice_at(self._viewer.dims, self._image, self._place.geometry, count)

    def shows_volume(self) -> bool:
        """Whether the slice axis is one of those on screen, so that every slice is seen."""
        if self._image is None or self._place is None:
            return False
        return shows_volume(self._viewer.dims, self._image, self._place.geometry)

    def stack_images(self) -> str:
        """Make one stack of the single images; the key of the new image."""
        return layer_key(stack_images(self._viewer))

    def add_image(self, opened: Opened) -> str:
        """Show an image that was opened from a file; its key."""
        data, attributes, _ = image_layer(opened)
        return layer_key(self._viewer.add_image(data, **attributes))

    def single_images(self) -> int:
        """How many single images ``stack_images`` would take."""
        return len(single_images(self._viewer))

    def channels(self) -> list[str]:
        """Names of the channels of which the open image is one, as layers of their own; empty where there are none.

        Those that are selected, if it is among several of them, else all; see ``join_channels``.
        """
        return [image.name for image in self._channels()]

    def can_join(self) -> bool:
        """Whether the channels can be made one image; of pyramids they cannot."""
        return not any(image.multiscale for image in self._channels())

    def join_channels(self) -> str:
        """Make one image of the channels; its key."""
        return layer_key(join_channels(self._viewer, self._channels()))

    def joined_stack(self) -> Stack | None:
        """The open stack as `join_channels` would make it; nothing is read yet.

        None where nothing can be joined, or was already.
        """
        channels = self._channels()
        if self._place is None or len(channels) < 2 or not self.can_join():
            return None
        if joined_image(self._viewer, channels) is not None:
            return None
        return self.images.open_joined(self._place, channels)

    def join_like(self, known: Callable[[Stack], bool]) -> str | None:
        """Make one image of channels of the viewer that are ``known`` together; its key, None where none are."""
        for entry in self.images.entries():
            image = self.images.get(entry.key)
            channels = channels_beside(self._viewer, image)
            if not channels or channels[0] is not image or any(x.multiscale for x in channels):
                continue
            if known(self.images.open_joined(self.images.place(entry.key), channels)):
                return layer_key(join_channels(self._viewer, channels))
        return None

    def _channels(self) -> list[Image]:
        if self._image is None:
            return []
        found = channels_beside(self._viewer, self._image)
        selected = [image for image in found if image in self._viewer.layers.selection]
        return selected if len(selected) > 1 and self._image in selected else found

    def go_to(self, index: int) -> None:
        """Show a slice of the stack."""
        if self._image is not None and self._place is not None:
            show_slice(self._viewer.dims, self._image, self._place.geometry, index)

    def take_size(self, size: VoxelSize) -> None:
        """Have the image say how large its voxels are; the same place of it stays on screen, as a whole."""
        with self._same_place() as image:
            image.units = tuple(map(shown_unit, size.units))
            image.scale = size.lengths

    def lies_askew(self) -> bool:
        """Whether the image is turned or sheared out of the plane on screen, where it cannot be painted."""
        return self._image is not None and is_askew(self._viewer.dims, self._image)

    def lay_straight(self) -> None:
        """Lay the image along the axes of the viewer; the same place of it stays on screen, as a whole."""
        with self._same_place() as image:
            straighten(image)

    @contextmanager
    def _same_place(self) -> Iterator[Image]:
        """Change where the open image lies in the world; what was on screen is seen as a whole."""
        image, dims = self._image, self._viewer.dims
        assert image is not None
        axes = range(dims.ndim - image.ndim, dims.ndim)
        at = image.world_to_data([dims.point[axis] for axis in axes])
        yield image
        dims.set_point(axes, image.data_to_world(at))
        self._viewer.reset_view()

    def set_contrast(self, low: float, high: float) -> None:
        """Show the image between two intensities, black to white."""
        if self._image is not None and not self._image.rgb:
            self._image.contrast_limits = (low, high)

    def refresh_paint(self) -> None:
        """Draw paint anew after it was changed from outside."""
        self._layers.refresh("paint", force=True)

    def keys(self) -> KeysState:
        """The keys that hold now."""
        return self._keys.state

    # ---- predictions

    def prepare_prediction(self) -> None:
        """Add the layer of predictions, empty, at the press of a button: nobody is painting at that moment."""
        self._layers.add_empty("prediction")

    def drop_empty_prediction(self) -> None:
        """A job has ended without a mask: it leaves no layer behind."""
        if self._session is not None and not self._session.predicted_count:
            self._layers.drop("prediction")

    def write_prediction(self, prediction: SlicePrediction) -> None:
        """Fill one slice of the prediction layers; drawn only when it is on screen.

        Raises ``OutputError`` where they lie in a file and the disk is full; what was filled before stays.
        """
        if self._image is None:
            return
        self._layers.fill("uncertainty", prediction.index, prediction.uncertainty)
        self._layers.fill("prediction", prediction.index, prediction.labels)

    def predictions(self) -> StackArray | None:
        """Predicted label ids ``(N, Y, X)`` uint16, 0 where none; None before a first job."""
        return self._layers.array("prediction")

    def uncertainties(self) -> StackArray | None:
        """Uncertainty ``(N, Y, X)`` float16; None before the first prediction."""
        return self._layers.array("uncertainty")

    def draw_predictions(self) -> None:
        """Draw the prediction layers anew, at the end of a job."""
        self._layers.refresh("uncertainty", force=True)
        self._layers.refresh("prediction", force=True)

    def set_opacity(self, opacity: float) -> None:
        """Opacity of the prediction, 0..1."""
        self._layers.set_opacity(opacity)

    def set_outline(self, outline: bool) -> None:
        """Draw the prediction as outlines, or filled."""
        self._layers.set_outline(outline)

    def set_shown(self, role: Role, shown: bool) -> None:
        """Show or hide a layer, now and when it appears."""
        self._layers.set_shown(role, shown)

    def display(self) -> DisplayState:
        """How the prediction is shown, or will be once there is one."""
        return self._layers.display()

    def close(self) -> None:
        """Let go of the viewer; layers stay where they are."""
        self._layers.let_go()
        if self._image_watch is not None:
            self._image_watch.close()
        self._listening.stop_all()
        self.compare.clear()
        self._keys.close()
        self._box.close()
        registry.link_closed(self)

    # ---- events

    def _on_layers(self, event: Any = None) -> None:
        self.signals.images_changed.emit()

    def _on_inserted(self, event: Any) -> None:
        ownership.disown_copy(event.value)
        self.signals.images_changed.emit()

    def _on_removed(self, event: Any) -> None:
        layer = event.value
        self._custody.paint_removed(layer)
        if self._layers.removed(layer) == "paint":
            self.signals.paint_lost.emit()
        self._custody.image_removed(layer, self._place, self._session)
        if self._image is not None and layer is self._image:
            self.signals.image_lost.emit(layer_key(self._image), self._image.name)
        self.signals.images_changed.emit()

    def _on_dims(self, event: Any = None) -> None:
        self.signals.slice_changed.emit()

    def _on_image(self) -> None:
        """The image has another place, size, unit or name."""
        image, place = self._image, self._place
        if image is None or place is None or image.ndim != place.geometry.ndim:
            return  # with other axes another array is coming, which is told by itself
        before, self._image_name = self._image_name, image.name
        self._layers.renamed(before)
        self._layers.follow_image()
        self.signals.image_changed.emit()

    def _on_pixels(self) -> None:
        """The image shows another array."""
        self.signals.pixels_replaced.emit()

    # ---- finding

    def _paint(self) -> Labels | None:
        return self._layers.paint()
