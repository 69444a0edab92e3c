"""A saved adapter is there at once, and learns other stacks as soon as nobody waits for anything else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest.mock import create_autospec

import numpy as np
import pytest
from safetensors.numpy import save

from descriptions import described
from napari_salt.control import files_controller
from napari_salt.control.desk import Desk
from napari_salt.control.files_controller import FilesController
from napari_salt.control.job_controller import Job, JobController
from napari_salt.engine.requests import AdaptRequest, ExtendRequest, SegmentRequest
from napari_salt.errors import AdapterError, InputError, OutputError
from napari_salt.model.adapter_header import HEADER_KEY
from napari_salt.model.adapter_info import read_info
from napari_salt.records import FitRecord, Label
from napari_salt.session.session import Session
from napari_salt.session.stack import Stack
from napari_salt.viewer_link import ViewerLink
from napari_salt.views import DockView
from played_runner import PlayedRunner

SHAPE = (6, 8, 8)
FIRST, EXTENDED = b"this stack", b"other stacks as well"


class Bench:
    """One round, fitted to slices 1 and 4 for their stack alone."""

    def __init__(self, tmp_path, monkeypatch) -> None:
        self.folder = tmp_path
        self.desk = Desk(
            create_autospec(DockView, instance=True), create_autospec(ViewerLink, instance=True)
        )
        self.runner = PlayedRunner()
        self.jobs = JobController(self.runner, lambda: None)
        self.files = FilesController(self.desk, self.jobs)
        self.desk.session = self.session = Session(Stack(np.zeros(SHAPE, np.uint8)))
        for name in ("cell", "nucleus"):
            self.session.labels.add(name)
        for index in (1, 3, 4):
            self.paint(index, 1)
        self.record = FitRecord("salt", "lite-medsam", (1, 4), 0, 1.0, 100, "first fit")
        labels = tuple(self.session.labels)[:1]
        self.info = described(labels, self.record, this_stack_only=True)
        monkeypatch.setattr(files_controller, "read_info", lambda path: self.info)
        monkeypatch.setattr(files_controller, "rounds_folder", lambda: tmp_path)
        self.source = tmp_path / "round.salt.safetensors"
        self.source.write_bytes(FIRST)
        self.session.add_round(self.record, self.source, len(FIRST))
        self.path = tmp_path / "mine.salt.safetensors"
        self.desk.view.ask_save.return_value = self.path

    def paint(self, index, label):
        mask = np.zeros(SHAPE[1:], bool)
        mask[2 * label : 2 * label + 2] = True
        self.session.annotations.fill(label, {index: mask}, index=index, what="test")

    def start(self, kind, request):
        self.jobs.start(
            Job(
                kind,
                request,
                self.session.stack,
                on_report=lambda report: None,
                on_done=lambda result: None,
                on_failed=self.desk.fail,
                on_stopped=lambda: None,
            )
        )

    def segment(self):
        self.start("segment", SegmentRequest(self.source, (0,)))

    def extended(self):
        """The engine has written the file."""
        self.runner.requests[-1].out.write_bytes(EXTENDED)
        self.runner.end("on_done", None)

    @property
    def said(self):
        return self.desk.status.text


@pytest.fixture
def bench(tmp_path, monkeypatch):
    return Bench(tmp_path, monkeypatch)


def test_the_file_is_there_at_once_and_once_more_when_it_is_done(bench):
    bench.files.export_adapter()
    assert bench.path.read_bytes() == FIRST
    assert bench.said == "adapter saved to mine.salt.safetensors"
    (request,) = bench.runner.requests
    assert isinstance(request, ExtendRequest)
    assert request.adapter == bench.source
    assert [one.index for one in request.annotated] == [1, 4]  # of the round, and no later ones
    assert bench.jobs.job.kind == "extend"
    bench.extended()
    assert bench.path.read_bytes() == EXTENDED
    assert bench.said == "mine.salt.safetensors: fitted for other stacks as well"
    assert bench.desk.status.level == "good"
    assert bench.source.read_bytes() == FIRST  # masks are known by it
    bench.files.export_adapter()  # again: it is there
    assert bench.path.read_bytes() == EXTENDED
    assert len(bench.runner.requests) == 1


def test_paint_of_a_label_that_the_adapter_does_not_know_is_left_out(bench):
    bench.paint(4, 2)
    bench.files.export_adapter()
    (request,) = bench.runner.requests
    ids = set().union(*(np.unique(one.targets).tolist() for one in request.annotated))
    assert 1 in ids
    assert 2 not in ids


def test_a_score_that_came_later_is_in_the_copy_and_in_what_is_extended(bench, monkeypatch):
    scored = replace(bench.record, held_out_before=0.9)
    bench.session.score_round(1, scored)
    told = []
    monkeypatch.setattr(files_controller, "header_with", lambda file, one: told.append(one) or b"!")
    bench.files.export_adapter()
    assert bench.path.read_bytes() == b"!" + FIRST
    assert told == [replace(bench.info, record=scored)]
    (request,) = bench.runner.requests
    assert request.record == scored
    bench.extended()
    assert bench.path.read_bytes() == EXTENDED


def written(monkeypatch):
    """What files tell of themselves besides what their adapter does."""
    told = []
    monkeypatch.setattr(
        files_controller, "header_with", lambda file, info: told.append(info) or b""
    )
    return told


def test_a_saved_adapter_has_the_names_that_its_labels_have_by_then(bench, monkeypatch):
    told = written(monkeypatch)
    bench.record = replace(bench.record, held_out_by_label=(("cell", 0.75),))
    bench.session.score_round(1, bench.record)
    bench.session.labels.rename(1, "neuron")
    bench.session.labels.recolour(1, (0.0, 0.0, 1.0, 1.0))
    bench.files.export_adapter()
    (info,) = told
    assert info.labels == (Label(1, "neuron", (0.0, 0.0, 1.0, 1.0)),)
    assert info.record.held_out_by_label == (("neuron", 0.75),)
    assert bench.said == "adapter saved to mine.salt.safetensors"
    bench.session.labels.rename(1, "glia")
    bench.extended()
    assert [one.labels for one in told[1:]] == [info.labels], (
        "what is written once more has the names that it was saved with"
    )
    bench.files.export_adapter()
    assert told[-1].labels[0].name == "glia"
    assert len(bench.runner.requests) == 1


def test_a_saved_adapter_that_finds_a_deleted_label_says_so(bench, monkeypatch):
    told = written(monkeypatch)
    bench.info = replace(bench.info, labels=tuple(bench.session.labels))
    bench.session.labels.remove(2)
    bench.files.export_adapter()
    assert bench.said == (
        "adapter saved to mine.salt.safetensors; it still finds “nucleus”: adapt again to leave that out"
    )
    assert told == []
    bench.session.labels.rename(1, "Nucleus")
    bench.files.export_adapter()
    assert [label.name for label in told[-1].labels] == ["Nucleus", "nucleus (deleted)"]


@pytest.fixture
def lent(bench, monkeypatch):
    """A colleague's adapter, which knows nuclei by the id that cells have here, and vessels, unknown here."""
    monkeypatch.setattr(files_controller, "read_info", read_info)
    told = described((Label(1, "Nucleus"), Label(7, "vessel")), bench.record)
    path = bench.folder / "lent.salt.safetensors"
    path.write_bytes(save({"x": np.zeros(1)}, metadata={HEADER_KEY: told.to_json()}))
    return path


