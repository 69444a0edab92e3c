"""Exports in the background: targets, progress, stop, failure; without Qt or a viewer."""

from __future__ import annotations

import threading
import time
from concurrent.futures import wait
from pathlib import Path
from unittest.mock import create_autospec

import nibabel
import numpy as np
import pytest

from napari_salt.control import export_controller
from napari_salt.control.desk import Desk
from napari_salt.control.export_controller import ExportController
from napari_salt.control.export_target import pattern_of, target_of
from napari_salt.engine.aside import run_aside
from napari_salt.errors import InputError, JobFailed, OutputError
from napari_salt.geometry import Place, StackGeometry
from napari_salt.io.export import FORMATS, formats_for
from napari_salt.io.volume_objects import objects_of_volume
from napari_salt.records import Origin, StackInfo
from napari_salt.session.objects import ObjectsChoice
from napari_salt.session.session import Session
from napari_salt.session.stack import Stack
from napari_salt.viewer_link import ViewerLink
from napari_salt.viewer_link.images import ViewerImages
from napari_salt.views import DockView

SHAPE = (4, 8, 8)
KINDS = [one.kind for one in FORMATS]


class Office:
    """An export controller with a session of one label; predictions say 1 everywhere."""

    def __init__(self, origin: Origin | None = None) -> None:
        self.view = create_autospec(DockView, instance=True)
        self.session = Session(Stack(np.zeros(SHAPE, np.uint8), name="t1", origin=origin))
        self.session.labels.add("cell")
        self.predictions = np.ones(SHAPE, np.uint16)
        link = create_autospec(ViewerLink, instance=True)
        link.predictions.return_value = self.predictions
        self.desk = Desk(self.view, link, self.session)
        self.shown = 0
        self.exports = ExportController(self.desk, self.changed)

    def changed(self) -> None:
        self.shown += 1

    def answer(self, path: Path, kind: str) -> None:
        """What the file dialog will give."""
        place = [one.kind for one in formats_for(self.session.stack.info)].index(kind)
        self.view.ask_save_as.return_value = path, place

    def end(self) -> None:
        wait([self.exports._export.future])
        self.exports.tick()


@pytest.fixture
def office():
    made = Office()
    yield made
    made.exports.close()


@pytest.mark.parametrize(
    ("typed", "picked", "name", "kind"),
    [
        ("m.tif", "tiff", "m.tif", "tiff"),
        ("m", "tiff", "m.tif", "tiff"),
        ("m.nii.gz", "tiff", "m.nii.gz", "nifti"),
        ("m.ome.tif", "tiff", "m.ome.tif", "ome-tiff"),
        ("m.tif", "nifti", "m.nii.gz", "nifti"),
        ("m.nii", "nifti", "m.nii", "nifti"),
        ("t1.v2", "nifti", "t1.v2.nii.gz", "nifti"),
        ("m", "nrrd", "m.seg.nrrd", "nrrd"),
        ("m.nrrd", "tiff", "m.nrrd", "nrrd"),
        ("m.tif", "png", "m", "png"),
        ("m", "coco", "m.json", "coco"),
        ("m.tif", "ome-zarr", "m.ome.zarr", "ome-zarr"),
    ],
)
def test_what_was_typed_and_picked_makes_the_target(typed, picked, name, kind):
    path, chosen = target_of(Path("/x") / typed, FORMATS, KINDS.index(picked))
    assert (path, chosen.kind) == (Path("/x") / name, kind)


def test_files_of_a_time_point_say_which_one(office, tmp_path):
    office.desk.place = Place("movie", StackGeometry(4, 1, {0: 7}))
    office.desk.link.images = create_autospec(ViewerImages, instance=True)
    office.desk.link.images.position.return_value = (("t", 7), ("channel/1", 0))
    office.answer(tmp_path / "m.tif", "tiff")
    office.exports.export_masks()
    suggested = office.view.ask_save_as.call_args.args[1]
    assert suggested == "t1_t7_channel_10_masks.tif"
    office.desk.place = None  # another image was opened meanwhile
    assert "masks of t = 7, channel/1 = 0" in office.exports.progress().text
    office.end()
    assert office.desk.status.text == "masks of t = 7, channel/1 = 0 saved to m.tif"
    office.view.ask_save.return_value = None
    office.exports.export_table(ObjectsChoice())
    assert office.view.ask_save.call_args.args[1] == "t1_objects.csv"


def test_the_dialog_offers_what_can_be_written(office, tmp_path):
    office.answer(tmp_path / "m.tif", "tiff")
    office.exports.export_masks()
    title, suggested, patterns = office.view.ask_save_as.call_args.args
    assert (title, suggested) == ("Save masks", "t1_masks.tif")
    assert patterns[0] == "TIFF (ImageJ) (*.tif *.tiff)"
    assert not any("DICOM" in pattern or "inside" in pattern for pattern in patterns)
    clinical = StackInfo(SHAPE, origin=Origin("/series", "dicom"))
    assert "DICOM-SEG (*.dcm)" in [pattern_of(one) for one in formats_for(clinical)]
    pyramid = StackInfo(SHAPE, origin=Origin("/a.ome.zarr", "ome-zarr"))
    assert pattern_of(formats_for(pyramid)[-1]) == "Labels inside the OME-Zarr image (*)"
    office.end()


def test_masks_go_to_a_file_in_the_background(office, tmp_path):
    office.answer(tmp_path / "m.tif", "nifti")
    office.exports.export_masks()
    assert office.exports.busy
    office.end()
    assert not office.exports.busy
    assert office.desk.status.text == "masks saved to m.nii.gz"
    assert np.asarray(nibabel.load(tmp_path / "m.nii.gz").dataobj).all()


