"""Who chooses the next slice, and what is kept of a comparison."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import suggestions
from napari_salt.records import Label, SliceSummary

LABELS = (Label(1, "disc"),)


def known(painted, *, areas=None, doubts=None, count=100):
    indices = range(0, count, 3)
    return suggestions.Known(
        [
            SliceSummary(
                index,
                0.1,
                {1: 50 if areas is None else areas(index)},
                {1: 0.1 if doubts is None else doubts(index)},
            )
            for index in indices
        ],
        painted,
        LABELS,
        count,
    )


def test_chance_takes_slices_with_labels_away_from_painted_ones():
    here = known((48,), areas=lambda index: 20 if 30 <= index <= 60 else 0)
    drawn = {suggestions.chance(here, np.random.default_rng(seed)) for seed in range(200)}
    assert drawn == {index for index in range(30, 61, 3) if index != 48}


def test_chance_takes_any_slice_where_no_label_is_found():
    here = known((48,), areas=lambda index: 0)
    drawn = {suggestions.chance(here, np.random.default_rng(seed)) for seed in range(300)}
    assert drawn == set(range(0, 100, 3)) - {48}


def test_the_farthest_slice_halves_the_longest_gap():
    assert suggestions.spread(known((48,)), np.random.default_rng(0)) in (15, 81)
    assert suggestions.spread(known((9, 90)), np.random.default_rng(0)) in (48, 51)


def test_ours_is_what_next_slice_offers():
    here = known((48,), doubts=lambda index: 0.9 if index == 75 else 0.1)
    assert suggestions.ours(here, np.random.default_rng(0)) == 75


def step(policy="ours", seed=0, painted=(1,), dice=0.5, date="2026-01-01T00:00:00+00:00", **more):
    made = suggestions.Step("vessels", policy, seed, painted, dice, date, "abc", "m", "r")
    return replace(made, **more)


@pytest.fixture
def recipe(monkeypatch):
    monkeypatch.setattr(suggestions, "RECIPE", "r")


def test_the_newest_step_of_the_present_recipe_counts(tmp_path, recipe):
    path = tmp_path / "steps.jsonl"
    later = step(dice=0.7, date="2026-01-02T00:00:00+00:00")
    for one in (step(), later, step(painted=(1, 4), recipe="earlier")):
        suggestions.keep(one, path)
    assert suggestions.read(path) == [later]


def test_the_mean_is_over_stacks_that_every_policy_has_run():
    steps = [step(policy, 0, (1,), 0.4) for policy in suggestions.POLICIES]
    steps += [step("chance", 1, (1,), 0.6), step("ours", 0, (1,), 0.9, task="coins")]
    text = suggestions.section(steps)
    assert "| vessels | chance, where labels are | 0.500 |" in text
    assert "| coins | Next slice | 0.900 |" in text
    assert "| mean (stacks) | Next slice | 0.400 (1) |" in text
    assert "mean of up to 2 runs" in text


def test_a_game_goes_on_where_it_was_interrupted(monkeypatch):
    fits = []

    class Stack:
        images = np.zeros((90, 4, 4))

    def segment(stack, painted, tested, candidates):
        fits.append(tuple(painted))
        here = known(painted, count=90)
        assert [one.index for one in here.summaries] == list(range(0, 90, 3))
        return [], here.summaries, LABELS

    monkeypatch.setattr(suggestions, "load", lambda task: Stack())
    monkeypatch.setattr(suggestions, "_segment", segment)
    monkeypatch.setattr(suggestions, "_dice", lambda *_: 0.25)
    first = list(suggestions.play("vessels", "spread", 0, 3, []))
    assert [one.n for one in first] == [1, 2, 3]
    assert all(set(a.painted) < set(b.painted) for a, b in pairwise(first))
    fits.clear()
    again = list(suggestions.play("vessels", "spread", 0, 3, first))
    assert again == []
    assert fits == [one.painted for one in first[:-1]], "what is known of the last is not asked for"
    other = list(suggestions.play("vessels", "chance", 0, 1, first))
    assert [(one.policy, one.dice) for one in other] == [("chance", 0.25)]


def test_slices_that_may_be_painted_are_never_tested():
    for count in (60, 61, 152):
        tested = suggestions._tested(count)
        assert len(tested) > 10
        assert all(index % suggestions.EVERY == 1 and index < count for index in tested)
