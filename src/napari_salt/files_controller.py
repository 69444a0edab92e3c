"""Masks and adapters out to files, adapters in. No Qt."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_salt.errors import OutputError
from napari_salt.records import BACKGROUND, Round
from napari_salt.rounds_folder import ADAPTER_SUFFIX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_salt.desk import Desk
    from napari_salt.job_controller import JobController
    from napari_salt.session.session import Session

_MASKS = "TIFF (*.tif *.tiff)"
_ADAPTERS = f"Adapter (*{ADAPTER_SUFFIX})"


class FilesController:
    """Asks for file names, writes and reads, and says what was done."""

    def __init__(self, desk: Desk, jobs: JobController) -> None:
        self._desk = desk
        self._jobs = jobs

    def export_masks(self) -> None:
        """Write what is segmented and painted as one label image."""
        from napari_salt.io.write import write_masks

        session = self._desk.session
        if session is None:
            return
        info = session.stack.info
        path = self._desk.view.ask_save("Save masks", f"{info.name or 'stack'}_masks.tif", _MASKS)
        if path is None:
            return
        path = path if path.suffix else path.with_suffix(".tif")
        write_masks(
            path,
            merged(session, self._desk.link.predictions()),
            names={label.label_id: label.name for label in session.labels},
            colors={label.label_id: label.color for label in session.labels},
            spacing=info.spacing,
            units=info.units,
        )
        self._desk.say(f"masks saved to {path.name}", "good")

    def export_adapter(self) -> None:
        """Copy the active round's adapter to a file of the user's choice."""
        session = self._desk.session
        if session is None or session.adapter_path is None:
            return
        suggested = f"{session.stack.info.name or 'adapter'}{ADAPTER_SUFFIX}"
        path = self._desk.view.ask_save("Save adapter", suggested, _ADAPTERS)
        if path is None:
            return
        path = path if path.name.endswith(ADAPTER_SUFFIX) else Path(f"{path}{ADAPTER_SUFFIX}")
        copy_file(Path(session.adapter_path), path)
        self._desk.say(f"adapter saved to {path.name}", "good")

    def load_adapter(self) -> None:
        """Make an adapter from a file the one to segment with; its labels join the table."""
        from napari_salt.model.adapter_file import read_info

        session = self._desk.session
        if session is None:
            return
        path = self._desk.view.ask_open("Load adapter", _ADAPTERS)
        if path is None:
            return
        info = read_info(path)
        number = max((done.number for done in session.rounds), default=0) + 1
        session.rounds.add(Round(number, info.record, str(path), path.stat().st_size))
        self._desk.say(f"{path.name} loaded as round {number}; segment to use it", "good")


def merged(session: Session, predictions: NDArray[Any] | None) -> NDArray[np.uint16]:
    """Masks ``(N, Y, X)`` to export: predictions, with paint on top; 0 is none of the labels.

    On a complete slice only paint counts. Elsewhere painted pixels win and background paint
    clears what was predicted there.
    """
    annotations = session.annotations
    shape = annotations.paint.shape
    masks = np.zeros(shape, np.uint16)
    if predictions is not None:
        masks[...] = predictions
    for index in annotations.usable_slices():
        targets = annotations.slice_targets(index)
        masks[index] = np.where(targets > 0, targets, masks[index])
        masks[index][targets == BACKGROUND] = 0
    return masks


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
