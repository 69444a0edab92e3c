"""What the choice of intensities means on the open stack: measured beside the viewer's thread. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from napari_salt.intensity import AUTO, Limits, proposal, words
from napari_salt.model.limits import measure_limits
from napari_salt.views import IntensityState

if TYPE_CHECKING:
    from napari_salt.control.desk import Desk
    from napari_salt.records import IntensityChoice
    from napari_salt.session.stack import Stack

LARGEST_PLANE = 2**25
"""Pixels of a slice beyond which nothing is read before it is asked for."""


class IntensityController:
    """Measures the open stack anew when it or the percentiles change; ``changed`` says that it is done."""

    def __init__(self, desk: Desk, changed: Callable[[], None]) -> None:
        self._desk, self._changed = desk, changed
        self._pool = ThreadPoolExecutor(1, "napari-salt intensities")
        self._asked: tuple[Stack, IntensityChoice] | None = None
        self._measuring: Future[Limits] | None = None
        self._told = True

    def tick(self) -> None:
        """Tell once when a measurement is there."""
        if not self._told and self._measuring is not None and self._measuring.done():
            self._told = True
            self._changed()

    def state(self) -> IntensityState:
        """What to show now; starts a measurement where there is none of this stack and choice."""
        session = self._desk.session
        if session is None:
            return IntensityState(why_not="Open or choose an image first.")
        choice = session.settings.intensity
        self._follow(session.stack, choice)
        limits = self._limits()
        if limits is None:
            return IntensityState(words(choice), why_not="The image is not measured yet.")
        one = not session.stack.info.rgb and len(limits.low) == 1
        measured = (limits.low[0], limits.high[0]) if one else None
        window = choice.method == "window"
        return IntensityState(
            words(choice, limits),
            proposal(session.stack.info, choice, limits),
            (choice.low, choice.high) if window and one else measured,
            measured,
            "" if one else "A colour image has no contrast limits.",
        )

    def hint(self) -> str:
        """The proposal, as long as nothing was adapted with another choice."""
        session = self._desk.session
        if session is None or session.adapter_path is not None:
            return ""
        return self.state().proposal

    def show_like_this(self) -> None:
        """Show the image layer as the network sees it."""
        shown = self.state().shown
        if shown is not None:
            self._desk.link.set_contrast(*shown)

    def close(self) -> None:
        """Measure nothing any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _limits(self) -> Limits | None:
        measuring = self._measuring
        if measuring is None or not measuring.done() or measuring.cancelled():
            return None
        return None if measuring.exception() is not None else measuring.result()

    def _follow(self, stack: Stack, choice: IntensityChoice) -> None:
        # the numbers of a window are those of the default: naming another one measures nothing
        percentiles = choice if choice.method == "percentile" else AUTO
        if self._asked is not None and (self._asked[0] is stack, self._asked[1]) == (
            True,
            percentiles,
        ):
            return
        if self._measuring is not None:
            self._measuring.cancel()
        self._asked, self._measuring, self._told = (stack, percentiles), None, True
        _, rows, columns = stack.info.shape
        if rows * columns <= LARGEST_PLANE:
            self._measuring = self._pool.submit(measure_limits, stack, percentiles)
            self._told = False
