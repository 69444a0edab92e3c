"""What the viewer link tells of the viewer."""

from __future__ import annotations

from psygnal import Signal


class ViewerSignals:
    """What happens in the viewer; whoever finds it out emits, the controllers listen."""

    images_changed = Signal()
    image_lost = Signal(str, str)
    """Key and name of the image in use, which was removed."""
    image_changed = Signal()
    """The image in use has another place, voxel size, unit or name."""
    pixels_replaced = Signal()
    """The image in use shows another array."""
    adapter_dropped = Signal(object)
    """Path of an adapter file that was dropped on the viewer."""
    session_dropped = Signal(object)
    """Path of a session folder that was dropped on the viewer."""
    paint_lost = Signal()
    slice_changed = Signal()
    display_changed = Signal()
    """A prediction layer was shown, hidden or faded by the viewer's own controls."""
    painted = Signal(object)
    """Indices of the slices whose paint may have changed."""
    repainted = Signal()
    """The slice on screen shows other paint without a stroke; others may have changed with it."""
    stroke_made = Signal(object)
    """The `napari_salt.session.undo` step that takes the stroke back."""
    label_picked = Signal(int)
    undo_pressed = Signal()
    redo_pressed = Signal()
    label_key_pressed = Signal(int)
    """Place in the label table, 0-based; -1 for background."""
    key_pressed = Signal(str)
    """Name of an action of `napari_salt.key_table`."""
    keys_changed = Signal()
    box_drawn = Signal(object)
    """y0, x0, y1, x1 in pixels of the slice on screen."""
    box_taken = Signal()
    box_dropped = Signal()
    box_left = Signal()
    """Another layer was taken up, or the tool's own layer removed."""
