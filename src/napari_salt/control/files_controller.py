"""Adapters out to files and in. No Qt."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from napari_salt.checked import name_key
from napari_salt.control.job_controller import Job
from napari_salt.control.rounds_folder import ADAPTER_SUFFIX, rounds_folder
from napari_salt.engine.requests import ExtendRequest
from napari_salt.errors import OutputError
from napari_salt.io.file_names import safe_file_name
from napari_salt.model.adapter_header import header_with
from napari_salt.model.adapter_info import read_info
from napari_salt.model.input_checks import check_channels

if TYPE_CHECKING:
    from napari_salt.control.desk import Desk
    from napari_salt.control.job_controller import JobController
    from napari_salt.engine.requests import Result
    from napari_salt.model.adapter_info import AdapterInfo
    from napari_salt.records import AnnotatedSlice, FitRecord, Label, Round
    from napari_salt.session.session import Session

_Version = tuple[Path, int]
"""A file and when it was written: the name of a round may come again, in another session."""

LOADED = "loaded"
"""Folder, in that of this run's adapters, of copies of loaded ones."""
_ADAPTERS = f"Adapter (*{ADAPTER_SUFFIX})"


@dataclass(eq=False)
class _Extension:
    """A round's adapter that is to be fitted for other stacks, and from what.

    ``saved`` are copies of it as they were written, and with which labels: one that is another file by the time it is
    done is left alone.
    """

    session: Session
    round: Round
    out: Path
    annotated: tuple[AnnotatedSlice, ...]
    saved: dict[_Version, tuple[Label, ...]] = field(default_factory=dict)

    @property
    def source(self) -> Path:
        """The adapter of the round."""
        return Path(self.round.adapter_path)

    @property
    def record(self) -> FitRecord:
        """What is known of the round by now; it may have been scored since."""
        found = (one for one in self.session.rounds if one.adapter_path == self.round.adapter_path)
        return next(found, self.round).record

    @property
    def names(self) -> str:
        """What it is called in words."""
        return " and ".join(sorted(path.name for path, _ in self.saved)) or "this round"

    def write_again(self) -> None:
        """Put what was fitted in the place of the copies."""
        self.saved = {one: labels for one, labels in self.saved.items() if _version(one[0]) == one}
        for (path, _), labels in self.saved.items():
            copy_file(self.out, path, _told(self.out, labels))


class FilesController:
    """Asks for file names, writes and reads, and says what was done.

    Adapt learns the stack that is painted. What an adapter needs for others is fitted when nothing else is asked of the
    engine, or when it is saved: the file is there at once, and written once more when that is done.
    """

    def __init__(self, desk: Desk, jobs: JobController) -> None:
        self._desk = desk
        self._jobs = jobs
        self._waiting: list[_Extension] = []
        self._now: _Extension | None = None
        self._extended: dict[_Version, Path] = {}
        """What became of the adapters of rounds, by their file, which itself stays as its masks know it."""
        self._left: set[_Version] = set()
        """Those that were stopped or failed: taken up again only when they are saved."""

    def tick(self, *, resting: bool) -> None:
        """Once a second: fit for other stacks what was saved, or, while all is ``resting``, the round in use."""
        if self._jobs.busy:
            return
        session = self._desk.session
        if self._waiting:
            extension = self._waiting.pop(0)
            if extension.session is session:
                self._extend(extension)
            else:
                self._desk.say(f"{extension.names}: for its own stack only", "warning")
        elif resting and session is not None and session.adapter_path is not None:
            source = Path(session.adapter_path)
            if source.parent == rounds_folder() and _version(source) not in self._left:
                missing = self._missing(session, source)
                if missing is not None:
                    self._extend(missing)

    def export_adapter(self) -> None:
        """Copy the active round's adapter to a file of the user's choice, with the names that its labels have now."""
        session = self._desk.session
        if session is None or session.adapter_path is None:
            return
        suggested = safe_file_name(session.stack.info.name, "adapter") + ADAPTER_SUFFIX
        path = self._desk.view.ask_save("Save adapter", suggested, _ADAPTERS)
        if path is None:
            return
        path = path if path.name.endswith(ADAPTER_SUFFIX) else Path(f"{path}{ADAPTER_SUFFIX}")
        source = Path(session.adapter_path)
        missing, known = self._missing(session, source), self._extended.get(_version(source))
        labels, deleted = self._labels_now(session, source)
        if known is not None:
            copy_file(known, path, _told(known, labels))
        else:
            copy_file(source, path, _told(source, labels, _later_record(session, source)))
        still = f"; it still finds {deleted}: adapt again to leave that out" if deleted else ""
        self._desk.say(f"adapter saved to {path.name}{still}", "good")
        if missing is None:
            return
        under_way = [self._now, *self._waiting] if self._now is not None else self._waiting
        same = next((one for one in under_way if one.source == source), None)
        if same is None:
            self._waiting.append(missing)
        (same or missing).saved[_version(path)] = labels
        self.tick(resting=False)

    def _labels_now(self, session: Session, source: Path) -> tuple[tuple[Label, ...], str]:
        """Labels of an adapter as the table has them now, and the names of those that are deleted there."""
        trained = read_info(source).labels
        present = {label.label_id: label for label in session.labels}
        now = [present.get(label.label_id) for label in trained]
        taken = {name_key(label.name) for label in now if label is not None}
        labels, deleted = [], []
        for was, label in zip(trained, now, strict=True):
            if label is not None:
                labels.append(replace(was, name=label.name, color=label.color))
                continue
            name = f"{was.name} (deleted)" if name_key(was.name) in taken else was.name
            labels.append(replace(was, name=name))
            deleted.append(f"“{name}”")
        return tuple(labels), " and ".join(deleted)

    def _missing(self, session: Session, source: Path) -> _Extension | None:
        """What is missing for other stacks, where that is wanted and there is paint to fit it to."""
        active = session.rounds.active
        if not session.settings.other_stacks or active is None:
            return None
        if _version(source) in self._extended:
            return None
        if Path(active.adapter_path) != source:
            return None  # it comes from a file, and may have been fitted to another stack
        info = read_info(source)
        if not info.this_stack_only:
            return None
        slices = sorted(set(info.record.slices) & set(session.annotations.usable_slices()))
        if not slices:
            return None
        ids = [label.label_id for label in info.labels]
        annotated = session.annotations.snapshot(slices, ids)
        out = rounds_folder() / f"other-stacks-{source.name}"
        return _Extension(session, active, out, annotated)

    def _extend(self, extension: _Extension) -> None:
        self._now = extension
        session = extension.session
        request = ExtendRequest(
            extension.source,
            extension.annotated,
            session.settings,
            extension.out,
            extension.record,
        )

        def done(result: Result) -> None:
            self._now = None
            self._extended[_version(extension.source)] = extension.out
            extension.write_again()
            self._desk.say(f"{extension.names}: fitted for other stacks as well", "good")

        def stopped() -> None:
            self._now = None
            if not job.gave_way:
                self._left.add(_version(extension.source))
                self._desk.say(f"stopped; {extension.names}: for its own stack only")
            elif extension.saved:
                self._waiting.append(extension)

        def failed(sentence: str) -> None:
            self._now = None
            self._left.add(_version(extension.source))
            told = f"{sentence} {extension.names}: for its own stack only."
            if extension.saved:
                self._desk.fail(told)
            else:  # nobody has asked for it
                self._desk.say(told, "warning")

        job = Job(
            "extend",
            request,
            session.stack,
            on_report=lambda report: None,
            on_done=done,
            on_failed=failed,
            on_stopped=stopped,
        )
        self._jobs.start(job)

    def load_adapter(self) -> None:
        """Make an adapter from a file the one to segment with; its labels join the table."""
        session = self._desk.session
        if session is None:
            return
        path = self._desk.view.ask_open("Load adapter", _ADAPTERS)
        if path is not None:
            self.use_file(path)

    def use_file(self, path: Path) -> None:
        """Segment with the adapter in a file from now on; with a copy where the session knows its labels by other ids.

        Raises ``AdapterError`` when the file is none, or is damaged, ``InputError`` when it is for images of other
        channels.
        """
        session = self._desk.session
        if session is None:
            return
        info = read_info(path)
        check_channels(session.stack, info)
        unused = session.labels.next_id
        labels = tuple(
            replace(label, label_id=_label_in(session, label, unused)) for label in info.labels
        )
        used = path
        if labels != info.labels:
            folder = rounds_folder() / LOADED
            folder.mkdir(exist_ok=True)
            used = folder / f"{id(session):x}-{path.name}"
            copy_file(path, used, replace(info, labels=labels))
        session.use_adapter(used)
        names = ", ".join(label.name for label in labels)
        self._desk.say(f"{path.name} loaded; it finds {names}", "good")


