"""A comparison is over the cases that both methods have, and a target is met only where results say so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import plot
import report
from comparison import FORESTS, OURS, Verdict, counted, difference, gaps, pair_up, verdicts
from results import Result

PLAIN = Result(
    method=OURS,
    task="a",
    n=3,
    shift=0,
    dice=0.9,
    hd95=2.0,
    seconds_adapt=10.0,
    seconds_slice=0.5,
    parameters=1000,
    size_bytes=2_000_000,
    note="",
    dice_by_label={"nucleus": 0.9},
    hd95_by_label={"nucleus": 2.0},
    date="2030-01-01T00:00:00+00:00",
    commit="abc",
    machine="a machine",
)


def result(method: str, dice: float, **more: object) -> Result:
    return replace(PLAIN, method=method, dice=dice, **more)


def verdict(results: list[Result], words: str) -> Verdict:
    (found,) = (each for each in verdicts(results) if words in each.target)
    return found


def test_a_method_that_lacks_a_case_does_not_blank_another() -> None:
    found = [result(OURS, 0.9), result("probe", 0.8), result(OURS, 0.5, task="b")]
    found.append(result("probe", 0.6, task="b"))
    found.append(result("lora", 0.9))
    assert difference(pair_up(found, OURS, "probe")) == pytest.approx(0.0)
    assert len(pair_up(found, OURS, "lora")) == 1
    assert pair_up(found, OURS, "probe", counts=(1,)) == []
    assert counted(pair_up(found, OURS, "probe")) == "1/0/1"


def test_level_is_within_half_a_hundredth() -> None:
    pairs = [(result(OURS, 0.905), result("probe", 0.9)), (result(OURS, 0.906), PLAIN)]
    assert counted(pairs) == "1/1/0"


def test_gaps_are_over_the_choices_of_slices_that_both_have_run() -> None:
    found = [result(OURS, 0.9), result(OURS, 0.1, shift=1), result("probe", 0.8)]
    found += [result("unet", 0.8), result("unet", 0.4, shift=1), result("lora", 0.9, task="b")]
    assert gaps(found) == {("a", 3): {"probe": pytest.approx(-0.1), "unet": pytest.approx(0.1)}}


def test_the_better_forest_is_the_one_to_beat() -> None:
    found = [result(OURS, 0.9), result(FORESTS[0], 0.85), result(FORESTS[1], 0.88)]
    judged = verdict(found, "n = 3: at least 0.03 above the better forest")
    assert judged.found.startswith("+0.020 (features-forest)")
    assert judged.met is False
    assert verdict(found[:2], "n = 3: at least 0.03 above the better forest").met is True


def test_a_target_without_results_is_neither_met_nor_missed() -> None:
    assert {each.met for each in verdicts([PLAIN])} == {None}


def test_best_everywhere_names_where_it_is_behind() -> None:
    found = [result(OURS, 0.9), result("probe", 0.906), result(OURS, 0.7, task="b")]
    found.append(result("unet", 0.704, task="b"))
    judged = verdict(found, "at every (task, n)")
    assert judged.met is False
    assert judged.found == "at 1 of 2; behind at a, 3 (−0.006 to probe)"


def test_adapters_are_compared_where_something_is_adapted() -> None:
    found = [result(OURS, 0.9), result("lora", 0.91)]
    found += [result(OURS, 0.9, n=1), result("lora", 0.1, n=1)]
    judged = verdict(found, "no worse than lora")
    assert (judged.met, judged.cases) == (False, 1)


def test_loss_against_the_own_first_fit_is_seen() -> None:
    found = [result(OURS, 0.9, held_out=(0.8, 0.79)), result(OURS, 0.9, n=5, held_out=(0.8, 0.8))]
    judged = verdict(found, "below its own first fit")
    assert judged.met is False
    assert judged.found.startswith("lost 1 times")


def test_a_method_with_few_runs_is_left_out_of_the_mean_panel() -> None:
    found = [
        result(key, 0.9, task=task, n=n)
        for key in (OURS, "probe")
        for task in "abcd"
        for n in (1, 3)
    ]
    found += [result("unet", 0.9, task="a", n=n) for n in (1, 3)]
    shown, cases = plot.common(found)
    assert shown == ["probe", OURS]
    assert cases == {(task, 0) for task in "abcd"}
    words = plot.caption(found, shown, cases)
    assert "a, b, c, d (1 choice" in words
    assert "small U-Net" in words


def test_the_tables_say_how_many_runs_shared_the_machine_and_what_was_left_out(
    tmp_path: Path,
) -> None:
    found = [result(OURS, 0.9, task="nuclei", jobs=2, recipe="2", sources="x")]
    found.append(result(OURS, 0.8, task="nuclei", n=1, jobs=2, recipe="2", sources="y"))
    found.append(result("probe", 0.8, task="nuclei"))
    path = tmp_path / "RESULTS.md"
    report.write_accuracy(path, tmp_path / "plot.png", found, 7, "- everything else")
    text = path.read_text()
    assert "2 runs side by side" in text
    assert "7 results of earlier recipes are left out" in text
    assert "2 states of the sources" in text
    assert "+0.100 (1)" in text
    assert "- everything else" in text
