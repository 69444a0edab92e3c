"""Which slice to correct next, and why: deterministic, numpy only.

With predictions, a slice is worth as much as its labels are uncertain there, times how unlike it
is to what is painted. Uncertainty is compared within each label, so that one label that is always
fuzzy does not take every turn (class-stratified entropy, after ClaSP-PE, arXiv 2601.13677). Without
usable uncertainty slices are chosen for diversity (farthest point).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_salt.records import Label, SliceSummary, Suggestion

Floats = NDArray[np.float64]

_GAP = 0.03
"""Slices nearer to each other than this part of the stack are near-duplicates."""
_ALIKE = 0.1
"""So are slices whose descriptors differ by less than this part of the usual difference."""
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
    closed = set(labelled) | set(skipped)
    open_known = [index for index in sorted(known) if index not in closed]
    open_all = [index for index in range(total) if index not in closed]
    # A few predicted slices say little about the rest: then it is better to spread over all.
    partial = count is not None and 2 * len(open_known) < len(open_all)
    candidates = open_all if partial or not open_known else open_known
    if k < 1 or not candidates:
        return []
    looks = _Looks.of([] if partial else list(known.values()), total)
    worth = None if partial else _worth([known[index] for index in candidates], labels)
    return _choose(_Field(candidates, sorted(set(labelled)), looks, worth, labels), k)


@dataclass(frozen=True, eq=False)
class _Worth:
    """Uncertainty of candidates: ``by_label`` (candidates, labels) and ``overall``, each 0..1."""

    by_label: Floats
    overall: Floats


@dataclass(frozen=True, eq=False)
class _Looks:
    """How unlike two slices are: by descriptors where both have one, else by position alone."""

    total: int
    gap: int
    descriptors: dict[int, Floats]
    usual: float

    @classmethod
    def of(cls, summaries: Sequence[SliceSummary], total: int) -> _Looks:
        vectors = {
            s.index: np.asarray(s.descriptor, np.float64)
            for s in summaries
            if s.descriptor is not None and np.isfinite(s.descriptor).all()
        }
        usual = 0.0
        if len({vector.shape for vector in vectors.values()}) == 1 and len(vectors) > 2:
            stacked = np.stack(list(vectors.values()))
            usual = float(np.median(np.linalg.norm(stacked - stacked.mean(axis=0), axis=1)))
        gap = max(1, round(_GAP * total))
        return cls(total, gap, vectors if usual > 1e-9 else {}, usual)

    def apart(self, index: int, others: Collection[int]) -> float:
        """Difference to the nearest of ``others``, 0..1; 1 when there are none."""
        return min((self._difference(index, other) for other in others), default=1.0)

    def alike(self, index: int, others: Collection[int]) -> bool:
        """Whether a slice is a near-duplicate of one of ``others``."""
        return any(
            abs(index - other) < self.gap or self._contrast(index, other) < _ALIKE
            for other in others
        )

    def spread(self, index: int, others: Collection[int]) -> float:
        """Room around a slice, 0..1; the ends of a stack are often empty, so they count as near."""
        ends = (2 * index + 1, 2 * (self.total - index) - 1)
        return min(*ends, *(abs(index - other) for other in others)) / max(1, self.total)

    def typical(self, index: int) -> float:
        """How near a slice with a descriptor is to the mean look of its stack, 0..1."""
        mean = np.mean(list(self.descriptors.values()), axis=0)
        away = float(np.linalg.norm(self.descriptors[index] - mean))
        return 1.0 / (1.0 + away / self.usual)

    def _difference(self, index: int, other: int) -> float:
        # Within a quarter of the stack position says how far; beyond that far is far.
        position = min(1.0, abs(index - other) / max(1.0, self.total / 4))
        contrast = self._contrast(index, other)
        return position if np.isinf(contrast) else 0.5 * position + 0.5 * min(1.0, contrast / 2)

    def _contrast(self, index: int, other: int) -> float:
        """Distance of descriptors in units of the usual one; infinite when one is missing."""
        if index not in self.descriptors or other not in self.descriptors:
            return float("inf")
        between = self.descriptors[index] - self.descriptors[other]
        return float(np.linalg.norm(between)) / self.usual


@dataclass(frozen=True, eq=False)
class _Field:
    """All that a choice depends on."""

    candidates: list[int]
    labelled: list[int]
    looks: _Looks
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
    while len(chosen) < k:
        taken = [suggestion.index for suggestion in chosen]
        free = [
            place
            for place, index in enumerate(field.candidates)
            if not field.looks.alike(index, taken)
        ]
        # Keep away from painted slices too, unless nothing else is left.
        apart = [p for p in free if not field.looks.alike(field.candidates[p], field.labelled)]
        pool = apart or free
        if not pool:
            break
        scores = np.array([_score(field, place, taken, turns) for place in pool])
        best = int(np.argmax(scores))
        leading = _leading(field, pool[best], turns)
        reason = _reason(field, pool[best], taken, leading)
        index = field.candidates[pool[best]]
        chosen.append(Suggestion(index, float(scores[best]), reason))
        turns[leading] *= _TURN
    return chosen


def _score(field: _Field, place: int, taken: list[int], turns: Floats) -> float:
    index, known = field.candidates[place], [*field.labelled, *taken]
    if field.worth is None and index not in field.looks.descriptors:
        return field.looks.spread(index, known)
    if field.worth is None and not known:
        return field.looks.typical(index)
    novelty = field.looks.apart(index, known)
    if field.worth is None:
        return novelty
    uncertain = float(field.worth.overall[place])
    weighted = field.worth.by_label[place] * turns
    if field.worth.by_label.any():
        # One label at its worst matters, and so does a slice where many labels are unsure.
        uncertain = 0.5 * float(weighted.max()) + 0.4 * float(weighted.mean()) + 0.1 * uncertain
    return uncertain * (_NOVELTY_FLOOR + (1 - _NOVELTY_FLOOR) * novelty)


def _leading(field: _Field, place: int, turns: Floats) -> list[int]:
    """Columns of the labels that a slice was chosen for: at most two."""
    if field.worth is None or not field.worth.by_label.any():
        return []
    weighted = field.worth.by_label[place] * turns
    order = np.argsort(-weighted, kind="stable")[:2]
    return [int(i) for i in order if weighted[i] > 0 and weighted[i] >= 0.7 * weighted[order[0]]]


def _reason(field: _Field, place: int, taken: list[int], leading: list[int]) -> str:
    index, painted = field.candidates[place], len(field.labelled)
    yours = "the slice you painted" if painted == 1 else f"your {painted} slices"
    kind: Literal["look", "place"] = "look" if index in field.looks.descriptors else "place"
    if field.worth is None:
        if not painted and not taken:
            return "typical of the stack" if kind == "look" else "in the middle of the stack"
        others = yours if painted else "the other suggestions"
        return f"unlike {others}" if kind == "look" else f"far from {others}"
    names = " and ".join(field.labels[column].name for column in leading)
    what = f"{names} uncertain" if names else "uncertain"
    if not painted or field.looks.apart(index, field.labelled) < 0.5:
        return what
    return f"{what}, unlike {yours}" if kind == "look" else f"{what}, far from {yours}"
