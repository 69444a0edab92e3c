"""The first fit: a linear query for each label, by multinomial logistic regression, and a forest beside them.

The queries read the backbone's features alone; the forest reads filters, place and the main directions of the same
features. Their probabilities are averaged: each is right where the other fails (measured in ``benchmarks/``).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from napari_salt.model.forest import Forest, grow
from napari_salt.model.mixing import LINEAR_SHARE, mix, rescaled
from napari_salt.model.progress import shares
from napari_salt.model.queries import BLOCK, QuerySolver, fit_queries

PENALTY = 1e-2
"""Ridge penalty of the queries, in loss per squared norm; features are standardised."""
TREES, FOLD_TREES, OTHER_TREES = 48, 16, 32
FIRST_TREES = 16
"""Trees that a first look is taken with, while the others are still to grow."""
DIRECTIONS = 32
"""Main directions of the backbone's features that the forest sees."""
ITERATIONS = 60
FIRST_ITERATIONS = 20
"""Solver iterations that a first look is taken with, a multiple of `CHUNK`; the others follow."""
FOLD_ITERATIONS = 40
MOST_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Samples:
    """Annotated pixels drawn from the slices.

    ``deep`` (M, C) standardised features of the backbone, ``detail`` (M, D) filters and place, ``targets`` (M,) int64
    rows of the head, ``slice_of`` (M,) int64 number of the slice in the order given, ``fold`` (M,) int64 what is left
    out together (whole slices, or the halves of a chequered pattern where there is one slice), ``weights`` (M,) how
    many annotated pixels one stands for, ``volume`` (M, V) `volume_filters`, None where no forest is to see them.
    """

    deep: Tensor
    detail: Tensor
    targets: Tensor
    slice_of: Tensor
    fold: Tensor
    weights: Tensor
    volume: Tensor | None = None

    @cached_property
    def directions(self) -> Tensor:
        """(P, C): the `main_directions` of ``deep``."""
        return main_directions(self.deep)

    def part(self, inside: Tensor) -> Samples:
        """Those samples where ``inside`` (M,) is true, slices numbered as before."""
        return Samples(
            self.deep[inside],
            self.detail[inside],
            self.targets[inside],
            self.slice_of[inside],
            self.fold[inside],
            self.weights[inside],
            None if self.volume is None else self.volume[inside],
        )


@dataclass(frozen=True, eq=False)
class Fitted:
    """Queries (R, C) and bias (R,), the directions (P, C) of the features that the forest sees, and the forest.

    ``volume`` tells whether the forest sees `volume_filters` as well. ``linear_share`` is the part of the probability
    that the queries decide, ``row_scale`` what `rescaled` does with it.
    """

    queries: Tensor
    bias: Tensor
    directions: Tensor
    forest: Forest
    linear_share: float = LINEAR_SHARE
    row_scale: tuple[float, ...] = ()
    volume: bool = False

    def parts(self, samples: Samples) -> tuple[Tensor, Tensor]:
        """Probabilities (M, R) by the queries and by the forest, of samples that need not be those of the fit."""
        linear = (samples.deep @ self.queries.T + self.bias).softmax(1)
        seen = seen_by_forest(samples, self.directions)
        return linear, torch.from_numpy(self.forest.probabilities(seen))

    def probabilities(self, samples: Samples) -> Tensor:
        """(M, R): the parts mixed."""
        return rescaled(mix(*self.parts(samples), self.linear_share), self.row_scale, 1)