def test_an_adapter_from_a_file_that_knows_labels_by_other_ids_is_used_as_a_copy(bench, lent):
    before = lent.read_bytes()
    bench.files.use_file(lent)
    used = Path(bench.session.adapter_path)
    assert [(one.label_id, one.name) for one in read_info(used).labels] == [
        (2, "Nucleus"),
        (7, "vessel"),
    ]
    assert lent.read_bytes() == before
    assert bench.session.labels.names == {1: "cell", 2: "nucleus", 7: "vessel"}
    assert bench.said == "lent.salt.safetensors loaded; it finds Nucleus, vessel"
    bench.files.tick(resting=True)
    assert bench.runner.requests == [], "nothing is fitted to it"
    bench.session.labels.rename(2, "soma")
    bench.files.export_adapter()
    assert [(one.label_id, one.name) for one in read_info(bench.path).labels] == [
        (2, "soma"),
        (7, "vessel"),
    ]


def test_one_that_knows_them_by_the_same_ids_is_used_as_it_is(bench, lent):
    bench.session.labels.rename(1, "nucleus (old)")
    bench.session.labels.remove(2)
    bench.session.labels.rename(1, "nucleus")
    bench.files.use_file(lent)
    assert bench.session.adapter_path == str(lent)


def test_an_adapter_for_images_of_other_channels_is_refused_before_anything_is_done(bench):
    other = Session(Stack(np.zeros((*SHAPE, 3), np.uint8), rgb=True))
    bench.desk.session = other
    with pytest.raises(InputError, match="trained on grey images and this one is colour"):
        bench.files.use_file(bench.source)
    assert other.adapter_path is None
    assert not len(other.labels)


