"""Which slice to correct next, and why: deterministic, numpy only.

With predictions, a slice is worth as much as its labels are uncertain there, times how unlike it
is to what is painted. Uncertainty is compared within each label, so that one label that is always
fuzzy does not take every turn (class-stratified entropy, after ClaSP-PE, arXiv 2601.13677). Without
usable uncertainty slices are chosen for diversity (farthest point).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_salt.records import Label, SliceSummary, Suggestion
from napari_salt.session.labels import shortened
from napari_salt.session.looks import Floats, Looks

_NOVELTY_FLOOR = 0.25
"""What is left of a slice's uncertainty when it looks just like a painted one."""
_TURN = 0.5
"""Weight of a label after a slice was chosen for it, so that the next goes to another one."""


def suggest(
    summaries: Sequence[SliceSummary],
    labelled: Sequence[int],
    labels: Sequence[Label],
    *,
    k: int = 1,
    skipped: Iterable[int] = (),
    blank: Iterable[int] = (),
    count: int | None = None,
) -> list[Suggestion]:
    """At most ``k`` slices where a correction helps most, best first.

    Parameters
    ----------
    summaries
        What is known of predicted slices, one for each, any order; may be empty or cover a part.
    labelled
        Slices that carry paint or are complete; never suggested.
    labels
        Labels to look at; others in the summaries are ignored.
    k
        How many. Fewer come back when fewer are left that are not near-duplicates of each other.
    skipped
        Slices that the user does not want; never suggested.
    blank
        Slices that show nothing, beside those whose summary says so; never suggested.
    count
        Slices in the stack; by default as many as the largest index needs.

    Returns
    -------
    list of Suggestion
        ``score`` lies in 0..1 and compares within one call; ``reason`` is for people.
    """
    known = {summary.index: summary for summary in summaries}
    largest = max([*known, *labelled], default=-1)
    total = largest + 1 if count is None else count
    empty = {*blank, *(summary.index for summary in summaries if summary.blank)}
    closed = {*labelled, *skipped, *empty}
    open_known = [index for index in sorted(known) if index not in closed]
    open_all = [index for index in range(total) if index not in closed]
    # A few predicted slices say little about the rest: then it is better to spread over all.
    partial = count is not None and 2 * len(open_known) < len(open_all)
    candidates = open_all if partial or not open_known else open_known
    if k < 1 or not candidates:
        return []
    looks = Looks([] if partial else list(known.values()), total)
    usable = [] if partial else [known[index] for index in open_known]
    worth = _worth(usable, labels) if usable else None
    places = np.array(candidates, np.intp)
    painted = sorted(set(labelled))
    return _choose(_Field(places, painted, sorted(empty), looks, worth, labels), k)


@dataclass(frozen=True, eq=False)
class _Worth:
    """Uncertainty of candidates: ``by_label`` (candidates, labels) and ``overall``, each 0..1."""

    by_label: Floats
    overall: Floats


@dataclass(frozen=True, eq=False)
class _Field:
    """All that a choice depends on."""

    candidates: NDArray[np.intp]
    labelled: list[int]
    blank: list[int]
    looks: Looks
    worth: _Worth | None
    labels: Sequence[Label]


def _worth(summaries: Sequence[SliceSummary], labels: Sequence[Label]) -> _Worth | None:
    """Uncertainty of each candidate; None when it tells candidates nothing apart."""
    overall = np.array([summary.uncertainty for summary in summaries], np.float64)
    overall = np.where(np.isfinite(overall), overall, 0.0)
    columns = [_label_column(summaries, label.label_id) for label in labels]
    by_label = np.stack(columns, axis=1) if columns else np.zeros((len(summaries), 0))
    if len(summaries) > 1 and np.ptp(overall) < 1e-9 and not by_label.any():
        return None
    if not overall.any() and not by_label.any():
        return None
    return _Worth(by_label, overall / max(float(overall.max()), 1e-12))