def seen_by_forest(
    samples: Samples, directions: Tensor
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(M, D + P[ + V]): detail, the main ``directions`` (P, C) of the deep features, volume where there is any.

    That comes last, so that a forest which knows nothing of it may be asked as well.
    """
    seen = [samples.detail, samples.deep @ directions.T]
    if samples.volume is not None:
        seen.append(samples.volume)
    return torch.cat(seen, 1).numpy()


def main_directions(deep: Tensor) -> Tensor:
    """(P, C): the leading principal axes of standardised features (M, C), signs made canonical."""
    moments = deep.new_zeros(deep.shape[1], deep.shape[1], dtype=torch.float64)
    for part in deep.split(
        BLOCK
    ):  # products in single precision take half the time, their sum needs double
        moments += part.T @ part
    axes = torch.linalg.eigh(moments / max(1, len(deep)))[1].flip(1)[:, :DIRECTIONS].T
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    found: Tensor = (axes * largest.sign()).to(deep.dtype).contiguous()
    return found


def fit_all(
    samples: Samples, rows: int, *, seed: int = 0, jobs: int = 1
) -> Generator[float, None, Fitted]:
    """Queries and forest from all samples; yields the share done, 0..1."""
    return (yield from _fit(samples, rows, samples.directions, ITERATIONS, TREES, seed, jobs))


@dataclass(frozen=True, eq=False)
class Begun:
    """What a first look is taken with, and the solver that its queries came from."""

    fitted: Fitted
    solver: QuerySolver


def fit_first(
    samples: Samples, rows: int, *, seed: int = 0, jobs: int = 1
) -> Generator[float, None, Begun]:
    """The same with a third of the work: `FIRST_ITERATIONS` of the solver, `FIRST_TREES` trees."""
    solver = QuerySolver(samples.deep, samples.targets, rows, PENALTY)
    yield from shares(solver.improve(FIRST_ITERATIONS), 0.0, 0.5)
    growing = grow_forest(samples, samples.directions, rows, FIRST_TREES, seed, jobs)
    forest = yield from shares(growing, 0.5, 0.5)
    return Begun(_fitted(samples, *solver.found(), samples.directions, forest), solver)


def fit_rest(
    samples: Samples, begun: Begun, *, seed: int = 0, jobs: int = 1
) -> Generator[float, None, Fitted]:
    """What `fit_all` gives, from what `fit_first` gave; yields the share of the rest done, 0..1."""
    first, solver = begun.fitted, begun.solver
    yield from shares(solver.improve(ITERATIONS - FIRST_ITERATIONS), 0.0, 0.5)
    queries, bias = solver.found()
    growing = grow_forest(samples, first.directions, len(bias), TREES, seed, jobs, first.forest)
    forest = yield from shares(growing, 0.5, 0.5)
    return replace(first, queries=queries, bias=bias, forest=forest)


def fit_other(
    samples: Samples,
    rows: int,
    *,
    queries: tuple[Tensor, Tensor] | None = None,
    seed: int = 0,
    jobs: int = 1,
) -> Generator[float, None, Fitted]:
    """What `fit_all` fits, with fewer trees; yields the share done, 0..1.

    ``queries`` (R, C) and bias (R,) are taken as they are where another fit has them from the same features.
    """
    directions = samples.directions
    return _fit(samples, rows, directions, ITERATIONS, OTHER_TREES, seed, jobs, queries)


def fit_folds(
    samples: Samples, rows: int, *, seed: int = 0, jobs: int = 1
) -> Generator[float, None, dict[int, Fitted]]:
    """The same, smaller, once for each fold, without the samples of that fold; yields the share done, 0..1."""
    fold_of = samples.fold
    folds = [int(fold) for fold in fold_of.unique()]
    found: dict[int, Fitted] = {}
    for number, fold in enumerate(folds):
        fitting = _fit(
            samples.part(fold_of != fold),
            rows,
            samples.directions,
            FOLD_ITERATIONS,
            FOLD_TREES,
            seed,
            jobs,
        )
        while fold not in found:
            try:
                yield (number + next(fitting)) / len(folds)
            except StopIteration as stop:
                found[fold] = stop.value
    return found


def fit_forest(
    samples: Samples, rows: int, *, seed: int = 0, jobs: int = 1
) -> Generator[float, None, Forest]:
    """The forest of `fit_all` alone; yields the share done, 0..1."""
    return grow_forest(samples, samples.directions, rows, TREES, seed, jobs)


def grow_forest(
    samples: Samples,
    directions: Tensor,
    rows: int,
    trees: int,
    seed: int,
    jobs: int,
    begin: Forest | None = None,
) -> Generator[float, None, Forest]:
    """A forest of so many ``trees`` on what it sees of ``samples``, see `forest.grow`; yields the share done, 0..1."""
    seen, targets = seen_by_forest(samples, directions), samples.targets.numpy()
    return grow(seen, targets, rows, trees, seed=seed, jobs=jobs, begin=begin)


def fit_without(
    samples: Samples, fold: int, rows: int, *, seed: int = 0, jobs: int = 1
) -> Generator[float, None, Fitted]:
    """What `fit_folds` fits for one fold."""
    inside = samples.part(samples.fold != fold)
    return _fit(inside, rows, samples.directions, FOLD_ITERATIONS, FOLD_TREES, seed, jobs)


def fit_judges(
    samples: Samples, left_out: int, rows: int
) -> Generator[float, None, dict[int, tuple[Tensor, Tensor]]]:
    """For each fold but ``left_out`` queries from the samples of neither; yields the share done, 0..1."""
    others = [int(fold) for fold in samples.fold.unique() if int(fold) != left_out]
    found: dict[int, tuple[Tensor, Tensor]] = {}
    for number, fold in enumerate(others):
        inside = (samples.fold != fold) & (samples.fold != left_out)
        fitting = fit_queries(
            samples.deep[inside], samples.targets[inside], rows, PENALTY, FOLD_ITERATIONS
        )
        while fold not in found:
            try:
                yield (number + next(fitting)) / len(others)
            except StopIteration as stop:
                found[fold] = stop.value
    return found


def _fit(
    samples: Samples,
    rows: int,
    directions: Tensor,
    iterations: int,
    trees: int,
    seed: int,
    jobs: int,
    queries: tuple[Tensor, Tensor] | None = None,
) -> Generator[float, None, Fitted]:
    if queries is None:
        solving = fit_queries(samples.deep, samples.targets, rows, PENALTY, iterations)
        queries = yield from shares(solving, 0.0, 0.5)
    growing = grow_forest(samples, directions, rows, trees, seed, jobs)
    forest = yield from shares(growing, 0.5, 0.5)
    return _fitted(samples, *queries, directions, forest)


def _fitted(
    samples: Samples, queries: Tensor, bias: Tensor, directions: Tensor, forest: Forest
) -> Fitted:
    return Fitted(queries, bias, directions, forest, volume=samples.volume is not None)
