"""Accuracy and cost of all methods on all tasks, in one table and one plot.

    python benchmarks/accuracy.py                                  everything; hours on two cores
    python benchmarks/accuracy.py --tasks nuclei --n 1 3 --methods salt probe
    python benchmarks/accuracy.py --methods salt@low_rank=4 salt@low_rank=16      variants of ours
    python benchmarks/accuracy.py --report                          only write the table and the plot

Runs that are in ``results/*.jsonl`` already are not repeated (``--redo`` repeats them).
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np

import report
import results
from data import BASE, HELD_OUT
from methods import METHODS, Method, method
from napari_salt.model.metrics import score_stack
from protocol import SHIFTS, VARIANTS, Case, NoCase, case

HERE = Path(__file__).resolve().parent
TASKS = (*BASE, *(f"{name}/{variant}" for variant in VARIANTS if variant for name in BASE))
GROUPS = {
    "base": BASE,
    "all": (*TASKS, *HELD_OUT),
    "derived": TASKS[len(BASE) :],
    "held-out": HELD_OUT,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--tasks", nargs="+", default=["all"], help="DATASET[/VARIANT] or " + ", ".join(GROUPS)
    )
    parser.add_argument("--n", nargs="+", type=int, default=[1, 3, 5, 10], help="painted slices")
    parser.add_argument("--shifts", type=int, default=3, choices=range(1, len(SHIFTS) + 1))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), help=", ".join(METHODS))
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    parser.add_argument("--plot", type=Path, default=HERE.parent / "docs/images/dice_vs_slices.png")
    parser.add_argument("--redo", action="store_true", help="repeat runs that have a result")
    parser.add_argument("--report", action="store_true", help="run nothing")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    tasks = [task for name in options.tasks for task in GROUPS.get(name, (name,))]
    if not options.report:
        known = {} if options.redo else results.read()
        for task in tasks:
            for n in options.n:
                for shift in range(options.shifts):
                    run_case(task, n, shift, [method(spec) for spec in options.methods], known)
    report.write_accuracy(options.out, options.plot, list(results.read().values()))


def run_case(
    task: str, n: int, shift: int, chosen: list[Method], known: dict[results.Key, results.Result]
) -> None:
    """All chosen methods on one case, each kept as soon as it is done."""
    missing = [each for each in chosen if (each.key, task, n, shift) not in known]
    if not missing:
        return
    try:
        question = case(task, n, shift)
    except NoCase as reason:
        print(f"{task} n={n}: not to be had ({reason})", flush=True)
        return
    for each in missing:
        result = run(question, each)
        results.append(result)
        print(
            f"{task} n={n} shift={shift} {each.key}: Dice {result.dice:.3f}, HD95 {result.hd95:.1f}, "
            f"{result.seconds_adapt:.1f} s + {result.seconds_slice:.2f} s a slice",
            flush=True,
        )


def run(question: Case, chosen: Method) -> results.Result:
    """Fit, segment the test slices, score."""
    start = time.perf_counter()
    trained = chosen.train(question)
    fitted = time.perf_counter()
    predictions = list(trained.segment(question.test, question.test_slices))
    segmented = time.perf_counter()
    reference = question.test.labels[list(question.test_slices)]
    diagonal = math.hypot(*reference.shape[1:])
    scores = {
        question.test.names[score.label_id]: score
        for score in score_stack(np.stack(predictions), reference, question.scored, (1.0, 1.0))
    }
    dices = {name: score.dice for name, score in scores.items()}
    # A label found nowhere has no distance; the longest possible one keeps the mean finite.
    distances = {name: min(score.hd95, diagonal) for name, score in scores.items()}
    return results.Result(
        method=chosen.key,
        task=question.task,
        n=question.n,
        shift=question.shift,
        dice=round(float(np.mean(list(dices.values()))), 4),
        hd95=round(float(np.mean(list(distances.values()))), 2),
        seconds_adapt=round(fitted - start, 2),
        seconds_slice=round((segmented - fitted) / len(question.test_slices), 3),
        parameters=trained.parameters,
        size_bytes=trained.size_bytes,
        note=trained.note,
        dice_by_label={name: round(value, 4) for name, value in dices.items()},
        hd95_by_label={name: round(value, 2) for name, value in distances.items()},
        date=results.now(),
        commit=results.commit(),
        machine=results.machine(),
    )


if __name__ == "__main__":
    main()