@pytest.mark.parametrize("why", ["not wanted", "has it", "from a file"])
def test_nothing_is_fitted_where_nothing_is_missing(bench, why):
    if why == "not wanted":
        bench.session.settings = replace(bench.session.settings, other_stacks=False)
    elif why == "has it":
        bench.info = replace(bench.info, this_stack_only=False)
    else:
        other = bench.folder / "other.salt.safetensors"
        other.write_bytes(FIRST)
        bench.session.use_adapter(other)
    bench.files.export_adapter()
    bench.files.tick(resting=False)
    assert bench.path.read_bytes() == FIRST
    assert bench.runner.requests == []


def test_a_damaged_adapter_is_not_given_away(bench, monkeypatch):
    def damaged(path):
        raise AdapterError("The file's description is damaged.")

    monkeypatch.setattr(files_controller, "read_info", damaged)
    with pytest.raises(AdapterError):
        bench.files.export_adapter()
    assert not bench.path.exists()


def test_it_waits_for_a_segmentation_under_way(bench):
    bench.segment()
    bench.files.export_adapter()
    bench.files.tick(resting=False)
    assert bench.path.read_bytes() == FIRST
    assert len(bench.runner.requests) == 1
    bench.runner.end("on_done", None)
    bench.files.tick(resting=False)
    assert isinstance(bench.runner.requests[-1], ExtendRequest)


def test_whatever_else_is_wanted_comes_first(bench):
    bench.files.export_adapter()
    bench.segment()
    assert bench.runner.stops == 1
    bench.files.tick(resting=False)
    bench.runner.end("on_stopped")
    assert isinstance(bench.runner.requests[-1], SegmentRequest)
    bench.files.tick(resting=False)
    assert len(bench.runner.requests) == 2
    bench.runner.end("on_done", None)
    bench.files.tick(resting=False)
    assert isinstance(bench.runner.requests[-1], ExtendRequest)
    bench.extended()
    assert bench.path.read_bytes() == EXTENDED


def test_adapt_comes_first_as_well(bench):
    bench.files.export_adapter()
    bench.jobs.abandon()  # as Adapt does with a segmentation
    request = AdaptRequest((), (), bench.session.settings, bench.folder / "next")
    bench.start("adapt", request)
    bench.runner.end("on_stopped")
    assert bench.runner.requests[-1] is request
    bench.runner.end("on_done", None)
    bench.files.tick(resting=False)
    assert isinstance(bench.runner.requests[-1], ExtendRequest)


def test_what_was_stopped_or_has_failed_is_told(bench):
    bench.files.export_adapter()
    bench.jobs.stop()
    bench.runner.end("on_stopped")
    assert bench.said == "stopped; mine.salt.safetensors: for its own stack only"
    bench.files.tick(resting=False)
    assert len(bench.runner.requests) == 1
    bench.files.export_adapter()  # again
    bench.runner.end("on_failed", "Out of memory.")
    assert bench.said == "Out of memory. mine.salt.safetensors: for its own stack only."
    bench.desk.view.notify.assert_called_once_with(bench.said, "error")
    assert bench.path.read_bytes() == FIRST


def test_another_image_ends_it(bench):
    bench.segment()
    bench.files.export_adapter()
    bench.desk.session = Session(Stack(np.zeros(SHAPE, np.uint8)))
    bench.runner.end("on_done", None)
    bench.files.tick(resting=False)
    assert bench.said == "mine.salt.safetensors: for its own stack only"
    assert len(bench.runner.requests) == 1


def test_a_file_that_cannot_be_written_again_is_told(bench, monkeypatch):
    bench.files.export_adapter()

    def full(source, target, info):
        raise OutputError("mine could not be written (disk full).")

    monkeypatch.setattr(files_controller, "copy_file", full)
    bench.extended()
    assert "could not be written" in bench.said


