"""The README's table is made of results: every number, the bold ones, and where ours is behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from comparison import OURS
from figures import AGAINST, OLDER, ROWS, TITLES, cases, figures, write_figures
from methods import PENDING
from results import Result

PLAIN = Result(OURS, "coins", 1, 0, 0.9, 2.0, 1, 1, None, None, "", {}, {}, "", "", "")


def results(task: str, n: int, *dice: float) -> list[Result]:
    methods = (OURS, *AGAINST)
    return [
        replace(PLAIN, method=method, task=task, n=n, dice=value)
        for method, value in zip(methods, dice, strict=False)
    ]


def test_every_row_has_a_title():
    assert {row.rpartition("/")[2] for row in ROWS} <= set(TITLES)


def test_cells_name_the_best_and_leave_out_what_was_not_run():
    text = figures(
        [
            *results("coins", 1, 0.91, 0.9, 0.5),
            *results("coins", 3, 0.8, 0.95, 1.0),
            *results("nuclei/scribbles", 1, 0.7, 0.6),
            *results("ihc", 1)[:0],
        ]
    )
    assert "| coins (photograph) | **.910** / .900 / .500 | .800 / .950 / **1.000** |  |  |" in text
    assert "| nuclei, scribbles on ≤ 5 % of the pixels | **.700** / .600 / – |  |  |  |" in text
    assert "stained" not in text
    assert "all 2 cases ours is -0.070 above the forest and 0.105 above the probe" in text
    assert "best, in 1. Behind, by the number of painted slices: coins: 3 (-0.200)." in text


def test_other_methods_and_choices_that_not_all_have_run_do_not_count():
    (one, *_) = results("coins", 1, 0.5)
    others = [replace(one, shift=1, dice=0.9), replace(one, method="unet", dice=0.9)]
    assert figures([one, *others]) == figures([one])
    first, second = results("coins", 1, 0.5, 0.6, 0.7), results("coins", 1, 0.9, 0.8, 0.7)
    third = replace(one, shift=2, dice=0.1)
    text = figures([*first, *(replace(each, shift=1) for each in second), third])
    assert "| **.700** / **.700** / **.700** |" in text


def test_a_result_that_lacks_the_latest_change_is_marked():
    newest, older = str(PENDING), str(PENDING - 1)
    ours, *others = results("concrete", 1, 0.9, 0.8, 0.7)
    other_choice = [replace(one, shift=1) for one in (ours, *others)]
    assert "°" not in figures([replace(ours, recipe=newest), *others])
    old = [replace(ours, recipe=older), *others]
    assert "| **.900**° / .800 / .700 |" in figures(old)
    assert OLDER in figures(old)
    mixed = [replace(ours, recipe=newest), *others, *other_choice]
    mixed[3] = replace(mixed[3], recipe=older)
    assert "°" in figures(mixed)
    assert "°" not in figures([replace(one, task="concrete/scribbles") for one in old])


def test_a_change_for_many_labels_leaves_sets_of_one():
    before = str(PENDING - 1)
    old = [replace(one, recipe=before) for one in results("coins/next", 1, 0.9, 0.8, 0.7)]
    assert "°" not in figures(old)
    older = [replace(one, recipe=str(PENDING - 2)) for one in old]
    assert "°" in figures(older)
    assert "°" in figures([replace(one, task="ihc", n=5) for one in older])
    assert "°" not in figures([replace(one, task="ihc", n=10) for one in older]), "most probable"
    assert "°" in figures([replace(one, task="brain_tissue/transfer", n=10) for one in older])


def test_the_table_can_be_run_anew_from_its_cases():
    found = [*results("coins", 1, 0.9, 0.8), *results("nuclei", 3, 0.9), *results("abc", 1, 0.9)]
    assert cases(found) == [("coins", 1, 0), ("nuclei", 3, 0)]


def test_the_rest_of_the_page_stays(tmp_path: Path):
    page = tmp_path / "README.md"
    page.write_text(
        "# Words\n\n<!-- figures: written by a program -->\nold\n<!-- end of figures -->\n\nmore\n"
    )
    write_figures(page, results("coins", 1, 0.91, 0.9, 0.5))
    text = page.read_text()
    assert text.startswith("# Words\n")
    assert text.endswith("\nmore\n")
    assert "old" not in text
    assert ".910" in text
