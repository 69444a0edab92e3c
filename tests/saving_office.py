"""A saving controller without Qt or a viewer, and work that it keeps."""

from __future__ import annotations

from concurrent.futures import wait
from pathlib import Path
from unittest.mock import create_autospec

import numpy as np

from napari_salt.control.desk import Desk
from napari_salt.control.saving_controller import SavingController
from napari_salt.io.session_folder import SessionFolder
from napari_salt.io.session_store import SessionStore
from napari_salt.records import FitRecord, SlicePrediction, SliceSummary
from napari_salt.session.session import Session
from napari_salt.session.stack import Stack
from napari_salt.viewer_link import ViewerLink
from napari_salt.views import DockView

RECORD = FitRecord("salt", "lite-medsam", (2,), 30, 12.0, 1000, "adapted", 0.8, 0.9)


def new_session(value: int = 0) -> Session:
    return Session(Stack(np.full((6, 8, 8), value, np.uint8), name="t1"))


class Office:
    """A saving controller with an open session, and a clock moved by hand."""

    def __init__(
        self,
        folder: Path,
        session: Session | None = None,
        rescue: tuple[Path, ...] | None = None,
    ) -> None:
        self.view = create_autospec(DockView, instance=True)
        self.view.confirm.return_value = True
        self.session = session or new_session()
        self.desk = Desk(self.view, create_autospec(ViewerLink, instance=True), self.session)
        self.store = SessionStore(folder, rescue)
        self.saving = SavingController(self.desk, self.store, changed=lambda: None)
        self.saving.opened(self.session)

    def paint(self, index: int, label_id: int) -> None:
        self.session.annotations.paint[index, 2:5] = label_id
        self.session.annotations.touched(index)

    def tick(self) -> None:
        """Hand over, let the writer finish, collect."""
        kept = self.saving._kept
        assert kept is not None
        wait([kept.known])
        self.saving.tick()
        if kept.writing is not None:
            wait([kept.writing])
            self.saving.tick()

    @property
    def folders(self) -> list[Path]:
        return sorted(self.store.folder.glob("*.salt"))


def worked(office: Office, tmp_path: Path) -> None:
    """Two labels, two painted slices, a round."""
    cell, axon = office.session.labels.add("cell"), office.session.labels.add("axon")
    office.paint(1, cell.label_id)
    office.paint(4, axon.label_id)
    office.session.annotations.set_complete(4, True)
    (tmp_path / "adapter").write_bytes(b"weights")
    office.session.add_round(RECORD, tmp_path / "adapter", 7)
    office.session.skip(0)
    office.tick()


def predicted(index: int, label_id: int = 1) -> SlicePrediction:
    """A slice with two rows of a label."""
    labels = np.zeros((8, 8), np.uint16)
    labels[index : index + 2] = label_id
    doubts = np.full((8, 8), index / 8, np.float16)
    summary = SliceSummary(index, 0.25, {label_id: 16}, {label_id: 0.5}, np.ones(3, np.float32))
    return SlicePrediction(index, labels, doubts, summary)


def painted_in(path: Path) -> tuple[int, ...]:
    """Slices with paint in a session folder, which opens."""
    folder = SessionFolder.open_folder(path)
    folder.close()
    return folder.painted_slices()
