"""Tables from the kept results.

RESULTS.md is shared: each benchmark rewrites the part between its own two marks and leaves the rest, so that what
people write around the tables stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

import plot as plots
from comparison import LEVEL, OURS, counted, difference, pair_up, verdicts
from data import BASE, HELD_OUT
from methods import METHODS, PENDING, is_marked, method
from results import Result
from sections import replace_section, table

MOST_NAMED = 6
"""Commits that are named one by one; of more the number is told."""


def write_accuracy(
    path: Path, plot: Path, results: Sequence[Result], outdated: int = 0, missing: str = ""
) -> None:
    """Rewrite the accuracy part of ``path`` and the plot.

    ``outdated`` tells how many results of an earlier recipe were left out, ``missing`` what has not been run.
    """
    known = [result for result in results if result.method in METHODS]
    variants = [result for result in results if result.method not in METHODS]
    parts = [origin(results, outdated)]
    tuned = [result for result in known if result.task.partition("/")[0] in BASE]
    unseen = [result for result in known if result.task.partition("/")[0] in HELD_OUT]
    if tuned:
        caption = plots.draw(plot, tuned)
        parts += [f"Plot: `docs/images/{plot.name}`. {caption}"]
    for title, group in (
        ("Tasks made of the three tuning sets", tuned),
        ("Held-out sets, of other kinds", unseen),
    ):
        if group:
            parts += [f"### {title}", *_tables(group)]
    if variants:
        parts += ["### Variants of ours", _variant_table(variants, known)]
    if missing:
        parts += ["### Not run", missing]
    replace_section(path, "accuracy", "\n\n".join(parts))


def _tables(group: Sequence[Result]) -> list[str]:
    return [
        "#### Targets",
        _target_table(group),
        "#### Ours with SALT against each other method",
        _pair_table(group),
        "#### Dice",
        _task_table(group, "dice"),
        "#### HD95 (pixels)",
        _task_table(group, "hd95"),
        "#### Cost",
        _cost_table(group),
    ]


def origin(results: Sequence[Result], outdated: int = 0) -> str:
    """When, at which commits, where, and how many runs side by side."""
    if not results:
        return "No results yet."
    dates = sorted(result.date for result in results)
    commits = sorted({result.commit for result in results})
    at = f"{len(commits)} commits (`results/*.jsonl` has them)"
    if len(commits) <= MOST_NAMED:
        at = ", ".join(commits)
    machines = "; ".join(sorted({result.machine for result in results}))
    own = [result for result in results if result.recipe]
    states = sorted({result.sources for result in own})
    lines = [
        f"{len(results)} runs from {dates[0]} to {dates[-1]}, at {at}, on {machines}; "
        f"{_jobs(results)}.",
        "Dice and HD95 (pixels) are means over labels; ± is the spread (standard deviation) over shifted choices of "
        "painted slices. Seconds are those of a first run with the weights in memory; work that runs have in common "
        "is done once and counted for each. Fine-tuning stops at a time limit, which a run with one core of several "
        "reaches after fewer steps.",
    ]
    if own:
        numbers = {result.recipe.partition("/")[0] for result in own}
        recipes = ", ".join(sorted(numbers, key=lambda number: (len(number), number)))
        lines.append(f"Ours is recipe {recipes}.")
        if "," in recipes:
            lines.append(
                "Results of an earlier one stand on tasks where nothing has changed since, and where the change of "
                f"recipe {PENDING} is all that they lack: those are marked °."
            )
    if len(states) > 1:
        lines.append(
            f"**Its runs come from {len(states)} states of the sources:** compare them with care."
        )
    if outdated:
        lines.append(f"{outdated} results of earlier recipes are left out.")
    return " ".join(lines)


def _jobs(results: Sequence[Result]) -> str:
    counts = sorted({result.jobs for result in results})
    if counts == [1]:
        return "one run at a time"
    return (
        f"{' or '.join(map(str, counts))} runs side by side, each with its own share of the cores"
    )


def by(results: Iterable[Result], *fields: str) -> dict[tuple, list[Result]]:
    """Results in groups of equal values of some fields."""
    groups: dict[tuple, list[Result]] = defaultdict(list)
    for result in results:
        groups[tuple(getattr(result, field) for field in fields)].append(result)
    return groups


def ordered(results: Iterable[Result]) -> list[str]:
    """Methods in the order of the registry, variants after."""
    found = {result.method for result in results}
    return [key for key in METHODS if key in found] + sorted(found - set(METHODS))


def _target_table(results: Sequence[Result]) -> str:
    words = {True: "met", False: "**not met**", None: "not run"}
    rows = [
        (verdict.target, verdict.found, words[verdict.met], str(verdict.cases))
        for verdict in verdicts(results)
    ]
    return table(("target", "found", "", "cases"), rows, text=3)


def _pair_table(results: Sequence[Result]) -> str:
    counts = sorted({result.n for result in results})
    rows = []
    for key in ordered(results):
        if key == OURS:
            continue
        row = [method(key).title]
        for n in counts:
            pairs = pair_up(results, OURS, key, (n,))
            row.append(f"{difference(pairs):+.3f} ({len(pairs)})" if pairs else "")
        pairs = pair_up(results, OURS, key)
        row += (
            [f"{difference(pairs):+.3f}", f"{difference(pairs, 'hd95'):+.1f}", counted(pairs)]
            if pairs
            else ["", "", ""]
        )
        rows.append(row)
    head = ["Dice of ours − Dice of", *(f"n = {n} (cases)" for n in counts), "all", "HD95, all"]
    words = (
        f"Means over the cases that both have run. Level: within {LEVEL} Dice. Positive Dice and negative HD95 are "
        "for ours."
    )
    return f"{words}\n\n{table([*head, 'better/level/worse'], rows)}"


def _task_table(results: Sequence[Result], field: str) -> str:
    keys = ordered(results)
    rows = []
    for (task, n), group in sorted(by(results, "task", "n").items()):
        cells = by(group, "method")
        rows.append([f"{task}, {n}", *(_cell(cells, key, field) for key in keys)])
    best = f"within {LEVEL} of the best" if field == "dice" else "best"
    words = f"Mean ± spread over choices of painted slices; bold: {best}; in brackets: fewer choices than others."
    return f"{words}\n\n{table(['task, n', *keys], rows)}"


def _cell(cells: dict[tuple, list[Result]], key: str, field: str) -> str:
    """Mean and spread; bold for the best among methods with as many choices."""
    found = cells.get((key,))
    if not found:
        return ""
    most = max(map(len, cells.values()))
    full = [_mean(group, field) for group in cells.values() if len(group) == most]
    mean, digits = _mean(found, field), 3 if field == "dice" else 1
    text = f"{mean:.{digits}f}"
    if len(found) > 1:
        text += f" ± {np.std([getattr(result, field) for result in found]):.{digits}f}"
    if any(is_marked(result.recipe, result.task, result.n) for result in found):
        text += "°"
    if len(found) < most:
        return f"({text})"
    if len(full) == 1:
        return text
    best = mean >= max(full) - LEVEL if field == "dice" else mean <= min(full)
    return f"**{text}**" if best else text


def _cost_table(results: Sequence[Result]) -> str:
    counts = sorted({result.n for result in results})
    rows = []
    for key, group in ((key, by(results, "method")[(key,)]) for key in ordered(results)):
        seconds = by(group, "n")
        row = [method(key).title]
        row += [_spread(seconds.get((n,), ()), "seconds_adapt", 0) for n in counts]
        row += [
            _spread(group, "seconds_slice", 2),
            _number(group, "parameters", 1),
            _number(group, "size_bytes", 1e6),
            str(len(group)),
        ]
        rows.append(row)
    head = ["mean ± spread over all cases run", *(f"s to adapt, n = {n}" for n in counts)]
    return table([*head, "s a slice", "trainable", "MB", "cases"], rows)


def _spread(results: Sequence[Result], field: str, digits: int) -> str:
    if not results:
        return ""
    values = [getattr(result, field) for result in results]
    return f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}"


def _variant_table(variants: Sequence[Result], known: Sequence[Result]) -> str:
    """Each variant against the default method on the cases that both have."""
    rows = []
    for (key,), group in sorted(by(variants, "method").items()):
        pairs = pair_up([*group, *known], key, key.partition("@")[0])
        cells = [
            f"{_mean(group, 'dice'):.3f}",
            f"{difference(pairs):+.4f}" if pairs else "",
            f"{len(pairs)}",
            f"{_mean(group, 'seconds_adapt'):.1f}",
        ]
        rows.append([method(key).title, *cells])
    return table(["variant", "Dice", "against the default", "cases", "s to adapt"], rows)


def _mean(results: Sequence[Result], field: str) -> float:
    return float(np.mean([getattr(result, field) for result in results]))


def _number(results: Sequence[Result], field: str, unit: float) -> str:
    known = [getattr(result, field) for result in results if getattr(result, field) is not None]
    if not known:
        return "—"
    mean = np.mean(known) / unit
    return f"{mean:,.0f}" if unit == 1 else f"{mean:.2f}"
