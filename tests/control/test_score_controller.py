"""A round is scored as soon as nobody waits for anything else."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import create_autospec

import numpy as np
import pytest

from napari_salt.control.desk import Desk
from napari_salt.control.job_controller import Job, JobController
from napari_salt.control.score_controller import ScoreController
from napari_salt.engine.requests import AdaptRequest, ScoreRequest, ScoreResult, SegmentRequest
from napari_salt.records import AnnotatedSlice, FitRecord
from napari_salt.session.rounds import Rounds
from napari_salt.session.session import Session
from napari_salt.session.stack import Stack
from napari_salt.viewer_link import ViewerLink
from napari_salt.views import DockView
from played_runner import PlayedRunner

SHAPE = (6, 8, 8)
RECORD = FitRecord("salt", "lite-medsam", (1, 4), 0, 1.0, 100, "first fit", score_note="later")
SCORED = replace(RECORD, held_out_before=0.91, held_out_after=0.91, score_note="")


class Bench:
    """One round without a score."""

    def __init__(self, tmp_path) -> None:
        self.desk = Desk(
            create_autospec(DockView, instance=True), create_autospec(ViewerLink, instance=True)
        )
        self.runner = PlayedRunner()
        self.jobs = JobController(self.runner, lambda: None)
        self.scores = ScoreController(self.desk, self.jobs)
        self.desk.session = self.session = Session(Stack(np.zeros(SHAPE, np.uint8)))
        self.path = tmp_path / "round.salt.safetensors"
        self.annotated = (AnnotatedSlice(1, np.ones(SHAPE[1:], np.uint16)),)
        self.heard = []
        self.session.scored.connect(self.heard.append)
        self.round()

    def round(self):
        request = AdaptRequest(self.annotated, (), self.session.settings, self.path)
        round_ = self.session.add_round(RECORD, self.path, 10)
        self.scores.later(self.session, round_, request)

    def segment(self):
        request = SegmentRequest(self.path, (0,))
        self.jobs.start(
            Job(
                "segment",
                request,
                self.session.stack,
                on_report=lambda report: None,
                on_done=lambda result: None,
                on_failed=self.desk.fail,
                on_stopped=lambda: None,
            )
        )

    @property
    def said(self):
        return self.desk.status.text

    @property
    def asked(self):
        return [type(request) for request in self.runner.requests]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_a_round_gets_the_score_of_its_own_paint(bench):
    bench.scores.tick()
    (request,) = bench.runner.requests
    assert isinstance(request, ScoreRequest)
    assert request.adapter == bench.path
    assert request.annotated is bench.annotated, "whatever was painted since"
    assert bench.jobs.job.kind == "score"
    bench.runner.end("on_done", ScoreResult(SCORED))
    assert bench.session.rounds[1].record == SCORED
    assert bench.heard == [1]
    assert bench.said == "round 1: held-out Dice 0.91"
    bench.scores.tick()
    assert len(bench.runner.requests) == 1


def test_masks_come_first(bench):
    bench.segment()
    bench.scores.tick()
    assert bench.asked == [SegmentRequest]
    bench.runner.end("on_done", None)
    bench.scores.tick()
    assert bench.asked == [SegmentRequest, ScoreRequest]
    bench.segment()
    assert bench.runner.stops == 1
    bench.runner.end("on_stopped")
    bench.scores.tick()
    assert bench.asked == [SegmentRequest, ScoreRequest, SegmentRequest]
    bench.runner.end("on_done", None)
    bench.scores.tick()
    assert bench.asked[-1] is ScoreRequest


def test_a_newer_round_is_scored_instead(bench):
    bench.scores.tick()
    bench.jobs.abandon()  # as Adapt does
    bench.round()
    bench.runner.end("on_stopped")
    bench.scores.tick()
    bench.runner.end("on_done", ScoreResult(SCORED))
    assert [one.record for one in bench.session.rounds] == [RECORD, SCORED]
    bench.scores.tick()
    assert len(bench.runner.requests) == 2


def test_a_newer_round_with_a_score_leaves_nothing_to_do(bench):
    bench.session.add_round(SCORED, bench.path, 10)
    bench.scores.forget()
    bench.scores.tick()
    assert bench.runner.requests == []


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (("on_stopped",), "stopped; round 1 stays without a score"),
        (("on_failed", "Out of memory."), "Out of memory. Round 1 stays without a score."),
    ],
)
def test_what_was_stopped_or_has_failed_is_not_tried_again(bench, how, said):
    bench.scores.tick()
    bench.jobs.stop()
    bench.runner.end(*how)
    assert bench.said == said
    assert not bench.desk.view.notify.called, "nobody has asked for it"
    bench.scores.tick()
    assert len(bench.runner.requests) == 1
    assert bench.session.rounds[1].record == RECORD


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_rounds_that_take_its_place_are_not_taken_for_it(bench, tmp_path, when):
    if when == "meanwhile":
        bench.scores.tick()
    bench.session.rounds = Rounds()  # as kept work does
    bench.session.rounds.add(RECORD, str(tmp_path / "kept.salt.safetensors"), 10)
    if when == "meanwhile":
        bench.runner.end("on_done", ScoreResult(SCORED))
    bench.scores.tick()
    assert [one.record for one in bench.session.rounds] == [RECORD]
    assert len(bench.runner.requests) == (when == "meanwhile")


def test_another_image_ends_it(bench):
    bench.desk.session = Session(Stack(np.zeros(SHAPE, np.uint8)))
    bench.scores.tick()
    bench.desk.session = bench.session
    bench.scores.tick()
    assert bench.runner.requests == []
