"""Keys: what can be pressed as a button is done, or the reason why not is said. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_salt.control.desk import Desk
    from napari_salt.session.readiness import Action, Readiness


class KeyController:
    """Turns pressed keys into the wishes that the buttons make."""

    def __init__(self, desk: Desk, readiness: Callable[[], Readiness]) -> None:
        self._desk, self._readiness = desk, readiness
        self._view, self._link = desk.view, desk.link
        self._complained = False

    def start(self) -> None:
        """Take up the keys that hold, and notify the user of settings that cannot be followed."""
        self.changed()
        problems = self._link.keys().problems
        if problems:
            self._view.notify(" ".join(problems), "warning")

    def changed(self) -> None:
        """Other keys hold; while they are being typed the status line says what is wrong."""
        state = self._link.keys()
        self._desk.label_modifier = state.label_modifier
        if state.problems:
            self._desk.say(" ".join(state.problems), "warning")
        elif self._complained:
            self._desk.say("the keys are set", "good")
        self._complained = bool(state.problems)

    def pressed(self, name: str) -> None:
        """Do what a key of the table stands for."""
        if name == "show_keys":
            self._view.show_keys()
            return
        wishes = self._view.wishes
        if name == "show_prediction":
            wishes.prediction_shown.emit(not self._link.display().prediction)
            return
        if name == "box":
            wishes.assist_set.emit(not self._desk.assisting)
            return
        action: Action = getattr(self._readiness(), name)
        index = self._link.current_slice()
        if not action.enabled:
            self._desk.say(action.why_not, "warning")
        elif name != "complete":
            getattr(wishes, name).emit()
        elif self._desk.session is not None and index is not None:
            wishes.complete_set.emit(not self._desk.session.annotations.is_complete(index))
