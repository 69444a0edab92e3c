"""Which slices are painted, which are tested, and how a prediction is scored.

``n`` painted slices are evenly spaced between 10 % and 90 % of the stack, moved by a few slices for each further
``shift``; test slices are evenly spaced between 5 % and 95 %, never closer than ``GAP`` slices to a painted one. Of a
few independent tiles the first are painted (rotated by ``shift``) and the rest tested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

import derive
from data import Dataset, load
from napari_salt.records import BACKGROUND, AnnotatedSlice

GAP = 3
TEST_SLICES = 16
SHIFTS = (0, 1, -1, 2, -2)
"""Steps of one fortieth of the stack (at least one slice) by which the painted slices move."""


class NoCase(ValueError):
    """A task that cannot be had with so many painted slices."""


@dataclass(frozen=True, eq=False)
class Case:
    """One question: paint of ``train`` in, masks of some slices of ``test`` out.

    ``scored`` are the label ids that occur in the painted slices and in the reference of the tested ones.
    """

    task: str
    n: int
    shift: int
    train: Dataset
    annotated: tuple[AnnotatedSlice, ...]
    test: Dataset
    test_slices: tuple[int, ...]
    scored: tuple[int, ...]


def painted_slices(count: int, n: int, shift: int = 0) -> tuple[int, ...]:
    """Indices of the ``n`` painted slices of a stack of ``count``."""
    if n < 1 or n > count // 2:
        raise NoCase(f"{n} painted slices of {count} leave too few to test")
    places = np.linspace(0.1, 0.9, n) if n > 1 else np.array([0.5])
    step = max(1, round(count / 40))
    moved = np.round(places * (count - 1)).astype(int) + SHIFTS[shift] * step
    return tuple(sorted(set(np.clip(moved, 0, count - 1).tolist())))


def held_out_slices(
    count: int, painted: tuple[int, ...], limit: int = TEST_SLICES
) -> tuple[int, ...]:
    """At most ``limit`` evenly spaced slices between 5 % and 95 %, none closer than ``GAP`` to a painted one."""
    inner = range(round(0.05 * (count - 1)), round(0.95 * (count - 1)) + 1)
    far = [index for index in inner if min(abs(index - other) for other in painted) >= GAP]
    if not far:
        raise NoCase(f"no slice of {count} is {GAP} slices away from {len(painted)} painted ones")
    chosen = np.unique(np.round(np.linspace(0, len(far) - 1, limit)).astype(int))
    return tuple(far[index] for index in chosen)


def split(dataset: Dataset, n: int, shift: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Painted and tested slices of one data set."""
    count = len(dataset.images)
    if not dataset.tiles:
        painted = painted_slices(count, n, shift)
        return painted, held_out_slices(count, painted)
    if n >= count:
        raise NoCase(f"{n} painted tiles of {count} leave none to test")
    painted = tuple(sorted((index + shift) % count for index in range(n)))
    return painted, tuple(index for index in range(count) if index not in painted)


def full_paint(dataset: Dataset, painted: tuple[int, ...]) -> tuple[AnnotatedSlice, ...]:
    """Slices painted as a whole and ticked complete."""
    return tuple(
        AnnotatedSlice(index, complete_targets(dataset.labels[index]), complete=True)
        for index in painted
    )


