"""Held-out Dice of each label over the rounds, as curves to draw. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_salt.views import LabelCurve

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_salt.records import Label, Round


def label_curves(
    labels: Iterable[Label],
    rounds: Sequence[Round],
    live: Iterable[tuple[str, float]] = (),
) -> tuple[LabelCurve, ...]:
    """One curve for each label that has a score; ``live`` scores belong to the round to come.

    Rounds without an honest score of a label leave a gap in the numbers, not a zero.
    """
    coming = max((round_.number for round_ in rounds), default=0) + 1
    scored = [(round_.number, dict(round_.record.held_out_by_label)) for round_ in rounds]
    scored.append((coming, dict(live)))
    curves = []
    for label in labels:
        points = tuple((n, scores[label.name]) for n, scores in scored if label.name in scores)
        if points:
            curves.append(LabelCurve(label.name, label.color, points))
    return tuple(curves)
