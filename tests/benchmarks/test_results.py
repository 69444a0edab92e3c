"""Results survive interruptions, the newest line counts, and the report leaves people's words alone."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import report
import results
from methods import RECIPE, method
from variants import VARIANTS

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


def test_results_of_another_recipe_are_left_out(tmp_path: Path) -> None:
    old, new = replace(PLAIN, recipe="1", shift=1), replace(PLAIN, recipe="2")
    for result in (new, old, replace(PLAIN, method="gone")):
        results.append(result, tmp_path)

    def stands(result: results.Result) -> bool:
        return (result.method, result.recipe) == ("salt", "2")

    assert list(results.read(tmp_path, stands)) == [new.key]
    assert results.outdated(tmp_path, stands) == 2


def test_results_of_an_earlier_recipe_stand_where_the_present_one_changes_nothing() -> None:
    salt, unet = method("salt"), method("unet")
    assert salt.stands(RECIPE, "vessels", 3)
    assert salt.stands("4", "nuclei", 3)
    assert not salt.stands("4", "vessels", 3)
    assert not salt.stands("3", "nuclei", 3)
    assert salt.stands("7", "brain_regions/transfer", 5)
    assert not salt.stands("7", "brain_regions/transfer", 10)
    assert not salt.stands("6", "brain_regions/transfer", 5)
    assert unet.stands("", "vessels", 3)
    assert not unet.stands("4", "nuclei", 3)
    variant = next(iter(VARIANTS))
    definition = variant.recipe.partition("/")[2]
    assert variant.stands(f"4/{definition}", "nuclei", 3)
    assert not variant.stands(f"4/{definition}", "vessels", 3)
    assert not variant.stands("4/another", "nuclei", 3)


def test_lines_of_before_recipes_can_still_be_read(tmp_path: Path) -> None:
    content = json.loads(json.dumps(asdict(PLAIN)))
    for added in ("recipe", "sources", "jobs", "kept", "held_out"):
        content.pop(added)
    (tmp_path / "salt.jsonl").write_text(json.dumps(content) + "\n")
    assert results.read(tmp_path)[PLAIN.key] == PLAIN


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


def test_only_ours_has_a_recipe() -> None:
    assert method("salt").recipe == method("none@steps=2").recipe == RECIPE
    assert method("unet").recipe == ""
