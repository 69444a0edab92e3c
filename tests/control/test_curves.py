from __future__ import annotations

from napari_salt.control.curves import label_curves
from napari_salt.records import FitRecord, Label, Round

RED, BLUE = (1.0, 0.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0)
LABELS = (Label(1, "cell", RED), Label(2, "nucleus", BLUE), Label(3, "wall"))


def round_(number, **scores):
    by_label = tuple(scores.items())
    record = FitRecord(
        "salt", "b", (1,), 9, 1.0, 10, "adapted", 0.1, 0.2, held_out_by_label=by_label
    )
    return Round(number, record, "a", 1)


def test_one_curve_a_label_in_its_colour_and_gaps_where_nothing_was_measured():
    rounds = [round_(1, cell=0.5), round_(2), round_(4, cell=0.7, nucleus=0.6, gone=0.1)]
    first, second = label_curves(LABELS, rounds)
    assert (first.name, first.color, first.points) == ("cell", RED, ((1, 0.5), (4, 0.7)))
    assert (second.name, second.color, second.points) == ("nucleus", BLUE, ((4, 0.6),))


def test_live_scores_belong_to_the_round_to_come():
    (curve,) = label_curves(LABELS, [round_(1, cell=0.5)], (("cell", 0.8),))
    assert curve.points == ((1, 0.5), (2, 0.8))
    (curve,) = label_curves(LABELS, [], (("wall", 0.8),))
    assert curve.points == ((1, 0.8),)


def test_nothing_measured_draws_nothing():
    assert label_curves(LABELS, [round_(1)]) == ()
