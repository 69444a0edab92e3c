"""Times are taken in turn, targets are read the right way round, and people's words stay."""

from __future__ import annotations

from pathlib import Path

import pytest

import timing
from sections import replace_section, table
from timing import Ratio, milliseconds, side_by_side


def test_works_run_in_turn_and_the_first_round_does_not_count(monkeypatch):
    ran: list[str] = []
    clock = iter(
        [
            *(0.0, 1.0, 0.0, 10.0),  # a: 1 s, b: 10 s
            *(0.0, 3.0, 0.0, 30.0),
            *(0.0, 2.0, 0.0, 90.0),
        ]
    )
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    works = {"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}
    assert side_by_side(works, 3) == {"a": 2.0, "b": 30.0}
    assert ran == ["a", "b"] * 4


@pytest.mark.parametrize(
    ("value", "at_least", "reached"),
    [(2.0, True, True), (1.9, True, False), (1.9, False, True), (2.1, False, False)],
)
def test_ratios_know_their_target(value, at_least, reached):
    ratio = Ratio("a / b", value, 2, at_least, "")
    assert ratio.reached is reached
    assert ("yes" in ratio.cells()) is reached
    assert f"{'≥' if at_least else '≤'} 2" in ratio.cells()


def test_times_read_well():
    assert (milliseconds(0.0123), milliseconds(2.345)) == ("12 ms", "2.35 s")


def test_only_the_section_of_that_name_is_replaced(tmp_path: Path):
    path = tmp_path / "RESULTS.md"
    replace_section(path, "speed", "old")
    path.write_text("# By hand\n\n" + path.read_text() + "\nwords after\n")
    replace_section(path, "speed", table(["a", "b"], [["x\\1", "2"]]))
    text = path.read_text()
    assert text.startswith("# By hand")
    assert text.endswith("words after\n")
    assert "old" not in text
    assert "| x\\1 | 2 |" in text
    assert text.count("<!-- speed: written by a program -->") == 1
