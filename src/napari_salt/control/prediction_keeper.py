"""Predicted slices go to the session folder as they come, and come back from it after a crash. No Qt.

Writing and reading is done on a thread of its own; the main thread only hands over and takes. Not on the one that
saves sessions: masks may come faster than a disk takes them, and paint must not wait behind them.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from napari_salt import wording
from napari_salt.control.present_labels import only_present
from napari_salt.errors import NapariSaltError
from napari_salt.io import session_predictions
from napari_salt.io.session_predictions import Predicted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_salt.control.desk import Desk
    from napari_salt.io.session_folder import SessionFolder
    from napari_salt.records import SlicePrediction
    from napari_salt.session.session import Session

BATCH_BYTES = 32 * 1024**2
"""Pixels brought back at one tick; the viewer stays smooth."""
BYTES_A_PIXEL = 4


class PredictionKeeper:
    """Keeps the predictions of one session; ``pool`` has the one thread that writes masks."""

    def __init__(self, desk: Desk, session: Session, pool: ThreadPoolExecutor) -> None:
        self._desk, self._session, self._pool = desk, session, pool
        self._waiting: list[Predicted] = []
        self._keeping: list[Future[None]] = []
        self._failed = False
        self._back: Iterator[SlicePrediction] | None = None
        self._batch: Future[list[SlicePrediction]] | None = None
        self._adapter: str | None = None
        self._fresh: Future[bool] | None = None

    @property
    def waiting(self) -> bool:
        """Whether slices wait for a folder to be kept in."""
        return bool(self._waiting)

    @property
    def keeping(self) -> tuple[Future[None], ...]:
        """What was handed over and may not yet be on the disk."""
        return tuple(self._keeping)

    def add(self, prediction: SlicePrediction, adapter: Path) -> None:
        """Keep a predicted slice, in the session's label ids.

        To be called before another job begins, which may replace the file ``adapter``: what is in it now has made the
        slice. A slice whose adapter is gone cannot be told from others, and is not kept.
        """
        with suppress(OSError):
            made_by = session_predictions.adapter_sha256(adapter)
            self._waiting.append(Predicted(prediction, made_by))

    def hand_over(
        self, image: str, folder: SessionFolder | None, last: Future[SessionFolder] | None = None
    ) -> None:
        """Have what waits written to ``folder``, or to what the write ``last`` comes to."""
        if not self._waiting or (folder is None and last is None):
            return
        found, self._waiting = self._waiting, []
        info, labels = self._session.stack.info, tuple(self._session.labels)

        def keep() -> None:
            into = last.result() if last is not None and last.exception() is None else folder
            if into is not None:
                session_predictions.keep(into.path, image, info, labels, found)

        self._keeping.append(self._pool.submit(keep))

    def settle(self) -> None:
        """Wait until what was handed over is on the disk."""
        wait(self._keeping)

    def bring_back(self, folder: Path, image: str) -> None:
        """Show the slices that ``folder`` keeps, a part at each tick; those predicted since are left as they are."""
        self._waiting.clear()
        self._adapter = self._session.adapter_path
        adapter = Path(self._adapter or "")
        self._fresh = self._pool.submit(session_predictions.kept_by, folder, adapter)
        self._back = session_predictions.kept(folder, image, self._session.stack.info.shape)
        self._read()

    def pixels_replaced(self) -> None:
        """What waits, and what has not yet come back, is of pixels that are no longer shown."""
        self._waiting.clear()
        self._back = self._batch = None

    def tick(self) -> bool:
        """Take what the thread has read; True when something has changed on screen."""
        self._collect()
        if self._batch is None or not self._batch.done():
            return False
        batch, self._batch = self._batch.result(), None
        try:
            for prediction in batch:
                if not self._session.has_prediction(prediction.index):
                    self._show(prediction)
        except NapariSaltError as error:  # the disk is full, for one
            self._back = None
            self._desk.fail(f"Your masks are kept but cannot be shown: {error}")
            return True
        if batch:
            self._read()
        else:
            self._say_how_many()
        return True

    def _read(self) -> None:
        """Read the next slices on the thread."""
        back, shape = self._back, self._session.stack.info.shape
        assert back is not None
        most = max(1, BATCH_BYTES // (shape[1] * shape[2] * BYTES_A_PIXEL))
        self._batch = self._pool.submit(lambda: list(islice(back, most)))

    def _show(self, prediction: SlicePrediction) -> None:
        """Show a slice that was kept, without what was predicted as labels that are deleted by now."""
        assert self._fresh is not None
        prediction = only_present(prediction, self._session.labels.ids)
        fresh = self._fresh.result() and self._session.adapter_path == self._adapter
        self._desk.link.write_prediction(prediction)
        self._session.add_prediction(prediction.summary, provisional=not fresh)

    def _say_how_many(self) -> None:
        self._back = None
        fresh, count = self._session.fresh_count, len(self._session.stack)
        if self._session.predicted_count:
            self._desk.link.draw_predictions()
        if 0 < fresh < count:
            self._desk.say(
                f"your work is back, with masks of {wording.count(fresh, 'slice')}; Segment all goes on with the "
                f"other {count - fresh}",
                "good",
            )

    def _collect(self) -> None:
        """Say once when the disk refused."""
        done = [one for one in self._keeping if one.done()]
        self._keeping = [one for one in self._keeping if not one.done()]
        for one in done:
            error = one.exception()
            if error is not None and not self._failed:
                self._failed = True
                why = str(error) if isinstance(error, NapariSaltError | OSError) else repr(error)
                self._desk.fail(f"Masks are not being kept: {why}")
