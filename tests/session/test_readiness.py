"""What can be pressed, why not, and the next thing to do."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from napari_salt.records import FitRecord, SliceSummary
from napari_salt.session.facts import Facts, JobState, Offers, facts_of
from napari_salt.session.readiness import Readiness, readiness, readiness_of
from napari_salt.session.session import Session
from napari_salt.session.stack import Stack

OPENED = Facts(has_stack=True, slice_count=10, slice_index=3, left_to_suggest=10)
NAMED = replace(OPENED, labels=("nucleus", "cell"))
PAINTED = replace(
    NAMED, painted_labels=("nucleus",), usable=1, painted_here=True, changed_since_round=1,
    left_to_suggest=9,
)  # fmt: skip
READY = replace(PAINTED, has_background=True, complete_here=True)
ADAPTED = replace(READY, has_adapter=True, rounds=1, changed_since_round=0)
SEGMENTED = replace(ADAPTED, predicted=10, fresh=10, predicted_here=True)
FILLS = {"accept_label", "propagate", "interpolate"}
"""Actions that need a selected label or paint on other slices."""
BETWEEN = replace(NAMED, selected="cell", nearest_painted=2, around=(2, 8))


def on(facts):
    state = readiness_of(facts)
    names = [field.name for field in fields(state) if field.name != "hint"]
    return {name for name in names if getattr(state, name).enabled}


ALWAYS = {"show_table", "load_adapter", "open_session", "next_slice", "add_label"}
ALL = {field.name for field in fields(Readiness)} - {"hint"}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts(), {"open_session"}),
        (OPENED, ALWAYS | {"skip_slice"}),
        (NAMED, ALWAYS | {"skip_slice", "complete"}),
        (replace(NAMED, slice_index=None), ALWAYS),
        (PAINTED, ALWAYS | {"complete"}),
        (READY, ALWAYS | {"complete", "adapt"}),
        (
            ADAPTED,
            ALWAYS
            | {"complete", "adapt", "segment_slice", "segment_all", "export_adapter", "restore"},
        ),
        (SEGMENTED, ALL - FILLS - {"stop", "undo_accept", "skip_slice", "compare"}),
        (replace(SEGMENTED, rounds=2), ALL - FILLS - {"stop", "undo_accept", "skip_slice"}),
        (
            replace(SEGMENTED, can_undo=True, complete_here=False, painted_here=False),
            ALL - FILLS - {"stop", "compare"},
        ),
        (BETWEEN, ALWAYS | {"skip_slice", "complete", "propagate", "interpolate"}),
        (
            replace(SEGMENTED, selected="cell", nearest_painted=2, complete_here=False),
            ALL - {"stop", "undo_accept", "skip_slice", "interpolate", "compare"},
        ),
        (
            replace(SEGMENTED, job="adapt"),
            {"add_label", "show_table", "stop", "next_slice", "accept", "complete"},
        ),
        (
            replace(SEGMENTED, job="segment"),
            {
                "add_label",
                "show_table",
                "adapt",
                "stop",
                "next_slice",
                "accept",
                "complete",
                "export_adapter",
            },
        ),
        (
            replace(SEGMENTED, job="adapt", stopping=True),
            {"add_label", "show_table", "next_slice", "accept", "complete"},
        ),
        (
            replace(SEGMENTED, rounds=2, job="export"),
            {
                "add_label",
                "show_table",
                "stop",
                "next_slice",
                "accept",
                "complete",
                "export_adapter",
                "load_adapter",
                "open_session",
            },
        ),
        (
            replace(SEGMENTED, rounds=2, job="compare"),
            {
                "add_label",
                "show_table",
                "adapt",
                "stop",
                "next_slice",
                "accept",
                "complete",
                "export_adapter",
            },
        ),
        (replace(Facts(), job="segment"), {"stop"}),
    ],
)
def test_what_can_be_done(facts, expected):
    assert on(facts) == expected


@pytest.mark.parametrize(
    ("facts", "action", "why_not"),
    [
        (Facts(), "adapt", "Open or choose an image first."),
        (OPENED, "adapt", "Add a label first."),
        (NAMED, "adapt", "Paint a label on at least one slice first."),
        (
            PAINTED,
            "adapt",
            "Say what is not “nucleus”: tick complete, or scribble some background.",
        ),
        (replace(READY, job="adapt"), "adapt", "Adapting now; wait for it, or press Stop."),
        (
            replace(READY, job="segment"),
            "load_adapter",
            "Segmenting now; wait for it, or press Stop.",
        ),
        (READY, "stop", "Nothing is running."),
        (replace(READY, job="adapt", stopping=True), "stop", "Stopping already."),
        (READY, "segment_all", "Press Adapt, or load an adapter, first."),
        (replace(ADAPTED, slice_index=None), "segment_slice", "Go back to a slice of the image."),
        (READY, "accept", "No prediction on this slice yet; press Adapt first."),
        (
            replace(READY, job="adapt"),
            "accept",
            "No prediction on this slice yet; wait for the running job.",
        ),
        (ADAPTED, "accept", "No prediction on this slice yet; press Segment this slice."),
        (ADAPTED, "export_masks", "No masks yet; press Segment all first."),
        (replace(SEGMENTED, labels=(), painted_labels=()), "export_masks", "Add a label first."),
        (replace(READY, left_to_suggest=0), "next_slice", "Every slice is painted already."),
        (
            replace(READY, left_to_suggest=0, skipped=2),
            "next_slice",
            "Every slice is painted or skipped.",
        ),
        (SEGMENTED, "accept_label", "Select a label in the table first."),
        (
            NAMED,
            "propagate",
            "No painted slice to copy from; paint a label on another slice first.",
        ),
        (
            replace(BETWEEN, complete_here=True),
            "propagate",
            "This slice is complete: what is unpainted is background. Untick it first.",
        ),
        (NAMED, "interpolate", "Select a label in the table first."),
        (
            replace(BETWEEN, around=None),
            "interpolate",
            "Paint “cell” on a slice before and on one after this one first.",
        ),
        (
            replace(BETWEEN, selected_here=True),
            "interpolate",
            "“cell” is painted here already; go to a slice between two painted ones.",
        ),
        (
            replace(BETWEEN, around=(2, 90)),
            "interpolate",
            "87 slices lie between the painted ones; paint “cell” on one of them.",
        ),
        (READY, "undo_accept", "Nothing accepted or filled in to take back."),
        (
            replace(SEGMENTED, slice_index=None, offers=Offers(work_here="Work on t = 0")),
            "complete",
            "Press “Work on t = 0”, or go back to the slices that you worked on.",
        ),
        (
            replace(SEGMENTED, left_to_suggest=0, blank=2),
            "next_slice",
            "Every slice is painted, skipped, or shows nothing.",
        ),
        (READY, "skip_slice", "This slice is painted; it will not be suggested anyway."),
    ],
)
def test_why_not(facts, action, why_not):
    assert getattr(readiness_of(facts), action).why_not == why_not


@pytest.mark.parametrize(
    ("facts", "hint"),
    [
        (Facts(), "Open an image, or pick one that is open."),
        (OPENED, "Name what you want to find: add a label."),
        (NAMED, "Paint “nucleus” on a slice, then tick complete."),
        (
            PAINTED,
            "Say what is background: tick complete on a painted slice, or scribble background.",
        ),
        (READY, "Paint “cell” too, or press Adapt."),
        (
            replace(READY, painted_labels=("nucleus", "cell")),
            "Press Adapt to learn from what you painted.",
        ),
        (
            replace(READY, job="adapt"),
            "Adapting; paint on meanwhile, it counts in the next round.",
        ),
        (
            replace(READY, job="segment"),
            "Segmenting; look through the slices as they fill in.",
        ),
        (replace(READY, job="adapt", stopping=True), "Stopping; your paint is safe."),
        (ADAPTED, "Press Segment all to see every slice."),
        (
            replace(SEGMENTED, labels=(), painted_labels=()),
            "Name what you want to find: add a label.",
        ),
        (
            SEGMENTED,
            "Press Next slice to correct where it helps most, or export the masks.",
        ),
        (
            replace(SEGMENTED, predicted_here=True, suggested_here=True),
            "Accept the prediction, or paint where it is wrong; Skip goes to another slice.",
        ),
        (
            replace(SEGMENTED, changed_since_round=1),
            "Press Adapt to learn from the slice you changed since the last round.",
        ),
        (
            replace(SEGMENTED, changed_since_round=3),
            "Press Adapt to learn from 3 slices you changed since the last round.",
        ),
        (
            replace(SEGMENTED, changed_since_round=3, rounds=0),
            "Press Adapt to learn from 3 slices you changed.",
        ),
        (
            replace(SEGMENTED, slice_index=None),
            "The viewer is outside this stack; press Next slice, or go back to one of its slices.",
        ),
        (
            replace(SEGMENTED, slice_index=None, offers=Offers(work_here="Work on t = 0")),
            "Press “Work on t = 0”, or go back to the slices that you worked on.",
        ),
        (
            replace(OPENED, offers=Offers(restore=True)),
            "Press Restore to go on with your work, or add a label to start anew.",
        ),
        (
            replace(NAMED, offers=Offers(restore=True)),
            "Press Restore to go on with your work, or paint “nucleus” to start anew.",
        ),
        (
            replace(PAINTED, offers=Offers(restore=True)),
            "Say what is background: tick complete on a painted slice, or scribble background.",
        ),
        (replace(SEGMENTED, job="compare"), "Comparing two rounds on this slice; one moment."),
        (replace(SEGMENTED, left_to_suggest=0), "Export the masks, or paint where they are wrong."),
        (
            replace(READY, stray_slices=(4, 7)),
            "Slice 4 carries paint of no label (shown loud): erase it, or pick it and add a label.",
        ),
    ],
)
def test_hint(facts, hint):
    assert readiness_of(facts).hint == hint


@pytest.mark.parametrize(
    "facts", [Facts(), OPENED, NAMED, PAINTED, READY, ADAPTED, SEGMENTED, BETWEEN]
)
@pytest.mark.parametrize("job", ["none", "adapt", "segment"])
def test_off_always_has_a_reason_and_on_never(facts, job):
    state = readiness_of(replace(facts, job=job))
    for name in ALL:
        action = getattr(state, name)
        assert bool(action.why_not) is not action.enabled
        assert not action.why_not or action.why_not.endswith(".")
    assert state.hint.endswith(".")
    assert "{" not in state.hint


def test_names_with_braces_do_no_harm():
    state = readiness_of(replace(NAMED, labels=("{odd}",)))
    assert state.hint == "Paint “{odd}” on a slice, then tick complete."


def test_a_long_name_is_cut_off_in_a_sentence():
    state = readiness_of(replace(NAMED, labels=("photoreceptor layer " * 9,)))
    assert state.hint == (
        "Paint “photoreceptor layer photoreceptor layer…” on a slice, then tick complete."
    )


def test_facts_are_read_off_a_session():
    session = Session(Stack(np.zeros((4, 3, 3), np.uint8)))
    assert facts_of(None, JobState(), 0) == Facts()
    session.labels.add("nucleus")
    session.annotations.paint[1] = 1
    session.annotations.touched(1)
    session.annotations.paint[2, 0] = 9
    session.annotations.touched(2)
    session.annotations.set_complete(1, True)
    session.snapshot()
    record = FitRecord("salt", "lite-medsam", (1,), 9, 1.0, 9, "adapted")
    session.add_round(record, "a", 1)
    session.add_prediction(SliceSummary(0, 0.5))
    session.annotations.accept(0, np.ones((3, 3), np.uint8))
    session.skip(3)
    assert facts_of(session, JobState("adapt", stopping=True), 1, 1) == Facts(
        has_stack=True, slice_count=4, slice_index=1, labels=("nucleus",),
        painted_labels=("nucleus",), usable=3, has_background=True, stray_slices=(2,),
        has_adapter=True, rounds=1, predicted=1, fresh=1, predicted_here=False, complete_here=True,
        painted_here=True, changed_since_round=1, can_undo=True, left_to_suggest=0, skipped=1,
        job="adapt", stopping=True, selected="nucleus", selected_here=True, nearest_painted=0,
    )  # fmt: skip
    session.annotations.paint[3] = 1
    session.annotations.touched(3)
    assert facts_of(session, JobState(), 2, 1).around == (1, 3)
    assert facts_of(session, JobState(), 2, 255).around is None
    assert facts_of(session, JobState(), 2, 1, 2).suggested_here
    assert not facts_of(session, JobState(), None, 1, None).suggested_here
    assert readiness(session, None, 0).accept.enabled
    assert readiness(session, None, 4) == readiness(session, None, None)