def _version(path: Path) -> _Version:
    """A file as it is now; when it was written in nanoseconds, 0 where there is none any more."""
    try:
        return path, path.stat().st_mtime_ns
    except OSError:
        return path, 0


def _told(
    source: Path, labels: tuple[Label, ...], record: FitRecord | None = None
) -> AdapterInfo | None:
    """What a copy of an adapter is to tell: that its labels are ``labels`` now; None where the file does."""
    info = read_info(source)
    names = {was.name: label.name for was, label in zip(info.labels, labels, strict=True)}
    record = info.record if record is None else record
    scores = tuple((names.get(name, name), dice) for name, dice in record.held_out_by_label)
    record = replace(record, held_out_by_label=scores)
    same = (labels, record) == (info.labels, info.record)
    return None if same else replace(info, labels=labels, record=record)


def _later_record(session: Session, source: Path) -> FitRecord | None:
    """What is known of a round by now, where its adapter's file tells less: its score may have come later."""
    active = session.rounds.active
    if active is None or Path(active.adapter_path) != source:
        return None
    return active.record if read_info(source).record != active.record else None


def _label_in(session: Session, trained: Label, unused: int) -> int:
    """Id of the session's label of that name; added, with the trained id where no label ever had that.

    ``unused`` is the first id that none had before: masks may still hold those of deleted labels.
    """
    known = session.labels.by_name(trained.name)
    if known is None:
        free = trained.label_id >= unused and trained.label_id not in session.labels
        wanted = trained.label_id if free else None
        known = session.labels.add(trained.name, trained.color, label_id=wanted)
    return known.label_id


def copy_file(source: Path, target: Path, info: AdapterInfo | None = None) -> None:
    """Copy a file so that ``target`` is either the old one or the whole new one.

    ``info`` is what the copy of an adapter is to tell of itself instead. Raises ``OutputError`` when the file cannot
    be written.
    """
    part = None
    try:
        with NamedTemporaryFile(dir=target.parent, suffix=".part", delete=False) as part:
            with source.open("rb") as content:
                if info is not None:
                    part.write(header_with(content, info))
                shutil.copyfileobj(content, part)
            part.flush()
            os.fsync(part.fileno())
        os.replace(part.name, target)
    except OSError as error:
        if part is not None:
            Path(part.name).unlink(missing_ok=True)
        reason = error.strerror or "the disk did not answer"
        raise OutputError(
            f"{target.name} could not be written ({reason}); choose another folder or free space."
        ) from error
