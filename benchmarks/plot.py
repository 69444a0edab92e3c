"""Dice against painted slices: the mean in a large panel, the undisturbed tasks in small ones beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from comparison import OURS
from data import BASE
from methods import METHODS, method
from results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEWEST_TASKS = 3
"""A method that would leave fewer tasks for the mean is left out of it instead."""

COLOURS = {
    "filters-forest": "#E69F00",
    "features-forest": "#B3702A",
    "probe": "#56B4E9",
    "text-decoder": "#999999",
    "unet": "#CC79A7",
    "none": "#555555",
    "lora": "#009E73",
    "ssam": "#0072B2",
    "full": "#8A5BB5",
    OURS: "#D00000",
}
DASHED = ("none", "lora", "ssam", "full")
"""Ours with another adapter, or none."""


def draw(path: Path, results: Sequence[Result]) -> str:
    """Write the picture (1600 pixels wide, to be read at 800) and return its caption."""
    from matplotlib.figure import Figure

    shown, cases = common(results)
    tasks = [task for task in BASE if any(result.task == task for result in results)]
    counts = sorted({result.n for result in results})
    widths = [1.9, *[1.0] * len(tasks)]
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    panels = figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
    averaged = [r for r in results if r.method in shown and (r.task, r.shift) in cases]
    _panel(panels[0], averaged, counts, "mean over tasks")
    for panel, task in zip(panels[1:], tasks, strict=True):
        first = [r for r in results if r.task == task and r.shift == 0]
        _panel(panel, first, counts, task.replace("_", " "))
    panels[0].set_ylabel("Dice on unseen slices", fontsize=11)
    keys = _keys(results)
    lines: list[Any] = [panels[0].plot([], [], **_style(key))[0] for key in keys]
    titles = [method(key).title for key in keys]
    figure.legend(lines, titles, loc="outside lower center", ncols=3, fontsize=9.5, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160)
    return caption(results, shown, cases)


def common(results: Sequence[Result]) -> tuple[list[str], set[tuple[str, int]]]:
    """Methods of the mean, and the (task, shift) that each of them has run for every n.

    Methods with the fewest such cases are dropped until `FEWEST_TASKS` tasks are left, or as many as ours has.
    """
    counts = {result.n for result in results}
    ran: dict[str, dict[tuple[str, int], set[int]]] = {}
    for result in results:
        places = ran.setdefault(result.method, {})
        places.setdefault((result.task, result.shift), set()).add(result.n)
    full = {
        key: {place for place, found in places.items() if found == counts}
        for key, places in ran.items()
    }
    if not full.get(OURS):
        return [], set()
    wanted = min(FEWEST_TASKS, len({task for task, _ in full[OURS]}))
    shown = sorted(full, key=lambda key: (key != OURS, -len(full[key])))
    while True:
        cases = set.intersection(*(full[key] for key in shown))
        if len({task for task, _ in cases}) >= wanted:
            return [key for key in METHODS if key in shown], cases
        shown.pop()


def caption(results: Sequence[Result], shown: Sequence[str], cases: set[tuple[str, int]]) -> str:
    """What the picture shows, in words."""
    if not cases:
        return "No task has been run for every number of painted slices yet, so there is no mean."
    tasks = sorted({task for task, _ in cases})
    choices = len({shift for _, shift in cases})
    text = (
        f"The mean is over the tasks that every method shown there has run for every number of painted slices: "
        f"{', '.join(tasks)} ({choices} choice{'s' if choices > 1 else ''} of painted slices). The "
        "small panels show each task by itself, of the first choice, which every method has run."
    )
    left_out = [method(key).title for key in _keys(results) if key not in shown]
    if left_out:
        text += f" Not in the mean, for want of runs: {'; '.join(left_out)}."
    return text


def _keys(results: Sequence[Result]) -> list[str]:
    found = {result.method for result in results}
    return [key for key in METHODS if key in found]


def _style(key: str) -> dict[str, Any]:
    ours = key == OURS
    return {
        "color": COLOURS.get(key),
        "lw": 3.0 if ours else 1.6,
        "ls": "--" if key in DASHED else "-",
        "marker": "o",
        "ms": 6 if ours else 4,
        "zorder": 3 if ours else 2,
    }


def _panel(panel: Axes, results: Sequence[Result], counts: Sequence[int], title: str) -> None:
    for key in _keys(results):
        own = [result for result in results if result.method == key]
        xs = sorted({result.n for result in own})
        ys = [np.mean([result.dice for result in own if result.n == n]) for n in xs]
        panel.plot(xs, ys, **_style(key))
    panel.set_xscale("log")
    panel.set_xlim(min(counts) * 0.8, max(counts) * 1.25)
    panel.set_xticks(counts, [str(n) for n in counts])
    panel.minorticks_off()
    panel.set_title(title, fontsize=11.5)
    panel.set_xlabel("painted slices", fontsize=10.5)
    panel.tick_params(labelsize=10)
    panel.grid(alpha=0.3)
