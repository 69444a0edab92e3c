"""What each part of the SALT recipe earns: the default with one thing changed at a time (see `variants`).

    python benchmarks/ablation.py --jobs 2 --budget-minutes 30
    python benchmarks/ablation.py --cases brain_regions:3 nuclei:3 --only "rank 8" LoRA
    python benchmarks/ablation.py --report

All variants are run on the first case before the second. Results lie in ``results/ablation``; those of another
recipe, or of a variant that has been redefined since, do not count.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import results
from comparison import LEVEL, Pair, counted, pair_up
from report import origin
from results import Result
from runner import Told, Unit, line, run_all
from sections import replace_section, table
from variants import BARE, DEFAULT, VARIANTS

HERE = Path(__file__).resolve().parent
FOLDER = results.FOLDER / "ablation"
CASES = ("brain_regions:3", "brain_regions:5", "nuclei:3", "brain_tissue/transfer:3")
"""Few, because every variant is run on each; with fewer than three painted slices nothing is fine-tuned."""

BY_KEY = {variant.key: variant for variant in VARIANTS}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", default=list(CASES), help="TASK:n or TASK:n:shift")
    parser.add_argument("--only", nargs="+", choices=list(BY_KEY), metavar="VARIANT")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--budget-minutes", type=float, help="begin no run after this time")
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    parser.add_argument("--redo", action="store_true", help="repeat runs that have a result")
    parser.add_argument("--report", action="store_true", help="run nothing")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    for variant in VARIANTS:
        variant.check()
    failures = []

    def take(told: Told) -> None:
        if isinstance(told, Result):
            results.append(told, FOLDER)
            told = line(told)
        elif "FAILED" in told or "died" in told:
            failures.append(told)
        print(told, flush=True)

    if not options.report:
        chosen = [DEFAULT.key, BARE.key, *(options.only or BY_KEY)]
        known = {} if options.redo else results.read(FOLDER, stands)
        units = plan([_case(text) for text in options.cases], list(dict.fromkeys(chosen)), known)
        run_all(units, options.jobs, options.budget_minutes, take)
    found = list(results.read(FOLDER, stands).values())
    replace_section(options.out, "ablation", ablation_text(found))
    if failures:
        sys.exit(f"{len(failures)} runs failed")


def stands(result: results.Result) -> bool:
    """Whether a result is of the present state of the recipe and of its variant."""
    known = BY_KEY.get(result.method)
    return known is not None and known.stands(result.recipe, result.task, result.n)


def _case(text: str) -> tuple[str, int, int]:
    task, n, *shift = text.split(":")
    return task, int(n), int(shift[0]) if shift else 0


def plan(
    cases: Sequence[tuple[str, int, int]], keys: Sequence[str], known: dict[results.Key, Result]
) -> list[Unit]:
    """What is missing, case by case, each variant on its own so that no process waits for long."""
    return [
        Unit((case,), ((0, BY_KEY[key]),))
        for case in cases
        for key in keys
        if (key, *case) not in known
    ]


def ablation_text(found: Sequence[Result]) -> str:
    """Each variant against what it is compared with, on the cases that both have."""
    if not found:
        return "No results yet."
    rows = [_row(key, found) for key in BY_KEY if any(result.method == key for result in found)]
    cases = sorted({f"{r.task}, n = {r.n}, choice {r.shift + 1}" for r in found})
    missing = [key for key in BY_KEY if not any(result.method == key for result in found)]
    head = ["part", "variant", "against", "Dice", "Dice − its", "HD95 − its", "better/level/worse"]
    lines = [
        origin(found),
        f"Cases: {'; '.join(cases)}. Each variant is compared with what stands under 'against', over the cases "
        f"that both have: '{DEFAULT.key}', or '{BARE.key}', the default with all its steps taken on all slices and "
        f"kept whatever they are worth. Level means within {LEVEL} Dice; = means the same scores on every case, so "
        "what it changes had no say there.",
        table([*head, "adapted kept", "s to adapt", "trainable"], rows, text=3),
    ]
    if missing:
        lines.append(f"Not run: {', '.join(missing)}.")
    return "\n\n".join(lines)


def _row(key: str, found: Sequence[Result]) -> list[str]:
    own = [result for result in found if result.method == key]
    base = DEFAULT.key if key == BARE.key else BY_KEY[key].base
    pairs = pair_up(found, key, base) if key != base else []
    same = all(_same(pair) for pair in pairs)
    change = ["", "", ""]
    if pairs:
        dice = float(np.mean([a.dice - b.dice for a, b in pairs]))
        far = float(np.mean([a.hd95 - b.hd95 for a, b in pairs]))
        change = ["=" if same else f"{dice:+.4f}", "=" if same else f"{far:+.1f}", counted(pairs)]
    return [
        BY_KEY[key].group,
        key,
        base if key != base else "",
        f"{np.mean([result.dice for result in own]):.4f}",
        *change,
        f"{sum(result.kept == 'adapted' for result in own)} of {len(own)}",
        f"{np.mean([result.seconds_adapt for result in own]):.0f}",
        f"{np.mean([result.parameters or 0 for result in own]):,.0f}",
    ]


def _same(pair: Pair) -> bool:
    first, second = pair
    return (first.dice_by_label, first.hd95_by_label) == (
        second.dice_by_label,
        second.hd95_by_label,
    )


if __name__ == "__main__":
    main()
