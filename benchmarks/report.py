"""Tables and the plot from the kept results.

RESULTS.md is shared: each benchmark rewrites the part between its own two marks and leaves the rest, so that what
people write around the tables stays.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from data import BASE, HELD_OUT
from methods import METHODS, method
from results import Result

Cell = Callable[[Sequence[Result]], str]


def write_accuracy(path: Path, plot: Path, results: Sequence[Result]) -> None:
    """Rewrite the accuracy part of ``path`` and the plot."""
    ours = [result for result in results if result.method in METHODS]
    variants = [result for result in results if result.method not in METHODS]
    parts = [f"{_origin(results)}\n"]
    tuned = [result for result in ours if result.task.partition("/")[0] in BASE]
    unseen = [result for result in ours if result.task in HELD_OUT]
    for title, group in (
        ("Tasks made of the three tuning sets", tuned),
        ("Held-out sets, never tuned on", unseen),
    ):
        if group:
            parts += [f"### {title}\n", _mean_table(group), _task_table(group), _cost_table(group)]
    if variants:
        parts += ["### Variants of ours\n", _variant_table(variants, ours)]
    replace_part(path, "accuracy", "\n".join(parts))
    if tuned:
        draw(plot, tuned)


def replace_part(path: Path, name: str, text: str) -> None:
    """Put ``text`` between the marks of this name, adding them at the end of the file where they are missing."""
    start, end = f"<!-- {name}: written by a program -->", f"<!-- end of {name} -->"
    old = path.read_text() if path.is_file() else "# Benchmark results\n"
    if start not in old:
        old = f"{old.rstrip()}\n\n{start}\n{end}\n"
    pattern = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
    path.write_text(pattern.sub(lambda _: f"{start}\n{text.strip()}\n{end}", old, count=1))


def _origin(results: Sequence[Result]) -> str:
    if not results:
        return "No results yet."
    dates = sorted(result.date for result in results)
    commits = sorted({result.commit for result in results})
    machines = "; ".join(sorted({result.machine for result in results}))
    return (
        f"{len(results)} runs from {dates[0]} to {dates[-1]}, at {', '.join(commits)}, on {machines}. "
        "Dice and HD95 (pixels) are means over labels; ± is the spread (standard deviation) over shifted "
        "choices of painted slices."
    )


def by(results: Iterable[Result], *fields: str) -> dict[tuple, list[Result]]:
    """Results in groups of equal values of some fields."""
    groups: dict[tuple, list[Result]] = defaultdict(list)
    for result in results:
        groups[tuple(getattr(result, field) for field in fields)].append(result)
    return groups


def _order(results: Sequence[Result]) -> list[str]:
    """Methods in the order of the registry, variants after."""
    found = {result.method for result in results}
    return [key for key in METHODS if key in found] + sorted(found - set(METHODS))


def _shared(results: Sequence[Result], n: int) -> list[Result]:
    """Results at ``n`` on the (task, shift) that every method has, so that means compare like with like."""
    at_n = [result for result in results if result.n == n]
    asked = len({result.method for result in at_n})
    cases = by(at_n, "task", "shift")
    return [r for group in cases.values() if len({g.method for g in group}) == asked for r in group]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _mean_table(results: Sequence[Result]) -> str:
    counts = sorted({result.n for result in results})
    shared = {n: by(_shared(results, n), "method") for n in counts}
    cases = ", ".join(f"n = {n}: {len(next(iter(shared[n].values()), []))}" for n in counts)
    rows = []
    for key in _order(results):
        row = [method(key).title]
        for n in counts:
            found = shared[n].get((key,), [])
            row.append(f"{_mean(found, 'dice'):.3f} / {_mean(found, 'hd95'):.1f}" if found else "")
        rows.append(row)
    head = ["Dice / HD95, mean over tasks", *(f"n = {n}" for n in counts)]
    return f"Over the cases that every method has run ({cases}):\n\n" + _table(head, rows)


def _task_table(results: Sequence[Result]) -> str:
    keys = _order(results)
    rows = []
    for (task, n), group in sorted(by(results, "task", "n").items()):
        cells = by(group, "method")
        best = max(_mean(found, "dice") for found in cells.values())
        row = [f"{task}, {n}"]
        for key in keys:
            found = cells.get((key,))
            row.append(_dice_cell(found, best) if found else "")
        rows.append(row)
    return _table(["Dice: task, n", *(keys)], rows)


def _dice_cell(found: Sequence[Result], best: float) -> str:
    mean = _mean(found, "dice")
    text = f"{mean:.3f}"
    if len(found) > 1:
        text += f" ± {np.std([result.dice for result in found]):.3f}"
    return f"**{text}**" if mean > best - 0.005 else text


def _cost_table(results: Sequence[Result]) -> str:
    counts = sorted({result.n for result in results})
    rows = []
    for key, group in ((key, by(results, "method")[(key,)]) for key in _order(results)):
        seconds = by(group, "n")
        row = [method(key).title]
        row += [
            f"{_mean(seconds[(n,)], 'seconds_adapt'):.1f}" if (n,) in seconds else ""
            for n in counts
        ]
        row += [
            f"{_mean(group, 'seconds_slice'):.2f}",
            _number(group, "parameters", 1),
            _number(group, "size_bytes", 1e6),
        ]
        rows.append(row)
    head = ["cost, mean over tasks", *(f"s to adapt, n = {n}" for n in counts)]
    return _table([*head, "s a slice", "trainable", "MB"], rows)


def _variant_table(variants: Sequence[Result], ours: Sequence[Result]) -> str:
    """Each variant against the default method on the cases that both have."""
    rows = []
    for (key,), group in sorted(by(variants, "method").items()):
        base = {result.key[1:]: result for result in ours if result.method == key.partition("@")[0]}
        pairs = [(result, base[result.key[1:]]) for result in group if result.key[1:] in base]
        gain = f"{np.mean([a.dice - b.dice for a, b in pairs]):+.4f}" if pairs else ""
        cells = [
            f"{_mean(group, 'dice'):.3f}",
            gain,
            f"{len(pairs)}",
            f"{_mean(group, 'seconds_adapt'):.1f}",
        ]
        rows.append([method(key).title, *cells])
    return _table(["variant", "Dice", "against the default", "cases", "s to adapt"], rows)


def _mean(results: Sequence[Result], field: str) -> float:
    return float(np.mean([getattr(result, field) for result in results]))


def _number(results: Sequence[Result], field: str, unit: float) -> str:
    known = [getattr(result, field) for result in results if getattr(result, field) is not None]
    if not known:
        return "—"
    mean = np.mean(known) / unit
    return f"{mean:,.0f}" if unit == 1 else f"{mean:.2f}"


def draw(path: Path, results: Sequence[Result]) -> None:
    """Dice against painted slices: one panel for each undisturbed set, one for the mean over tasks with every n."""
    from matplotlib.figure import Figure

    tasks = [task for task in BASE if any(result.task == task for result in results)]
    figure = Figure(figsize=(3.2 * (len(tasks) + 1), 3.4), layout="constrained")
    axes = figure.subplots(1, len(tasks) + 1, squeeze=False)[0]
    counts = sorted({result.n for result in results})
    at_every_n = {
        task
        for (task,), group in by(results, "task").items()
        if {r.n for r in group} == set(counts)
    }
    for place, task in enumerate((*tasks, None)):
        axis = axes[place]
        if task is None:  # the same tasks at every n, or the curve would show which tasks drop out
            shown = [r for n in counts for r in _shared(results, n) if r.task in at_every_n]
        else:
            shown = list(results)
        for order, key in enumerate(_order(results)):
            points = by((r for r in shown if r.method == key and task in (None, r.task)), "n")
            xs = sorted(n for (n,) in points)
            ys = [_mean(points[(n,)], "dice") for n in xs]
            style = (
                {"lw": 2.5, "color": "black"}
                if key == "salt"
                else {"lw": 1.2, "color": f"C{order}"}
            )
            axis.plot(xs, ys, marker="o", ms=3, label=method(key).title, **style)
        axis.set(
            xscale="log", xlabel="painted slices", title=task or "mean over tasks with every n"
        )
        axis.set_xticks(counts, [str(n) for n in counts])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("Dice on unseen slices")
    handles, titles = axes[-1].get_legend_handles_labels()
    figure.legend(handles, titles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
