"""The order of runs is broad first, nothing that is known is repeated, and one failure costs nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import ablation
import accuracy
import protocol
import runner
from data import Dataset
from methods import METHODS, TURNS, Trained, method
from results import Result

ALL = list(METHODS.values())


def test_every_method_has_its_turn() -> None:
    assert sorted(key for keys in TURNS for key in keys) == sorted(METHODS)


def test_first_choice_of_slices_and_cheap_methods_come_first() -> None:
    units = accuracy.plan(accuracy.grid(["a", "b", "a/scribbles"], [1, 3], 2), ALL, {})
    assert [case[2] for unit in units for case in unit.cases[:1]] == [0] * 12 + [1] * 12
    first = units[0]
    assert first.cases == (("a", 1, 0), ("a/scribbles", 1, 0))
    assert {each.key for _, each in first.runs} == set(TURNS[0])
    assert units[1].cases == (("b", 1, 0),)
    runs = [(each.key, *unit.cases[place]) for unit in units for place, each in unit.runs]
    assert len(runs) == len(set(runs)) == 3 * 2 * 2 * len(METHODS)


def test_cases_need_not_make_a_grid() -> None:
    cases = [("b", 3, 1), ("a", 1, 0), ("b", 3, 0)]
    units = accuracy.plan(cases, [method("salt")], {})
    assert [unit.cases for unit in units] == [(("a", 1, 0),), (("b", 3, 0),), (("b", 3, 1),)]


def test_known_runs_are_not_planned() -> None:
    known = {("salt", "a", 1, 0): None, ("probe", "a", 1, 0): None}
    chosen = [method("salt"), method("probe"), method("none")]
    units = accuracy.plan([("a", 1, 0)], chosen, known)
    assert [[each.key for _, each in unit.runs] for unit in units] == [["none"]]


def test_the_ablation_has_all_variants_on_a_case_before_the_next() -> None:
    units = ablation.plan([("a", 3, 0), ("b", 3, 0)], ["default", "LoRA"], {})
    assert [(unit.cases[0][0], unit.runs[0][1].key) for unit in units] == [
        ("a", "default"),
        ("a", "LoRA"),
        ("b", "default"),
        ("b", "LoRA"),
    ]


@dataclass(frozen=True)
class Stub:
    """Says that every pixel is the first label, or fails."""

    key: str
    recipe: str = ""

    def prepare(self) -> None:
        """Nothing to load."""

    def train(self, case: protocol.Case) -> Trained:
        if self.key == "bad":
            raise RuntimeError("no")

        def segment(dataset: Any, slices: Any) -> Any:
            yield from (dataset.labels[index] * 0 + 1 for index in slices)

        return Trained(segment, kept="adapted", held_out=(0.1, 0.2))


@pytest.fixture
def _discs(monkeypatch: pytest.MonkeyPatch) -> None:
    y, x = np.mgrid[:16, :16]
    labels = np.repeat((np.hypot(y - 8, x - 8) < 5).astype(np.uint8)[None], 60, 0)
    discs = Dataset("discs", 60 * labels, labels, {1: "disc"})
    monkeypatch.setattr(protocol, "load", {"discs": discs}.__getitem__)
    runner._case.cache_clear()


@pytest.mark.usefixtures("_discs")
def test_a_failing_run_is_told_and_the_others_go_on() -> None:
    unit = runner.Unit(
        (("discs", 1, 0), ("discs", 40, 0)), ((0, Stub("bad")), (1, Stub("x")), (0, Stub("good")))
    )
    told: list[runner.Told] = []
    runner.run_all([unit], 1, None, told.append)
    failed, refused, result = told
    assert "bad FAILED" in failed
    assert "not to be had" in refused
    assert isinstance(result, Result)
    assert (result.method, result.kept, result.held_out) == ("good", "adapted", (0.1, 0.2))
    assert 0 < result.dice < 1


@pytest.mark.usefixtures("_discs")
def test_when_the_time_is_up_nothing_more_is_begun() -> None:
    told: list[runner.Told] = []
    unit = runner.Unit((("discs", 1, 0),), ((0, Stub("good")),))
    runner.run_all([unit], 1, -1, told.append)
    assert told == []


def test_what_has_not_been_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "TASKS", ("a", "b"))
    monkeypatch.setattr(accuracy, "available", lambda task, n, shift: n < 5)
    monkeypatch.setattr(accuracy, "COUNTS", (1, 3, 5))
    plain = Result("salt", "a", 1, 0, 0.9, 1, 1, 1, 1, 1, "", {}, {}, "", "", "")
    found = [plain, replace(plain, n=3), replace(plain, task="b")]
    text = accuracy.not_run(found)
    title = METHODS["salt"].title
    assert f"- {title}: of choice 1 b with 3; choice 2 of painted slices; choice 3" in text
    assert f"- {METHODS['unet'].title}: nothing has been run." in text
    assert "No method on the held-out sets macaque" in text