def _label_column(summaries: Sequence[SliceSummary], label_id: int) -> Floats:
    """Uncertainty of one label over candidates, compared partly within the label.

    It is the geometric mean of the uncertainty and its ratio to the label's own maximum: an easy
    label gets its turn, yet one that is sure everywhere does not pass for uncertain.

    A sliver of a label is uncertain all over and teaches little, so small areas count for less.
    """
    values = np.array([s.label_uncertainty.get(label_id, 0.0) for s in summaries], np.float64)
    areas = np.array([s.areas.get(label_id, 0) for s in summaries], np.float64)
    values = np.where(np.isfinite(values) & (areas > 0), values, 0.0)
    if not values.any():
        return np.zeros(len(summaries))
    usual = float(np.median(areas[areas > 0]))
    values = values * np.sqrt(np.minimum(1.0, areas / usual))
    return np.asarray(values / np.sqrt(values.max()), np.float64)


def _choose(field: _Field, k: int) -> list[Suggestion]:
    """Greedily, one slice at a time; each choice lowers the worth of what resembles it."""
    chosen: list[Suggestion] = []
    turns = np.ones(len(field.labels))
    painted = field.looks.alike(field.labelled)[field.candidates]
    while len(chosen) < k:
        taken = [suggestion.index for suggestion in chosen]
        free = ~field.looks.alike(taken)[field.candidates]
        # Keep away from painted slices too, unless nothing else is left.
        pool = free & ~painted if (free & ~painted).any() else free
        if not pool.any():
            break
        scores = np.where(pool, _scores(field, taken, turns), -np.inf)
        best = int(np.argmax(scores))
        leading = _leading(field, best, turns)
        reason = _reason(field, best, taken, leading)
        chosen.append(Suggestion(int(field.candidates[best]), float(scores[best]), reason))
        turns[leading] *= _TURN
    return chosen


def _scores(field: _Field, taken: list[int], turns: Floats) -> Floats:
    """What each candidate is worth beside the slices known and taken so far, ``(candidates,)``."""
    known, here = [*field.labelled, *taken], field.candidates
    if field.worth is None:
        known += field.blank  # what lies beside them may well show nothing, too
        described = field.looks.described
        look = field.looks.apart(known) if known or not described.any() else field.looks.typical()
        return np.where(described, look, field.looks.spread(known))[here]
    novelty = field.looks.apart(known)[here]
    uncertain = field.worth.overall
    if field.worth.by_label.any():
        # One label at its worst matters, and so does a slice where many labels are unsure.
        weighted = field.worth.by_label * turns
        uncertain = 0.5 * weighted.max(axis=1) + 0.4 * weighted.mean(axis=1) + 0.1 * uncertain
    return np.asarray(uncertain * (_NOVELTY_FLOOR + (1 - _NOVELTY_FLOOR) * novelty), np.float64)


def _leading(field: _Field, place: int, turns: Floats) -> list[int]:
    """Columns of the labels that a slice was chosen for: at most two."""
    if field.worth is None or not field.worth.by_label.any():
        return []
    weighted = field.worth.by_label[place] * turns
    order = np.argsort(-weighted, kind="stable")[:2]
    return [int(i) for i in order if weighted[i] > 0 and weighted[i] >= 0.7 * weighted[order[0]]]


def _reason(field: _Field, place: int, taken: list[int], leading: list[int]) -> str:
    index, painted = int(field.candidates[place]), len(field.labelled)
    yours = "the slice you painted" if painted == 1 else f"your {painted} slices"
    kind: Literal["look", "place"] = "look" if field.looks.described[index] else "place"
    if field.worth is None:
        if not painted and not taken:
            return "typical of the stack" if kind == "look" else "in the middle of the stack"
        others = yours if painted else "the other suggestions"
        return f"unlike {others}" if kind == "look" else f"far from {others}"
    names = " and ".join(shortened(field.labels[column].name) for column in leading)
    what = f"{names} uncertain" if names else "uncertain"
    if not painted or field.looks.apart(field.labelled)[index] < 0.5:
        return what
    return f"{what}, unlike {yours}" if kind == "look" else f"{what}, far from {yours}"
