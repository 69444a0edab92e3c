"""Round A against round B on the slice on screen. No Qt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_salt.control.job_controller import Job, JobController
from napari_salt.control.present_labels import only_present
from napari_salt.engine.requests import SegmentRequest
from napari_salt.records import SlicePrediction
from napari_salt.views import ComparisonState

if TYPE_CHECKING:
    from napari_salt.control.desk import Desk
    from napari_salt.engine.requests import Report, Result
    from napari_salt.session.session import Session


class CompareController:
    """Segments one slice with the adapters of two rounds and shows both; keeps neither."""

    def __init__(self, desk: Desk, jobs: JobController) -> None:
        self._desk, self._jobs = desk, jobs
        self._hidden = False
        """Whether the prediction was hidden for the comparison."""
        self.state = ComparisonState()

    def compare(self, first: int, second: int) -> None:
        """Show two rounds against each other on the slice on screen."""
        session, index = self._desk.session, self._desk.link.current_slice()
        if session is None or index is None or self._jobs.occupied:
            return
        self.end()
        self._segment(session, index, (first, second), [])

    def end(self) -> None:
        """Remove the layers of the comparison and show the prediction again."""
        if not self.state.text:
            return
        self.state, hidden, self._hidden = ComparisonState(), self._hidden, False
        self._desk.link.compare.clear()
        if hidden:
            self._desk.link.set_shown("prediction", True)

    def layers_changed(self) -> None:
        """Layers have come or gone; the user may have removed the comparison by hand."""
        if self.state.text and not self._desk.link.compare.shown:
            self.end()

    def _segment(
        self,
        session: Session,
        index: int,
        numbers: tuple[int, int],
        found: list[SlicePrediction],
    ) -> None:
        """Segment with the next of the two adapters; the second one follows when the first is done."""
        round_ = session.rounds[numbers[len(found)]]
        request = SegmentRequest(
            Path(round_.adapter_path), (index,), device=session.settings.device
        )
        before = len(found)

        def heard(report: Report) -> None:
            if isinstance(report, SlicePrediction):
                found.append(report)

        def done(result: Result) -> None:
            if len(found) == before:
                self._desk.say(f"slice {index} was not segmented; press Compare again", "warning")
            elif len(found) < len(numbers):
                self._segment(session, index, numbers, found)
            else:
                self._show(session, index, numbers, found)

        doing = f"segmenting slice {index} with round {round_.number}"
        self._jobs.start(
            Job(
                "compare",
                request,
                session.stack,
                on_report=heard,
                on_done=done,
                on_failed=self._desk.fail,
                on_stopped=lambda: self._desk.say("comparison stopped"),
                doing=doing,
            )
        )

    def _show(
        self,
        session: Session,
        index: int,
        numbers: tuple[int, int],
        found: list[SlicePrediction],
    ) -> None:
        place, link = self._desk.place, self._desk.link
        if place is None:
            return
        names = [f"round {number}" for number in numbers]
        ids = session.labels.ids
        first, second = (only_present(prediction, ids).labels for prediction in found)
        self._hidden = link.display().prediction
        link.set_shown("prediction", False)
        link.compare.show(
            place,
            index,
            list(zip(names, (first, second), strict=True)),
            self._desk.rows(),
        )
        self.state = ComparisonState(self._words(index, names, first != second))
        self._desk.say(f"slice {index}: {names[0]} filled, {names[1]} outlined", "good")

    @staticmethod
    def _words(
        index: int, names: list[str], differ: np.ndarray[tuple[int, ...], np.dtype[np.bool]]
    ) -> str:
        count, share = int(differ.sum()), float(differ.mean())
        what = (
            "they agree everywhere"
            if not count
            else f"{count} pixels differ ({share:.1%}), in white"
        )
        return f"Slice {index}: {names[0]} filled, {names[1]} outlined; {what}."