@pytest.mark.parametrize("what", ["moved", "another"])
def test_what_the_user_did_with_the_file_meanwhile_stays(bench, what):
    bench.files.export_adapter()
    if what == "moved":
        bench.path.rename(bench.folder / "moved")
    else:
        bench.path.write_bytes(b"somebody else's")
    bench.extended()
    assert bench.said == "this round: fitted for other stacks as well"
    if what == "moved":
        assert not bench.path.exists()
    else:
        assert bench.path.read_bytes() == b"somebody else's"


def test_a_later_round_saved_under_the_same_name_is_not_overwritten(bench):
    bench.segment()
    bench.files.export_adapter()
    second = bench.folder / "second.salt.safetensors"
    second.write_bytes(b"round 2")
    bench.session.add_round(bench.record, second, 7)
    bench.files.export_adapter()
    assert bench.path.read_bytes() == b"round 2"
    bench.runner.end("on_done", None)
    bench.files.tick(resting=False)
    assert bench.runner.requests[-1].adapter == bench.source
    bench.extended()
    assert bench.path.read_bytes() == b"round 2"
    bench.files.tick(resting=False)
    assert bench.runner.requests[-1].adapter == second
    bench.extended()
    assert bench.path.read_bytes() == EXTENDED


def test_a_round_is_fitted_while_all_rests_and_then_saved_as_it_is(bench):
    bench.files.tick(resting=False)
    assert bench.runner.requests == []
    bench.files.tick(resting=True)
    assert isinstance(bench.runner.requests[-1], ExtendRequest)
    bench.extended()
    assert bench.said == "this round: fitted for other stacks as well"
    bench.files.tick(resting=True)
    assert len(bench.runner.requests) == 1
    bench.files.export_adapter()
    assert bench.path.read_bytes() == EXTENDED


def test_saved_while_it_is_fitted_it_is_written_again_as_well(bench):
    bench.files.tick(resting=True)
    bench.files.export_adapter()
    other = bench.desk.view.ask_save.return_value = bench.folder / "other.salt.safetensors"
    bench.files.export_adapter()
    assert len(bench.runner.requests) == 1
    assert other.read_bytes() == bench.path.read_bytes() == FIRST
    bench.extended()
    assert other.read_bytes() == bench.path.read_bytes() == EXTENDED
    assert "mine.salt.safetensors and other.salt.safetensors" in bench.said


def test_what_gave_way_in_a_pause_waits_for_the_next_one(bench):
    bench.files.tick(resting=True)
    bench.segment()
    bench.runner.end("on_stopped")
    bench.runner.end("on_done", None)
    bench.files.tick(resting=False)
    assert len(bench.runner.requests) == 2
    bench.files.tick(resting=True)
    assert isinstance(bench.runner.requests[-1], ExtendRequest)


@pytest.mark.parametrize("how", [("on_stopped",), ("on_failed", "Out of memory.")])
def test_what_somebody_stopped_is_taken_up_when_it_is_saved(bench, how):
    bench.files.tick(resting=True)
    bench.jobs.stop()
    bench.runner.end(*how)
    assert "this round: for its own stack only" in bench.said
    assert not bench.desk.view.notify.called  # nobody has asked for it
    bench.files.tick(resting=True)
    assert len(bench.runner.requests) == 1
    bench.files.export_adapter()
    assert len(bench.runner.requests) == 2


def test_a_restored_round_is_left_alone_until_it_is_saved(bench, monkeypatch):
    monkeypatch.setattr(files_controller, "rounds_folder", lambda: bench.folder / "run-2")
    bench.files.tick(resting=True)
    assert bench.runner.requests == []
    bench.files.export_adapter()
    assert len(bench.runner.requests) == 1


def test_another_image_ends_it_without_a_word_unless_it_was_saved(bench):
    bench.files.tick(resting=True)
    said = bench.said
    bench.jobs.abandon()  # as another image does
    bench.runner.end("on_stopped")
    assert bench.said == said
    bench.files.tick(resting=True)  # back on it
    assert len(bench.runner.requests) == 2
    bench.files.export_adapter()
    bench.jobs.abandon()
    bench.runner.end("on_stopped")
    bench.desk.session = None
    bench.files.tick(resting=False)
    assert bench.said == "mine.salt.safetensors: for its own stack only"


def test_another_adapter_under_the_name_of_an_extended_one_is_not_taken_for_it(bench):
    bench.files.tick(resting=True)
    bench.extended()
    bench.source.write_bytes(b"round 1 of another session")
    bench.files.export_adapter()
    assert bench.path.read_bytes() == b"round 1 of another session"
    assert len(bench.runner.requests) == 2
