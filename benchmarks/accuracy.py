"""Accuracy and cost of all methods on all tasks, in one report and one plot.

    python benchmarks/accuracy.py --jobs 2                         everything; hours on two cores
    python benchmarks/accuracy.py --jobs 2 --budget-minutes 45      what can be had in that time, broadest first
    python benchmarks/accuracy.py --figures --redo                  the runs behind the README's table, once more
    python benchmarks/accuracy.py --tasks nuclei --n 1 3 --methods salt probe
    python benchmarks/accuracy.py --methods salt@low_rank=4 salt@low_rank=16      variants of ours
    python benchmarks/accuracy.py --report                          only write the tables and the plot

Runs that are in ``results/*.jsonl`` already are not repeated (``--redo`` repeats them), save those of an earlier
recipe of ours. The order is: the first choice of painted slices for all methods before the second choice, and cheap
methods on all cases before dear ones.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterable, Sequence
from itertools import product
from pathlib import Path

import figures
import report
import results
from comparison import OURS
from data import BASE, HELD_OUT
from methods import METHODS, Method, method, turn
from protocol import SHIFTS, VARIANTS, available
from runner import Told, Unit, line, run_all

HERE = Path(__file__).resolve().parent
TASKS = (*BASE, *(f"{name}/{variant}" for variant in VARIANTS if variant for name in BASE))
GROUPS = {
    "base": BASE,
    "derived": TASKS[len(BASE) :],
    "tuned": TASKS,
    "held-out": HELD_OUT,
    "all": (*TASKS, *HELD_OUT),
}
COUNTS = (1, 3, 5, 10)
Case = tuple[str, int, int]
"""Task, number of painted slices, and which choice of them."""
SHIFTS_WANTED = 3
"""Choices of painted slices that the whole comparison has."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--tasks", nargs="+", default=["all"], help="DATASET[/VARIANT] or " + ", ".join(GROUPS)
    )
    parser.add_argument("--n", nargs="+", type=int, default=list(COUNTS), help="painted slices")
    parser.add_argument(
        "--shifts", type=int, default=SHIFTS_WANTED, choices=range(1, len(SHIFTS) + 1)
    )
    parser.add_argument(
        "--figures", action="store_true", help="the cases of the README's table, by its methods"
    )
    parser.add_argument("--methods", nargs="+", default=list(METHODS), help=", ".join(METHODS))
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--budget-minutes", type=float, help="begin no run after this time")
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    parser.add_argument("--plot", type=Path, default=HERE.parent / "docs/images/dice_vs_slices.png")
    parser.add_argument("--redo", action="store_true", help="repeat runs that have a result")
    parser.add_argument("--report", action="store_true", help="run nothing")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    failures = []

    def take(told: Told) -> None:
        if isinstance(told, results.Result):
            results.append(told)
            told = line(told)
        elif "FAILED" in told or "died" in told:
            failures.append(told)
        print(told, flush=True)

    if not options.report:
        found = results.read(stands=stands)
        if options.figures:
            cases = figures.cases(found.values())
            chosen = [method(key) for key in (OURS, *figures.AGAINST)]
        else:
            tasks = [task for name in options.tasks for task in GROUPS.get(name, (name,))]
            cases = grid(tasks, options.n, options.shifts)
            chosen = [method(spec) for spec in options.methods]
        units = plan(cases, chosen, {} if options.redo else found)
        run_all(units, options.jobs, options.budget_minutes, take)
    found = list(results.read(stands=stands).values())
    old = results.outdated(results.FOLDER, stands)
    report.write_accuracy(options.out, options.plot, found, old, not_run(found))
    if options.out == HERE / "RESULTS.md":
        figures.write_figures(HERE.parent / "README.md", found)
    if failures:
        sys.exit(f"{len(failures)} runs failed")


def stands(result: results.Result) -> bool:
    """Whether a result is of the present state of its method."""
    try:
        return method(result.method).stands(result.recipe, result.task, result.n)
    except KeyError:
        return False


def not_run(found: Sequence[results.Result]) -> str:
    """What of the whole comparison has no result, by method; the held-out sets only where one has been begun."""
    have = {result.key for result in found}
    begun = {result.task for result in found}
    tasks = [*TASKS, *(task for task in HELD_OUT if task in begun)]
    whole = [
        (task, n, shift)
        for shift in range(SHIFTS_WANTED)
        for task in tasks
        for n in COUNTS
        if available(task, n, shift)
    ]
    lines = []
    untouched = [task for task in HELD_OUT if task not in begun]
    if untouched:
        lines.append(f"- No method on the held-out sets {', '.join(untouched)}.")
    for each in METHODS.values():
        missing = [place for place in whole if (each.key, *place) not in have]
        if missing:
            lines.append(f"- {each.title}: {_named(missing, whole)}.")
    return "\n".join(lines)


def _named(missing: Sequence[tuple[str, int, int]], whole: Sequence[tuple[str, int, int]]) -> str:
    """Cases in words, whole choices of painted slices as one."""
    if len(missing) == len(whole):
        return "nothing has been run"
    words = []
    for shift in sorted({shift for _, _, shift in missing}):
        lacking = [(task, n) for task, n, other in missing if other == shift]
        if len(lacking) == sum(other == shift for _, _, other in whole):
            words.append(f"choice {shift + 1} of painted slices")
            continue
        by_task: dict[str, list[str]] = {}
        for task, n in lacking:
            by_task.setdefault(task, []).append(str(n))
        cases = (f"{task} with {', '.join(counts)}" for task, counts in by_task.items())
        words.append(f"of choice {shift + 1} {'; '.join(cases)}")
    return "; ".join(words)


def grid(tasks: Sequence[str], counts: Sequence[int], shifts: int) -> list[Case]:
    """Every task with every number and choice of painted slices."""
    return [(task, n, shift) for shift in range(shifts) for n in counts for task in tasks]


def plan(
    cases: Iterable[Case], chosen: Sequence[Method], known: Collection[results.Key]
) -> list[Unit]:
    """What is missing, in order; the tasks of one data set stay together, because they share slices."""
    groups: dict[tuple[int, int, str], list[Case]] = {}
    for task, n, shift in dict.fromkeys(cases):
        groups.setdefault((shift, n, task.partition("/")[0]), []).append((task, n, shift))
    shifts = sorted({shift for shift, _, _ in groups})
    units = []
    for shift, number in product(shifts, sorted({turn(each.key) for each in chosen})):
        methods = [each for each in chosen if turn(each.key) == number]
        for (other, _, _), group in groups.items():
            runs = tuple(
                (place, each)
                for place, case in enumerate(group)
                for each in methods
                if other == shift and (each.key, *case) not in known
            )
            if runs:
                units.append(Unit(tuple(group), runs))
    return units


if __name__ == "__main__":
    main()