def test_paint_made_while_saving_is_in_the_next_file(office, tmp_path):
    """The thread is held before its first slice; what is painted then must not get into the file."""
    office.session.annotations.paint[1, 0, 0] = 1
    office.session.annotations.touched(1)
    office.session.annotations.set_complete(1, True)
    go = threading.Event()
    office.exports._pool.submit(go.wait, 10)
    office.answer(tmp_path / "m.nii", "nifti")
    office.exports.export_masks()
    office.session.annotations.paint[1] = 1
    office.session.annotations.touched(1)
    go.set()
    office.end()
    assert np.asarray(nibabel.load(tmp_path / "m.nii").dataobj)[:, :, 1].sum() == 1


def test_progress_counts_slices(office, tmp_path):
    go = threading.Event()
    office.exports._pool.submit(go.wait, 10)
    office.answer(tmp_path / "m.tif", "tiff")
    office.exports.export_masks()
    state = office.exports.progress()
    assert (state.busy, state.text, state.total) == (True, "saving masks, slice 0/4", 4)
    office.exports.tick()
    assert office.shown == 1
    running = office.exports._export
    go.set()
    office.end()
    assert running.reading == 4
    assert not office.exports.progress().busy


def test_stop_takes_back_what_was_begun(office, tmp_path):
    go = threading.Event()
    office.exports._pool.submit(go.wait, 10)
    office.answer(tmp_path / "m.tif", "tiff")
    office.exports.export_masks()
    office.exports.stop()
    assert (office.exports.stopping, office.exports.progress().text) == (True, "stopping…")
    go.set()
    office.end()
    assert list(tmp_path.iterdir()) == []
    assert office.desk.status.text == "stopped; no masks were written"


def test_one_export_at_a_time(office, tmp_path):
    go = threading.Event()
    office.exports._pool.submit(go.wait, 10)
    office.answer(tmp_path / "m.tif", "tiff")
    office.exports.export_masks()
    office.exports.export_masks()
    office.exports.export_table(ObjectsChoice())
    assert office.view.ask_save_as.call_count == 1
    office.view.ask_save.assert_not_called()
    go.set()
    office.end()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OutputError("The disk is full; free some space."), "free some space"),
        (ZeroDivisionError("x"), r"could not be saved \(ZeroDivisionError: x\); try another"),
    ],
)
def test_a_failure_is_a_sentence(office, tmp_path, monkeypatch, error, words):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr(export_controller, "export_masks", fail)
    office.answer(tmp_path / "m.tif", "tiff")
    office.exports.export_masks()
    office.end()
    assert office.desk.status.level == "error"
    with pytest.raises(InputError, match=words):
        raise InputError(office.desk.status.text)
    assert not office.exports.busy


def test_what_cannot_work_is_refused_before_it_starts(office, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    office.answer(tmp_path, "png")
    with pytest.raises(OutputError, match="not empty"):
        office.exports.export_masks()
    assert not office.exports.busy


def test_a_name_that_the_dialog_did_not_ask_about_is_asked_about(office, tmp_path):
    (tmp_path / "m.nii.gz").write_bytes(b"precious")
    office.answer(tmp_path / "m.tif", "nifti")
    office.view.confirm.return_value = False
    office.exports.export_masks()
    assert not office.exports.busy
    assert (tmp_path / "m.nii.gz").read_bytes() == b"precious"
    office.view.confirm.return_value = True
    office.exports.export_masks()
    office.end()
    assert (tmp_path / "m.nii.gz").read_bytes() != b"precious"


def test_closing_leaves_nothing_half_written(tmp_path):
    office = Office()
    go = threading.Event()
    office.exports._pool.submit(go.wait, 10)
    office.answer(tmp_path / "m.tif", "tiff")
    office.exports.export_masks()
    go.set()
    office.exports.close()
    assert [path.name for path in tmp_path.iterdir()] in ([], ["m.tif"])


# ---- objects of a volume


VOLUME = ObjectsChoice("watershed", volume=True)


def test_objects_of_a_volume_are_found_in_another_process(office, tmp_path, monkeypatch):
    office.predictions[:] = 0
    office.predictions[1:3, 2:5, 2:5] = 1
    asked = []

    def aside(work, *args, stopped):
        asked.append((work, office.exports.progress().text))
        return run_aside(work, *args, stopped=stopped)

    monkeypatch.setattr(export_controller, "run_aside", aside)
    office.view.ask_save.return_value = tmp_path / "t.csv"
    office.exports.export_table(VOLUME)
    office.end()
    ((work, text),) = asked
    assert (work, text) == (objects_of_volume, "finding objects…")
    assert office.desk.status.text == "table saved to t.csv"
    lines = (tmp_path / "t.csv").read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("1,")
    assert ",18," in lines[1]


def test_stop_ends_the_search_for_objects(office, tmp_path, monkeypatch):
    office.predictions[:] = 1

    def aside(work, *args, stopped):
        return run_aside(time.sleep, 600, stopped=stopped)

    monkeypatch.setattr(export_controller, "run_aside", aside)
    office.answer(tmp_path / "m.tif", "tiff")
    office.exports.export_objects(VOLUME)
    office.exports.stop()
    office.end()
    assert office.desk.status.text == "stopped; no objects were written"
    assert not (tmp_path / "m.tif").exists()


def test_a_search_that_fails_says_so(office, tmp_path, monkeypatch):
    office.predictions[:] = 1

    def aside(*args, stopped):
        raise JobFailed("The computer ran out of memory.")

    monkeypatch.setattr(export_controller, "run_aside", aside)
    office.view.ask_save.return_value = tmp_path / "t.csv"
    office.exports.export_table(VOLUME)
    office.end()
    assert office.desk.status.level == "error"
    assert "The computer ran out of memory. Find them in each slice" in office.desk.status.text
    assert not office.exports.busy
