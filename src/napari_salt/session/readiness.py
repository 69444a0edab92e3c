"""What can be done now, why the rest cannot, what to do next: a pure function of the session's facts."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from napari_salt.session.facts import NO_OFFERS, Facts, JobState, Offers, facts_of
from napari_salt.session.interpolate import MOST_BETWEEN
from napari_salt.session.labels import shortened

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_salt.session.session import Session


@dataclass(frozen=True)
class Action:
    """Whether something can be done now; if not, one short sentence says why."""

    enabled: bool = True
    why_not: str = ""


@dataclass(frozen=True)
class Readiness:
    """Every action of the dock, and ``hint``: the next thing to do, in one line."""

    add_label: Action
    adapt: Action
    stop: Action
    restore: Action
    segment_slice: Action
    segment_all: Action
    next_slice: Action
    skip_slice: Action
    show_table: Action
    accept: Action
    accept_label: Action
    propagate: Action
    interpolate: Action
    undo_accept: Action
    complete: Action
    export_masks: Action
    export_adapter: Action
    load_adapter: Action
    open_session: Action
    compare: Action
    hint: str = ""


Rule = tuple["Callable[[Facts], bool]", str]
"""When it applies, the action is off for the reason given; the first that applies wins."""

_NO_IMAGE: Rule = (lambda f: not f.has_stack, "Open or choose an image first.")
_NO_LABEL: Rule = (lambda f: not f.labels, "Add a label first.")
_NO_PAINT: Rule = (lambda f: not f.painted_labels, "Paint a label on at least one slice first.")
_NO_NEGATIVE: Rule = (
    lambda f: len(f.painted_labels) == 1 and not f.has_background,
    "Say what is not “{label}”: tick complete, or scribble some background.",
)
_OUTSIDE: tuple[Rule, ...] = (
    (
        lambda f: bool(f.offers.work_here),
        "Press “{work_here}”, or go back to the slices that you worked on.",
    ),
    (lambda f: f.slice_index is None, "Go back to a slice of the image."),
)
_NO_ADAPTER: Rule = (lambda f: not f.has_adapter, "Press Adapt, or load an adapter, first.")
_ADAPTING: Rule = (lambda f: f.job == "adapt", "Adapting now; wait for it, or press Stop.")
_SEGMENTING: Rule = (
    lambda f: f.job in ("segment", "compare"),
    "Segmenting now; wait for it, or press Stop.",
)
_SAVING: Rule = (
    lambda f: f.job == "export",
    "Masks are being saved; wait for it, or press Stop.",
)

_NO_PREDICTION: tuple[Rule, ...] = (
    (
        lambda f: not f.predicted_here and f.job in ("adapt", "segment"),
        "No prediction on this slice yet; wait for the running job.",
    ),
    (
        lambda f: not f.predicted_here and f.has_adapter,
        "No prediction on this slice yet; press Segment this slice.",
    ),
    (lambda f: not f.predicted_here, "No prediction on this slice yet; press Adapt first."),
)
_NOT_SELECTED: Rule = (lambda f: not f.selected, "Select a label in the table first.")
_COMPLETE_HERE: Rule = (
    lambda f: f.complete_here,
    "This slice is complete: what is unpainted is background. Untick it first.",
)

_RULES: dict[str, tuple[Rule, ...]] = {
    "add_label": (_NO_IMAGE,),
    # a new round makes masks that are still being computed out of date: no need to wait for them
    "adapt": (_NO_IMAGE, _ADAPTING, _SAVING, _NO_LABEL, _NO_PAINT, _NO_NEGATIVE),
    "stop": (
        (lambda f: f.job == "none", "Nothing is running."),
        (lambda f: f.stopping, "Stopping already."),
    ),
    "restore": (
        _NO_IMAGE,
        _ADAPTING,
        _SEGMENTING,
        _SAVING,
        (lambda f: f.rounds == 0, "No round yet; press Adapt first."),
    ),
    "segment_slice": (_NO_IMAGE, _ADAPTING, _SEGMENTING, _SAVING, _NO_ADAPTER, *_OUTSIDE),
    "segment_all": (_NO_IMAGE, _ADAPTING, _SEGMENTING, _SAVING, _NO_ADAPTER),
    "next_slice": (
        _NO_IMAGE,
        (
            lambda f: f.left_to_suggest <= 0 and f.blank > 0,
            "Every slice is painted, skipped, or shows nothing.",
        ),
        (
            lambda f: f.left_to_suggest <= 0 and f.skipped > 0,
            "Every slice is painted or skipped.",
        ),
        (lambda f: f.left_to_suggest <= 0, "Every slice is painted already."),
    ),
    "skip_slice": (
        _NO_IMAGE,
        *_OUTSIDE,
        (
            lambda f: f.painted_here or f.complete_here,
            "This slice is painted; it will not be suggested anyway.",
        ),
    ),
    "show_table": (_NO_IMAGE,),
    "accept": (
        _NO_IMAGE,
        *_OUTSIDE,
        *_NO_PREDICTION,
        _NO_LABEL,
    ),
    "accept_label": (_NO_IMAGE, *_OUTSIDE, *_NO_PREDICTION, _NO_LABEL, _NOT_SELECTED),
    "propagate": (
        _NO_IMAGE,
        *_OUTSIDE,
        _NO_LABEL,
        (
            lambda f: f.nearest_painted is None,
            "No painted slice to copy from; paint a label on another slice first.",
        ),
        _COMPLETE_HERE,
    ),
    "interpolate": (
        _NO_IMAGE,
        *_OUTSIDE,
        _NO_LABEL,
        _NOT_SELECTED,
        (
            lambda f: f.selected_here,
            "“{selected}” is painted here already; go to a slice between two painted ones.",
        ),
        (
            lambda f: f.around is None,
            "Paint “{selected}” on a slice before and on one after this one first.",
        ),
        (
            lambda f: _between(f) > MOST_BETWEEN,
            "{between} slices lie between the painted ones; paint “{selected}” on one of them.",
        ),
        _COMPLETE_HERE,
    ),
    "undo_accept": (
        _NO_IMAGE,
        (lambda f: not f.can_undo, "Nothing accepted or filled in to take back."),
    ),
    "complete": (_NO_IMAGE, *_OUTSIDE, _NO_LABEL),
    # a job would change the masks while they are written
    "export_masks": (
        _NO_IMAGE,
        _ADAPTING,
        _SEGMENTING,
        _SAVING,
        (lambda f: f.predicted == 0, "No masks yet; press Segment all first."),
        _NO_LABEL,
    ),
    "export_adapter": (_NO_IMAGE, _ADAPTING, (lambda f: not f.has_adapter, "Press Adapt first.")),
    "load_adapter": (_NO_IMAGE, _ADAPTING, _SEGMENTING),
    "open_session": (_ADAPTING, _SEGMENTING),  # it brings its image
    "compare": (
        _NO_IMAGE,
        _ADAPTING,
        _SEGMENTING,
        _SAVING,
        (lambda f: f.rounds < 2, "Two rounds are needed; adapt again after painting more."),
        *_OUTSIDE,
    ),
}

_HINTS: tuple[Rule, ...] = (
    (lambda f: not f.has_stack, "Open an image, or pick one that is open."),
    (lambda f: f.stopping, "Stopping; your paint is safe."),
    (lambda f: f.job == "adapt", "Adapting; paint on meanwhile, it counts in the next round."),
    (lambda f: f.job == "segment", "Segmenting; look through the slices as they fill in."),
    (lambda f: f.job == "compare", "Comparing two rounds on this slice; one moment."),
    (lambda f: f.job == "export", "Saving; what you paint meanwhile is in the next file."),
    _OUTSIDE[0],
    (
        lambda f: f.slice_index is None,
        "The viewer is outside this stack; press Next slice, or go back to one of its slices.",
    ),
    (
        lambda f: not f.labels and f.offers.restore,
        "Press Restore to go on with your work, or add a label to start anew.",
    ),
    (
        lambda f: not f.painted_labels and not f.usable and f.offers.restore,
        "Press Restore to go on with your work, or paint “{first}” to start anew.",
    ),
    (lambda f: not f.labels, "Name what you want to find: add a label."),
    (
        lambda f: bool(f.stray_slices),
        "Slice {stray} carries paint of no label (shown loud): erase it, or pick it and add a label.",
    ),
    (
        lambda f: not f.painted_labels and not f.has_adapter,
        "Paint “{first}” on a slice, then tick complete.",
    ),
    (
        lambda f: not f.has_adapter and not f.has_background,
        "Say what is background: tick complete on a painted slice, or scribble background.",
    ),
    (
        lambda f: not f.has_adapter and len(f.painted_labels) < len(f.labels),
        "Paint “{unpainted}” too, or press Adapt.",
    ),
    (lambda f: not f.has_adapter, "Press Adapt to learn from what you painted."),
    (
        lambda f: f.changed_since_round > 0 and bool(f.painted_labels) and not f.rounds,
        "Press Adapt to learn from {changed}.",  # the adapter is a file's, or another time point's
    ),
    (
        lambda f: f.changed_since_round > 0 and bool(f.painted_labels),
        "Press Adapt to learn from {changed} since the last round.",
    ),
    (lambda f: f.fresh < f.slice_count, "Press Segment all to see every slice."),
    (
        lambda f: f.suggested_here and f.predicted_here,
        "Accept the prediction, or paint where it is wrong; Skip goes to another slice.",
    ),
    (
        lambda f: f.left_to_suggest > 0,
        "Press Next slice to correct where it helps most, or export the masks.",
    ),
    (lambda f: True, "Export the masks, or paint where they are wrong."),
)


def readiness(
    session: Session | None,
    job: JobState | None = None,
    slice_index: int | None = None,
    selected: int | None = None,
    suggested: int | None = None,
    offers: Offers = NO_OFFERS,
) -> Readiness:
    """What can be done with a session (None: no image) while a job runs, on the slice on screen.

    ``suggested`` is the slice that Next slice has led to, or would lead to.
    """
    state = JobState() if job is None else job
    return readiness_of(facts_of(session, state, slice_index, selected, suggested, offers))


def readiness_of(facts: Facts) -> Readiness:
    """Apply the rules to facts."""
    names = [field.name for field in fields(Readiness) if field.name != "hint"]
    actions = {name: _action(_RULES[name], facts) for name in names}
    return Readiness(**actions, hint=_first(_HINTS, facts))


def _action(rules: tuple[Rule, ...], facts: Facts) -> Action:
    why_not = _first(rules, facts)
    return Action(enabled=not why_not, why_not=why_not)


def _first(rules: tuple[Rule, ...], facts: Facts) -> str:
    sentence = next((sentence for applies, sentence in rules if applies(facts)), "")
    if "{" not in sentence:
        return sentence
    unpainted = [name for name in facts.labels if name not in facts.painted_labels]
    changed = facts.changed_since_round
    return sentence.format(
        selected=shortened(facts.selected),
        between=_between(facts),
        label=shortened(facts.painted_labels[0]) if facts.painted_labels else "",
        first=shortened(facts.labels[0]) if facts.labels else "",
        unpainted=shortened(unpainted[0]) if unpainted else "",
        stray=facts.stray_slices[0] if facts.stray_slices else "",
        work_here=facts.offers.work_here,
        changed="the slice you changed" if changed == 1 else f"{changed} slices you changed",
    )


def _between(facts: Facts) -> int:
    """Slices between the painted ones around the slice on screen."""
    return 0 if facts.around is None else facts.around[1] - facts.around[0] - 1
