"""Which image, axis and level of a pyramid are worked on: opened, exchanged, lost and found again. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_salt import wording
from napari_salt.control.desk import IDLE
from napari_salt.control.image_search import find_image
from napari_salt.errors import InputError
from napari_salt.session.follow import follow
from napari_salt.session.session import Session

if TYPE_CHECKING:
    from pathlib import Path

    from napari_salt.control.desk import Desk
    from napari_salt.control.job_controller import JobController
    from napari_salt.control.level_controller import LevelController
    from napari_salt.control.paint_controller import PaintController
    from napari_salt.geometry import Place
    from napari_salt.io.session_state import SessionState


class ImageController:
    """Keeps the open session that of the image in use.

    ``leave`` is to let go of the open session, whatever follows it; ``opened`` is told of another one once the viewer
    shows it.
    """

    def __init__(
        self,
        desk: Desk,
        jobs: JobController,
        paint: PaintController,
        levels: LevelController,
        *,
        leave: Callable[[], None],
        opened: Callable[[Session], None],
    ) -> None:
        self._desk, self._jobs, self._paint, self._levels = desk, jobs, paint, levels
        self._leave, self._opened = leave, opened
        self._link = desk.link

    # ---- choosing

    def images_changed(self) -> None:
        """The viewer's images were added to, removed or renamed; start with one if none is open."""
        if self._desk.session is None:
            key = self._link.images.active()
            if key is not None:
                self._try_to_open(key)

    def choose(self, key: str) -> None:
        """Open another image, or the open one anew where the viewer is now in its other axes."""
        place = self._desk.place
        if place is None or place.key != key:
            self._go(self._link.first_place(key))
        else:
            self._go(self._link.images.place(key, place.geometry.slice_axis, place.level))

    def choose_axis(self, axis: int) -> None:
        """Count slices along another axis of the image."""
        place = self._desk.place
        if place is not None:
            self._go(self._link.images.place(place.key, axis, place.level))

    def choose_level(self, level: int) -> None:
        """Work at another level of the image's pyramid; what was painted comes along."""
        before, session = self._desk.place, self._desk.session
        if before is None or session is None:
            return
        label, brush = self._desk.selected, self._link.has_brush()
        self._go(self._link.images.at_level(before, level))
        if self._desk.place != before:
            self._levels.came_from(session, before)
            self._paint.take_up(label, brush=brush)

    def _go(self, place: Place) -> None:
        """Open another stack; a running job is stopped after asking."""
        if place != self._desk.place and self._may_leave():
            self._desk.status = IDLE
            self.open_place(place)

    def _may_leave(self) -> bool:
        if self._jobs.job is None:
            return True
        return self._desk.view.confirm(
            "A job is running on this image. What it has so far is kept; the rest is not computed.",
            "Stop it and go on",
        )

    # ---- opening

    def open_place(self, place: Place) -> None:
        """Open an image as a stack, with the session it had or a new one; labels come along."""
        if place == self._desk.place:
            return
        session = self._link.session_of(place)
        back = self._paint_is_back(session)
        session = self._new_session(place) if session is None else self._followed(session, place)
        self._leave()
        self._desk.session, self._desk.place = session, place
        self._link.attach(place, session)
        if self._link.current_slice() is None:
            self._link.go_to(len(session.stack) // 2)
        self._opened(session)
        if back:
            self._desk.say(back, "good")

    def _new_session(self, place: Place) -> Session:
        """One with the labels and settings of the open one; of the same image, with its adapter, too."""
        session, before = Session(self._link.images.open_stack(place)), self._desk.session
        if before is not None and self._desk.place is not None:
            session.settings = before.settings
            follow(session, before, same_image=self._desk.place.key == place.key)
        return session

    def _followed(self, session: Session, place: Place) -> Session:
        """The session that a place had, with labels named since; for levels of a pyramid see `LevelController`."""
        before, left = self._desk.session, self._desk.place
        if before is not None and left is not None:
            same_image = left.key == place.key
            if not same_image or left.level == place.level:
                follow(session, before, same_image=same_image)
        return session

    def _try_to_open(self, key: str) -> None:
        """Open an image that nobody asked for: one that cannot be used is no reason to interrupt."""
        try:
            self.open_place(self._link.first_place(key))
        except InputError as error:
            self._desk.say(str(error), "warning")

    def _paint_is_back(self, session: Session | None) -> str:
        """What to say where an image comes back whose loss the status line still tells of."""
        if session is None or self._desk.session is not None:
            return ""
        painted = len(session.annotations.painted_slices())
        if not painted or self._desk.status.level != "warning":
            return ""
        return f"your paint on {wording.count(painted, 'slice')} is back"

    def bring(self, state: SessionState, folder: Path) -> None:
        """Open the image that a session was painted on, where it is found."""
        place = find_image(self._desk, state, folder)
        if place is not None:
            self.open_place(place)

    # ---- under our feet

    def lost(self, key: str, name: str) -> None:
        """The image in use was removed from the viewer."""
        place, session = self._desk.place, self._desk.session
        if place is None or place.key != key:
            return
        busy = self._jobs.busy
        painted = len(session.annotations.painted_slices()) if session is not None else 0
        self._leave()
        self._link.detach(hide=False)
        sentence = f"The image “{name}” was removed from the viewer"
        sentence += ", so its job was stopped." if busy else "."
        if painted:
            sentence += (
                f" Its paint on {wording.count(painted, 'slice')} is kept; open the image again "
                "to go on."
            )
        if painted or busy or self._desk.status.level != "warning":
            # Of several images removed at once, the one with paint is worth the line.
            self._desk.say(sentence, "warning")

    def open_again(self, place: Place | None) -> None:
        """Open the image again whose session had to be left because its pixels are those of another stack."""
        if place is not None and self._desk.session is None:
            self._try_to_open(place.key)
