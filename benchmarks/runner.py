"""Run methods on cases: one after the other, or in several processes side by side, until a time is up."""

from __future__ import annotations

import math
import multiprocessing
import os
import queue
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

import results
from methods import Trained
from napari_salt.model.metrics import score_stack
from protocol import Case, NoCase, case

QUIET = 5.0
"""Seconds without a message after which the workers are looked at."""


class Runnable(Protocol):
    """What can be run on a case: a method, or a variant of ours."""

    key: str

    @property
    def recipe(self) -> str: ...

    def prepare(self) -> None: ...

    def train(self, case: Case) -> Trained: ...


@dataclass(frozen=True)
class Unit:
    """Runs that share work and so belong into one process, one after the other."""

    cases: tuple[tuple[str, int, int], ...]
    """task, n, shift."""
    runs: tuple[tuple[int, Runnable], ...]
    """Number of the case, and what to run on it."""


Told = results.Result | str


def run_all(
    units: Sequence[Unit], jobs: int, minutes: float | None, take: Callable[[Told], None]
) -> None:
    """Run the units in order, ``jobs`` at a time; ``take`` gets each result, and each complaint as text.

    After ``minutes`` no further run is begun; those that have begun are finished.
    """
    deadline = None if minutes is None else time.time() + 60 * minutes
    if jobs == 1:
        for unit in units:
            for told in _work(unit, deadline, 1):
                take(told)
        return
    for told in _side_by_side(units, jobs, deadline):
        take(told)


def _side_by_side(units: Sequence[Unit], jobs: int, deadline: float | None) -> Iterator[Told]:
    context = multiprocessing.get_context("spawn")
    waiting, told = context.Queue(), context.Queue()
    for unit in (*units, *[None] * jobs):
        waiting.put(unit)
    shares = _shares(jobs)
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(max(1, len(shares[0])))  # read when torch is imported
    workers = [
        context.Process(target=_worker, args=(waiting, told, deadline, jobs, share))
        for share in shares
    ]
    for worker in workers:
        worker.start()
    if before is None:
        del os.environ["OMP_NUM_THREADS"]
    else:
        os.environ["OMP_NUM_THREADS"] = before
    busy = jobs
    try:
        while busy:
            try:
                message = told.get(timeout=QUIET)
            except queue.Empty:
                dead = [worker for worker in workers if worker.exitcode]
                if dead:
                    yield f"a process died with exit code {dead[0].exitcode}; too little memory?"
                    return
                continue
            if message is None:
                busy -= 1
            else:
                yield message
    finally:
        for worker in workers:
            if busy:
                worker.terminate()
            worker.join()


def _shares(jobs: int) -> list[list[int]]:
    """Cores of each process; empty lists where the system does not tell."""
    if not hasattr(os, "sched_getaffinity"):
        return [[] for _ in range(jobs)]
    cores = sorted(os.sched_getaffinity(0))
    if jobs > len(cores):
        raise SystemExit(f"{jobs} jobs on {len(cores)} cores would only wait for each other")
    each = len(cores) // jobs
    return [cores[i * each : (i + 1) * each] for i in range(jobs)]


def _worker(
    waiting: multiprocessing.Queue,
    told: multiprocessing.Queue,
    deadline: float | None,
    jobs: int,
    cores: list[int],
) -> None:
    if cores:
        os.sched_setaffinity(0, cores)  # so that the seconds of one process are not another's
    while (unit := waiting.get()) is not None:
        for message in _work(unit, deadline, jobs):
            told.put(message)
    told.put(None)


def _work(unit: Unit, deadline: float | None, jobs: int) -> Iterator[Told]:
    for number, chosen in unit.runs:
        if deadline is not None and time.time() > deadline:
            return
        task, n, shift = unit.cases[number]
        try:
            yield run(_case(task, n, shift), chosen, jobs)
        except NoCase as reason:
            yield f"{task} n={n}: not to be had ({reason})"
        except Exception:  # noqa: BLE001 - one failing run must not cost the others their results
            yield f"{task} n={n} shift={shift} {chosen.key} FAILED\n{traceback.format_exc()}"


@lru_cache(maxsize=4)
def _case(task: str, n: int, shift: int) -> Case:
    return case(task, n, shift)


def run(question: Case, chosen: Runnable, jobs: int = 1) -> results.Result:
    """Fit, segment the test slices, score."""
    from shared import LEDGER, Stopwatch, sources

    chosen.prepare()
    LEDGER.settle()
    watch = Stopwatch()
    trained = chosen.train(question)
    fitted = watch.seconds()
    predictions = list(trained.segment(question.test, question.test_slices))
    segmented = watch.seconds() - fitted
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
        seconds_adapt=round(fitted, 2),
        seconds_slice=round(segmented / len(question.test_slices), 3),
        parameters=trained.parameters,
        size_bytes=trained.size_bytes,
        note=trained.note,
        dice_by_label={name: round(value, 4) for name, value in dices.items()},
        hd95_by_label={name: round(value, 2) for name, value in distances.items()},
        date=results.now(),
        commit=results.commit(),
        machine=results.machine(),
        recipe=chosen.recipe,
        sources=sources(),
        jobs=jobs,
        kept=trained.kept,
        held_out=trained.held_out,
    )


def line(result: results.Result) -> str:
    """A result for the terminal."""
    note = f", {result.note}" if result.note else ""
    return (
        f"{result.task} n={result.n} shift={result.shift} {result.method}: Dice {result.dice:.3f}, HD95 "
        f"{result.hd95:.1f}, {result.seconds_adapt:.1f} s + {result.seconds_slice:.2f} s a slice{note}"
    )
