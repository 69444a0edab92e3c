"""Masks, single objects and their table out to files, in a thread of its own. No Qt.

The dock calls `ExportController.tick` every second, which shows how far the thread is and says how it ended.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_salt import wording
from napari_salt.control.export_target import pattern_of, target_of
from napari_salt.control.merged_masks import MergedMasks
from napari_salt.engine.aside import run_aside
from napari_salt.errors import JobFailed, JobStopped, NapariSaltError
from napari_salt.io.enlarged import EnlargedMasks, check_finer
from napari_salt.io.export import check_target, export_masks, formats_for
from napari_salt.io.object_masks import common_sizes, find_objects
from napari_salt.io.object_table import SUFFIX as TABLE_SUFFIX
from napari_salt.io.object_table import write_table
from napari_salt.io.watched import WatchedMasks
from napari_salt.io.writing.source_slices import slices_of
from napari_salt.views import ProgressState

if TYPE_CHECKING:
    from napari_salt.control.desk import Desk
    from napari_salt.io.export import Kind
    from napari_salt.io.volume_objects import VolumeObjects
    from napari_salt.records import Label, StackInfo
    from napari_salt.session.objects import ObjectsChoice
    from napari_salt.session.session import Session
    from napari_salt.session.stack import ArrayLike, Stack

logger = logging.getLogger(__name__)

LAST_WAIT = 10.0
"""Seconds that closing waits for an export to take back what it has begun."""


@dataclass(eq=False)
class _Export:
    """One export under way; the thread writes ``reading``, the main thread reads it."""

    what: str
    count: int
    reading: int = 0
    finding: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    future: Future[Path] | None = None

    def on_slice(self, index: int) -> None:
        """Called in the thread before each slice."""
        if self.stop.is_set():
            raise JobStopped("Stopped.")
        self.reading = index + 1

    def aside(self, work: Callable[..., VolumeObjects], *args: Any) -> VolumeObjects:
        """Find objects of a volume in a process of its own, so that the viewer stays smooth and Stop ends it."""
        self.finding = True
        try:
            return run_aside(work, *args, stopped=self.stop.is_set)
        except JobFailed as error:
            raise JobFailed(
                f"The objects could not be found. {error} Find them in each slice by itself, or close other programs."
            ) from error
        finally:
            self.finding = False


@dataclass(frozen=True, eq=False)
class _Source:
    """What is exported: frozen when it was asked for."""

    masks: WatchedMasks
    stack: Stack
    labels: tuple[Label, ...]
    export: _Export


class ExportController:
    """Asks for a file name, starts one export at a time, and tells how it goes."""

    def __init__(self, desk: Desk, changed: Callable[[], None]) -> None:
        self._desk = desk
        self._changed = changed
        self._pool = ThreadPoolExecutor(1, "napari-salt export")
        self._export: _Export | None = None

    @property
    def busy(self) -> bool:
        """Whether an export is under way."""
        return self._export is not None

    @property
    def stopping(self) -> bool:
        """Whether the export was asked to stop and has not ended yet."""
        return self._export is not None and self._export.stop.is_set()

    # ---- asked for by the user

    def export_masks(self) -> None:
        """Write what is segmented and painted as one label image."""
        session = self._free_session()
        if session is None:
            return
        written = self._written(session)
        target = self._ask_target(written.info, "masks")
        if target is None:
            return
        path, kind = target

        def work(source: _Source) -> Path:
            stack = source.stack
            return export_masks(
                path, source.masks, stack.info, source.labels, kind=kind, slices=slices_of(stack)
            )

        self._start(session, written, "masks", work)

    def export_objects(self, choice: ObjectsChoice) -> None:
        """Write a label image in which each object has a number of its own."""
        session = self._free_session()
        if session is None:
            return
        written = self._written(session)
        common_sizes(written.info, volume=choice.volume)
        target = self._ask_target(written.info, "objects")
        if target is not None:
            path, kind = target
            self._start(
                session,
                written,
                "objects",
                lambda source: _write_objects(source, choice, path, kind),
            )

    def export_table(self, choice: ObjectsChoice) -> None:
        """Write the measurements of the objects."""
        session = self._free_session()
        if session is None:
            return
        written = self._written(session)
        common_sizes(written.info, volume=choice.volume)
        name = f"{self._desk.file_name()}_objects{TABLE_SUFFIX}"
        path = self._desk.view.ask_save("Save measurements", name, f"CSV (*{TABLE_SUFFIX})")
        if path is None:
            return
        path = path if path.suffix else path.with_suffix(TABLE_SUFFIX)
        self._start(session, written, "table", lambda source: _write_table(source, choice, path))

    def stop(self) -> None:
        """Ask the export to stop; what it has begun is taken back."""
        if self._export is not None:
            self._export.stop.set()

    # ---- while it runs

    def progress(self) -> ProgressState:
        """How far the export is."""
        export = self._export
        if export is None:
            return ProgressState()
        if export.stop.is_set():
            return ProgressState(True, "stopping…")
        if export.finding:
            return ProgressState(True, "finding objects…")
        text = f"saving {export.what}, slice {export.reading}/{export.count}"
        return ProgressState(True, text, export.reading, export.count)

    def tick(self) -> None:
        """Show progress, or say how the export ended."""
        export = self._export
        if export is None:
            return
        if export.future is not None and export.future.done():
            self._export = None
            self._tell_end(export.what, export.future)
        self._changed()

    def close(self) -> None:
        """Stop what runs and let it clean up, but not for ever."""
        self.stop()
        if self._export is not None and self._export.future is not None:
            wait([self._export.future], LAST_WAIT)
        self._pool.shutdown(wait=False)

    # ---- inside

    def _free_session(self) -> Session | None:
        """The open session, where no export is under way."""
        return None if self.busy else self._desk.session

    def _written(self, session: Session) -> Stack:
        """The stack on whose grid masks are written: the session's, or the finest level of its pyramid.

        Raises ``InputError`` where masks of the session do not fit on that.
        """
        place = self._desk.place
        if place is None or not (place.level and self._desk.full_resolution):
            return session.stack
        images = self._desk.link.images
        finest = images.open_stack(images.at_level(place, 0))
        check_finer(session.stack.info, finest.info)
        return finest

    def _ask_target(self, info: StackInfo, what: str) -> tuple[Path, Kind] | None:
        """Path and format; None when the user thinks better of it. Refuses what cannot work."""
        view = self._desk.view
        offered = formats_for(info)
        suggested = f"{self._desk.file_name()}_{what}{offered[0].suffixes[0]}"
        answer = view.ask_save_as(f"Save {what}", suggested, [pattern_of(x) for x in offered])
        if answer is None:
            return None
        path, chosen = target_of(answer[0], offered, answer[1])
        kind = check_target(path, info, chosen.kind)
        # The dialog has asked only about the name that it saw.
        unasked = path != answer[0] and path.is_file()
        if unasked and not view.confirm(f"{path.name} is there already. Replace it?", "Replace"):
            return None
        return path, kind

    def _start(
        self, session: Session, written: Stack, what: str, work: Callable[[_Source], Path]
    ) -> None:
        at = wording.position(self._desk.position())
        export = _Export(f"{what} of {at}" if at else what, len(written))
        masks: ArrayLike = MergedMasks(session, self._desk.link.predictions())
        if written is not session.stack:
            masks = EnlargedMasks(masks, session.stack.info, written.info)
        watched = WatchedMasks(masks, export.on_slice)
        source = _Source(watched, written, tuple(session.labels), export)
        self._export = export  # first: the work may ask at once how far it is
        export.future = self._pool.submit(work, source)

    def _tell_end(self, what: str, future: Future[Path]) -> None:
        error = future.exception()
        if error is None:
            self._desk.say(f"{what} saved to {future.result().name}", "good")
        elif isinstance(error, JobStopped):
            self._desk.say(f"stopped; no {what} were written", "plain")
        elif isinstance(error, NapariSaltError):
            self._desk.fail(str(error))
        else:
            logger.error("An export failed", exc_info=error)
            self._desk.fail(
                f"The {what} could not be saved ({type(error).__name__}: {error}); try another format."
            )


def _write_objects(source: _Source, choice: ObjectsChoice, path: Path, kind: Kind) -> Path:
    stack, export = source.stack, source.export
    folder = path.absolute().parent
    with find_objects(source.masks, stack.info, choice, folder, run=export.aside) as objects:
        return export_masks(
            path,
            objects.watched(export.on_slice).ids,
            stack.info,
            objects.labels(source.labels),
            kind=kind,
            slices=slices_of(stack),
            label_of=objects.label_of,
            categories=source.labels,
        )


def _write_table(source: _Source, choice: ObjectsChoice, path: Path) -> Path:
    stack, export = source.stack, source.export
    folder = path.absolute().parent
    with find_objects(
        source.masks, stack.info, choice, folder, measured=True, run=export.aside
    ) as objects:
        return write_table(path, objects.watched(export.on_slice), source.labels, stack)