def complete_targets(labels: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """A reference ``(Y, X)`` as paint: what is none of the labels is background."""
    return np.where(labels == 0, BACKGROUND, labels).astype(np.uint16)


def available(task: str, n: int, shift: int = 0) -> bool:
    """Whether `case` can be had, without making its images (but for labels that are not found again)."""
    name, _, variant = task.partition("/")
    dataset = load(name)
    try:
        if variant in ("next", "transfer"):
            train, other = derive.halves(dataset)
            split_transfer(train, len(other.images), n, shift)
        else:
            split(dataset, n, shift)
    except NoCase:
        return False
    return True


def _plain(dataset: Dataset, n: int, shift: int) -> Case:
    painted, tested = split(dataset, n, shift)
    paint = full_paint(dataset, painted)
    return _case(dataset.name, n, shift, dataset, paint, dataset, tested)


def _scribbles(dataset: Dataset, n: int, shift: int) -> Case:
    painted, tested = split(dataset, n, shift)
    rng = np.random.default_rng([11, shift])
    paint = tuple(
        AnnotatedSlice(index, derive.scribble(complete_targets(dataset.labels[index]), rng))
        for index in painted
    )
    return _case(f"{dataset.name}/scribbles", n, shift, dataset, paint, dataset, tested)


def _degraded(dataset: Dataset, n: int, shift: int) -> Case:
    painted, tested = split(dataset, n, shift)
    test = derive.degrade(dataset, seed=shift)
    paint = full_paint(dataset, painted)
    return _case(f"{dataset.name}/degraded", n, shift, dataset, paint, test, tested)


def _next(dataset: Dataset, n: int, shift: int) -> Case:
    train, test = derive.halves(dataset)
    painted, tested = split_transfer(train, len(test.images), n, shift)
    paint = full_paint(train, painted)
    return _case(f"{dataset.name}/next", n, shift, train, paint, test, tested)


def _transfer(dataset: Dataset, n: int, shift: int) -> Case:
    train, other = derive.halves(dataset)
    painted, tested = split_transfer(train, len(other.images), n, shift)
    test = _another_subject(dataset, shift)
    paint = full_paint(train, painted)
    return _case(f"{dataset.name}/transfer", n, shift, train, paint, test, tested)


def split_transfer(
    train: Dataset, others: int, n: int, shift: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Painted slices of one half, and tested ones of the other, which has ``others`` slices."""
    count = len(train.images)
    if not train.tiles:
        return painted_slices(count, n, shift), held_out_slices(others, (-GAP,))
    if n > count:
        raise NoCase(f"{n} painted tiles of {count}")
    return tuple(sorted((index + shift) % count for index in range(n))), tuple(range(others))


@lru_cache(maxsize=4)
def _another_subject(dataset: Dataset, shift: int) -> Dataset:
    """The half that is tested, changed; seconds of work, and the same for every n."""
    return derive.another_subject(derive.halves(dataset)[1], seed=shift)


VARIANTS: dict[str, Callable[[Dataset, int, int], Case]] = {
    "": _plain,
    "scribbles": _scribbles,
    "degraded": _degraded,
    "next": _next,
    "transfer": _transfer,
}


def case(task: str, n: int, shift: int = 0) -> Case:
    """The case of a task, ``"DATASET"`` or ``"DATASET/VARIANT"``; `NoCase` where it cannot be had."""
    name, _, variant = task.partition("/")
    if variant not in VARIANTS:
        raise KeyError(f"unknown variant {variant!r}; known: {', '.join(filter(None, VARIANTS))}")
    return VARIANTS[variant](load(name), n, shift)


def _case(
    task: str,
    n: int,
    shift: int,
    train: Dataset,
    annotated: tuple[AnnotatedSlice, ...],
    test: Dataset,
    tested: tuple[int, ...],
) -> Case:
    painted = set().union(*(np.unique(paint.targets).tolist() for paint in annotated))
    present = set(np.unique(test.labels[list(tested)]).tolist())
    scored = tuple(sorted((painted & present) - {0, BACKGROUND}))
    if not scored:
        raise NoCase(f"no label of the painted slices of {task} occurs in the tested ones")
    return Case(task, n, shift, train, annotated, test, tested, scored)


def pixels(annotated: tuple[AnnotatedSlice, ...]) -> Iterator[tuple[AnnotatedSlice, NDArray]]:
    """Each painted slice with the ``(P, 2)`` rows and columns of its painted pixels."""
    for paint in annotated:
        yield paint, np.argwhere(paint.targets > 0)
