"""Results survive interruptions, the newest line counts, and the report leaves people's words alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import report
import results
from methods import method

PLAIN = results.Result(
    method="salt",
    task="nuclei",
    n=1,
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


def test_the_newest_line_of_a_key_counts(tmp_path: Path) -> None:
    newer = replace(PLAIN, dice=0.8, date="2030-01-02T00:00:00+00:00")
    for result in (newer, PLAIN, replace(PLAIN, shift=1)):
        results.append(result, tmp_path)
    kept = results.read(tmp_path)
    assert len(kept) == 2
    assert kept[newer.key].dice == 0.8


def test_a_line_that_was_cut_short_is_passed_over(tmp_path: Path) -> None:
    results.append(PLAIN, tmp_path)
    with (tmp_path / "salt.jsonl").open("a") as file:
        file.write('{"method": "sa')
    assert list(results.read(tmp_path)) == [PLAIN.key]


def test_means_compare_only_cases_that_all_methods_have() -> None:
    probe = replace(PLAIN, method="probe", dice=0.7)
    alone = replace(PLAIN, task="vessels", dice=0.1)
    table = report._mean_table([PLAIN, probe, alone])
    assert "0.900 / 2.0" in table
    assert "n = 1: 1)" in table


def test_the_report_keeps_what_people_wrote(tmp_path: Path) -> None:
    path, plot = tmp_path / "RESULTS.md", tmp_path / "images" / "plot.png"
    path.write_text("# Results\n\nWe lose on vessels.\n")
    report.write_accuracy(path, plot, [PLAIN])
    report.write_accuracy(path, plot, [replace(PLAIN, dice=0.5)])
    text = path.read_text()
    assert "We lose on vessels." in text
    assert "0.500" in text
    assert "0.900" not in text
    assert text.count("written by a program") == 1
    assert plot.stat().st_size > 1000


def test_a_variant_changes_the_settings_of_ours() -> None:
    variant = method("salt@low_rank=4,steps=20")
    assert dict(variant.options) == {"kind": "salt", "low_rank": "4", "steps": "20"}
