"""Which wish of the view, and which signal of the viewer, leads to what. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from napari_salt.errors import NapariSaltError

if TYPE_CHECKING:
    from napari_salt.control.controller import Controller
    from napari_salt.control.desk import Desk
    from napari_salt.control.shown import Shown
    from napari_salt.control.slots import Wire


def wired(controller: Controller, shown: Shown) -> Iterator[Wire]:
    """Every signal that a controller hears, and what it does then."""
    yield from _image(controller, shown)
    yield from _labels_and_paint(controller, shown)
    yield from _rounds_and_masks(controller)
    yield from _display(controller)
    yield from _files(controller)
    yield from _viewer(controller)
    yield from controller.assist.slots()


def _image(controller: Controller, shown: Shown) -> Iterator[Wire]:
    wishes, images = controller.desk.view.wishes, controller.images
    yield wishes.image_chosen, shown.anew_after("image", images.choose)
    yield wishes.axis_chosen, shown.anew_after("image", images.choose_axis)
    yield wishes.level_chosen, shown.anew_after("image", images.choose_level)
    yield wishes.full_resolution_set, controller.set_full_resolution
    yield wishes.image_offer_taken, controller.arrivals.take_offer


def _labels_and_paint(controller: Controller, shown: Shown) -> Iterator[Wire]:
    desk, paint, fill = controller.desk, controller.paint, controller.fill
    wishes = desk.view.wishes
    yield wishes.label_added, _in_table(desk, paint.add_label)
    yield wishes.label_renamed, _in_table(desk, paint.rename_label)
    yield wishes.label_recoloured, _in_table(desk, paint.recolour_label)
    yield wishes.label_removed, _in_table(desk, paint.remove_label)
    yield wishes.label_selected, paint.select_label
    yield wishes.complete_set, shown.anew_after("slice", paint.set_complete)
    yield wishes.accept, paint.accept
    yield wishes.accept_label, fill.accept_label
    yield wishes.propagate, fill.propagate
    yield wishes.interpolate, fill.interpolate
    yield wishes.undo_accept, paint.undo_accept


def _rounds_and_masks(controller: Controller) -> Iterator[Wire]:
    wishes, loop = controller.desk.view.wishes, controller.loop
    yield wishes.adapt, loop.adapt
    yield wishes.stop, controller.stop
    yield wishes.settings_changed, controller.set_settings
    yield wishes.then_segment_set, controller.set_then_segment
    yield wishes.looking_ahead_set, controller.set_looking_ahead
    yield wishes.restore_round, loop.restore
    yield wishes.compare_rounds, controller.compare.compare
    yield wishes.comparison_ended, controller.compare.end
    yield wishes.segment_slice, loop.segment_slice
    yield wishes.segment_all, loop.segment_all
    yield wishes.next_slice, loop.next_slice
    yield wishes.skip_slice, loop.skip_slice
    yield wishes.go_to_slice, controller.slices.go_to
    yield wishes.offer_taken, controller.take_offer


def _display(controller: Controller) -> Iterator[Wire]:
    wishes, link = controller.desk.view.wishes, controller.desk.link
    yield wishes.prediction_shown, lambda on: link.set_shown("prediction", on)
    yield wishes.prediction_opacity, link.set_opacity
    yield wishes.prediction_outlined, link.set_outline
    yield wishes.uncertainty_shown, lambda on: link.set_shown("uncertainty", on)
    yield wishes.show_like_this, controller.intensities.show_like_this
    yield wishes.slices_wanted, controller.slices.show_table


def _files(controller: Controller) -> Iterator[Wire]:
    wishes, exports, files = controller.desk.view.wishes, controller.exports, controller.files
    yield wishes.export_masks, exports.export_masks
    yield wishes.export_objects, exports.export_objects
    yield wishes.export_table, exports.export_table
    yield wishes.export_slices, controller.slices.export
    yield wishes.export_adapter, files.export_adapter
    yield wishes.load_adapter, files.load_adapter
    yield wishes.save_session, controller.saving.save_as
    yield wishes.open_session, controller.saving.open_session


def _viewer(controller: Controller) -> Iterator[Wire]:
    viewer, paint = controller.desk.link.signals, controller.paint
    images, arrivals, keys = controller.images, controller.arrivals, controller.keys
    yield viewer.images_changed, controller.images_changed
    yield viewer.image_lost, images.lost
    yield viewer.image_changed, arrivals.image_changed
    yield viewer.pixels_replaced, controller.pixels_replaced
    yield viewer.adapter_dropped, arrivals.adapter_dropped
    yield viewer.session_dropped, arrivals.session_dropped
    yield viewer.paint_lost, paint.layer_lost
    yield viewer.slice_changed, _only_refresh
    yield viewer.display_changed, _only_refresh
    yield viewer.painted, paint.painted
    yield viewer.repainted, paint.repainted
    yield viewer.stroke_made, paint.stroke_made
    yield viewer.label_picked, paint.label_picked
    yield viewer.label_key_pressed, paint.label_key
    yield viewer.key_pressed, keys.pressed
    yield viewer.keys_changed, keys.changed
    yield viewer.undo_pressed, paint.undo
    yield viewer.redo_pressed, paint.redo


def _in_table(desk: Desk, act: Callable[..., None]) -> Callable[..., None]:
    """``act`` on the label table; what that refuses is said until labels or paint change."""

    def acted(*args: Any) -> None:
        try:
            act(*args)
        except NapariSaltError as error:
            desk.refuse(str(error))

    return acted


def _only_refresh() -> None:
    """Nothing to do but to show what is now: every wish is followed by that anyway."""
