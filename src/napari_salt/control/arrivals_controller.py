"""What comes in besides a chosen image: adapters dropped, images stacked, moved, or changed. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_salt import wording
from napari_salt.errors import InputError
from napari_salt.session.readiness import Action, Readiness
from napari_salt.views import ImageNote

if TYPE_CHECKING:
    from napari_salt.control.desk import Desk
    from napari_salt.control.files_controller import FilesController
    from napari_salt.control.job_controller import JobController
    from napari_salt.control.saving_controller import SavingController


class ArrivalsController:
    """Follows the image in use, and takes in what the viewer brings.

    ``choose`` opens an image by its key at the viewer's position; ``leave`` lets go of the session;
    ``ready`` says what can be done now.
    """

    def __init__(
        self,
        desk: Desk,
        jobs: JobController,
        files: FilesController,
        choose: Callable[[str], None],
        leave: Callable[[], None],
        ready: Callable[[], Readiness],
        saving: SavingController,
    ) -> None:
        self._desk, self._jobs, self._files = desk, jobs, files
        self._choose, self._leave, self._ready, self._saving = choose, leave, ready, saving

    # ---- files

    def adapter_dropped(self, path: Path) -> None:
        """Load an adapter that was dropped on the viewer, or say why that cannot be now."""
        _check_welcome(path, self._ready().load_adapter)
        self._files.use_file(path)

    def session_dropped(self, path: Path) -> None:
        """Go on with a session that was dropped on the viewer, or say why that cannot be now."""
        _check_welcome(path, self._ready().open_session)
        self._saving.go_on(path)

    # ---- single images and positions

    def note(self, index: int | None) -> ImageNote:
        """What is worth knowing of the image in use: elsewhere, single images, its size, a slice's name."""
        session, (note, _) = self._desk.session, self._offered()
        if session is None or note.offer or index is None:
            return note
        told = note.text, session.stack.plane_name(index)
        return ImageNote(" · ".join(text for text in told if text))

    def work_here(self) -> str:
        """What the offer to go on at the viewer's position is called; empty where it is the stack's."""
        place, link = self._desk.place, self._desk.link
        elsewhere = () if place is None else link.images.elsewhere(place)
        return f"Work on {wording.position(elsewhere)}" if elsewhere else ""

    def take_offer(self) -> None:
        """Do what the note of the image offers."""
        _, take = self._offered()
        take()

    def _offered(self) -> tuple[ImageNote, Callable[[], None]]:
        """The note that comes with an offer, and what takes it; an empty one where there is nothing to offer."""
        place, link = self._desk.place, self._desk.link
        if place is None or self._desk.session is None:
            return ImageNote(), lambda: None
        work_here = self.work_here()
        if work_here:
            here = wording.position(link.images.position(place))
            there = wording.position(link.images.elsewhere(place))
            note = ImageNote(f"This is {here}; the viewer shows {there}.", work_here)
            return note, lambda: self._choose(place.key)
        if link.lies_askew():
            text = "It lies askew to what is on screen, and cannot be painted so."
            return ImageNote(text, "Lay it straight"), link.lay_straight
        channels = link.channels()
        if len(channels) > 1:
            text = f"One of {len(channels)} channels; the network sees this one only."
            if not link.can_join():
                return ImageNote(text), lambda: None
            offer = f"Use {len(channels)} channels together"
            return ImageNote(text, offer), self._join_channels
        count = link.single_images() if place.geometry.ndim == 2 else 0
        if count > 1:
            note = ImageNote(f"One of {count} single images.", f"Make one stack of {count}")
            return note, lambda: self._choose(link.stack_images())
        size = link.images.size_in_file(place)
        if size is not None:
            told = wording.voxel(size.lengths, size.units)
            text = f"Its file gives {told} a voxel, which napari has not read."
            return ImageNote(text, "Use the size in the file"), lambda: link.take_size(size)
        return ImageNote(), lambda: None

    def _join_channels(self) -> None:
        """Go on with all channels; what was painted on one of them is true of all."""
        before, link = self._desk.session, self._desk.link
        self._choose(link.join_channels())
        session = self._desk.session
        if before is None or session is None or session is before:
            return
        painted = before.annotations.usable_slices()
        same_labels = session.labels.names == before.labels.names
        if not painted or not same_labels or session.annotations.usable_slices():
            return
        planes = {index: before.annotations.paint[index].copy() for index in painted}
        session.annotations.replace(planes, before.annotations.complete)
        link.refresh_paint()
        self._desk.say(f"your paint on {wording.count(len(painted), 'slice')} came along", "good")

    # ---- changes of the image

    def image_changed(self) -> None:
        """The image has another name or voxel size: facts and exports follow."""
        session, place = self._desk.session, self._desk.place
        if session is not None and place is not None:
            session.replace_stack(self._desk.link.images.open_stack(place))

    def pixels_replaced(self) -> None:
        """The image shows another array: the paint stays, on it or in a layer of its own."""
        session, place, link = self._desk.session, self._desk.place, self._desk.link
        if session is None or place is None:
            return
        stack, busy = link.images.open_again(place), self._jobs.busy
        stopped = " The running job was stopped." if busy else ""
        if stack is not None and stack.info.shape == session.stack.info.shape:
            self._jobs.abandon()
            session.replace_stack(stack, other_pixels=True)
            self._saving.pixels_replaced()
            self._desk.say(
                f"The pixels of “{stack.info.name}” were replaced; your paint stays.{stopped}",
                "warning",
            )
            return
        name = session.stack.info.name
        painted = wording.count(len(session.annotations.painted_slices()), "slice")
        self._leave()
        link.release()
        self._desk.say(
            f"“{name}” now has another shape, so it starts anew; the paint on {painted} of before "
            f"stays in its own layer.{stopped}",
            "warning",
        )


def _check_welcome(path: Path, action: Action) -> None:
    if action.why_not:
        raise InputError(f"{path.name} was not loaded. {action.why_not} Then drop it again.")
