"""Adapters out to files and in. No Qt."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from napari_salt.control.rounds_folder import ADAPTER_SUFFIX
from napari_salt.errors import OutputError
from napari_salt.io.file_names import safe_file_name
from napari_salt.model.adapter_info import read_info

if TYPE_CHECKING:
    from napari_salt.control.desk import Desk
    from napari_salt.control.job_controller import JobController
    from napari_salt.records import Label
    from napari_salt.session.session import Session

_ADAPTERS = f"Adapter (*{ADAPTER_SUFFIX})"


class FilesController:
    """Asks for file names, writes and reads, and says what was done."""

    def __init__(self, desk: Desk, jobs: JobController) -> None:
        self._desk = desk
        self._jobs = jobs

    def export_adapter(self) -> None:
        """Copy the active round's adapter to a file of the user's choice."""
        session = self._desk.session
        if session is None or session.adapter_path is None:
            return
        suggested = safe_file_name(session.stack.info.name, "adapter") + ADAPTER_SUFFIX
        path = self._desk.view.ask_save("Save adapter", suggested, _ADAPTERS)
        if path is None:
            return
        path = path if path.name.endswith(ADAPTER_SUFFIX) else Path(f"{path}{ADAPTER_SUFFIX}")
        copy_file(Path(session.adapter_path), path)
        self._desk.say(f"adapter saved to {path.name}", "good")

    def load_adapter(self) -> None:
        """Make an adapter from a file the one to segment with; its labels join the table."""
        session = self._desk.session
        if session is None:
            return
        path = self._desk.view.ask_open("Load adapter", _ADAPTERS)
        if path is not None:
            self.use_file(path)

    def use_file(self, path: Path) -> None:
        """Segment with the adapter in a file from now on.

        Raises ``AdapterError`` when the file is none, or is damaged.
        """
        session = self._desk.session
        if session is None:
            return
        trained = read_info(path).labels
        self._desk.label_maps[str(path)] = {
            label.label_id: _label_in(session, label) for label in trained
        }
        session.use_adapter(path)
        names = ", ".join(label.name for label in trained)
        self._desk.say(f"{path.name} loaded; it finds {names}", "good")


def _label_in(session: Session, trained: Label) -> int:
    """Id of the session's label of that name; added, with the trained id where it is free."""
    known = session.labels.by_name(trained.name)
    if known is None:
        wanted = None if trained.label_id in session.labels else trained.label_id
        known = session.labels.add(trained.name, trained.color, label_id=wanted)
    return known.label_id


def copy_file(source: Path, target: Path) -> None:
    """Copy a file so that ``target`` is either the old one or the whole new one.

    Raises ``OutputError`` when the file cannot be written.
    """
    part = None
    try:
        with NamedTemporaryFile(dir=target.parent, suffix=".part", delete=False) as part:
            with source.open("rb") as content:
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
