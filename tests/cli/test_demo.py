"""The parts of the demo that need no network; the demo itself is what ``make demo`` runs."""

from __future__ import annotations

import matplotlib.image
import numpy as np

from napari_salt.commands.demo import MARGIN, away_from, evenly_spaced
from napari_salt.commands.overview import Overview, draw_overview, slices_to_show
from napari_salt.records import Label
from napari_salt.session.stack import Stack


def test_first_slices_are_spread():
    assert evenly_spaced(78, 3) == [7, 38, 69]
    assert evenly_spaced(1, 1) == [0]


def test_scored_slices_keep_their_distance():
    scored = away_from([5, 20], 30)
    assert MARGIN == 3
    assert scored == [*range(3), *range(8, 18), *range(23, 30)]


def test_slices_to_show_are_one_painted_and_others_far_from_it():
    labelled = np.ones(78, bool)
    shown = slices_to_show([7, 21, 38, 56, 69], labelled)
    assert 38 in shown
    assert shown == sorted(set(shown))
    assert all(
        index == 38 or min(abs(index - near) for near in (7, 21, 38, 56, 69)) >= MARGIN
        for index in shown
    )


def test_picture(tmp_path):
    shape = (20, 40, 30)
    volume = np.zeros(shape, np.uint8)
    volume[:, 10:30, 5:25] = 100
    labels = np.zeros(shape, np.uint8)
    labels[:, 12:20, 6:12] = 1
    shown = Overview(
        "heading",
        Stack(volume),
        labels,
        labels,
        np.full(shape, 0.5, np.float16),
        (Label(1, "box", (1.0, 0.0, 0.0, 1.0)),),
        (4, 10, 16),
    )
    draw_overview(tmp_path / "overview.png", shown)
    picture = matplotlib.image.imread(tmp_path / "overview.png")
    red = (picture[..., 0] > 0.5) & (picture[..., 1] < 0.4)
    assert red.sum() > 100
    assert list(tmp_path.iterdir()) == [tmp_path / "overview.png"]
