"""A linear query for each label: multinomial logistic regression with a ridge penalty, solved by L-BFGS."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor

CHUNK = 5
"""Solver iterations between two progress reports."""
BLOCK = 1024
"""Samples whose products are summed at a time."""
NEVER = -1e4
"""Logit of a row that a fit has not seen; finite, so that sums stay numbers."""


class QuerySolver:
    """Minimises mean cross entropy + ``penalty`` · ‖W‖² by L-BFGS, as far as it is asked to.

    ``values`` (M, D), ``targets`` (M,) int64 in 0..rows-1. Rows that never occur in ``targets`` have zero weights and
    the bias `NEVER`.
    """

    def __init__(self, values: Tensor, targets: Tensor, rows: int, penalty: float) -> None:
        self._values, self._rows, self._penalty = values, rows, penalty
        self._present = targets.unique()
        self._targets = torch.searchsorted(self._present, targets)
        self._weight = values.new_zeros(len(self._present), values.shape[1]).requires_grad_(True)
        self._bias = values.new_zeros(len(self._present)).requires_grad_(True)
        self._solver = torch.optim.LBFGS(
            [self._weight, self._bias],
            max_iter=CHUNK,
            history_size=10,
            line_search_fn="strong_wolfe",
        )

    def improve(self, iterations: int) -> Generator[float, None, None]:
        """So many more iterations, in steps of `CHUNK`; yields the share of them done, 0..1."""
        if not len(self._targets):
            return
        for done in range(0, iterations, CHUNK):
            self._solver.step(self._loss)
            yield min(1.0, (done + CHUNK) / iterations)

    def found(self) -> tuple[Tensor, Tensor]:
        """W (rows, D) and bias (rows,) as they are now."""
        weight = self._values.new_zeros(self._rows, self._values.shape[1])
        bias = self._values.new_full((self._rows,), NEVER)
        weight[self._present], bias[self._present] = self._weight.detach(), self._bias.detach()
        return weight, bias

    @torch.no_grad()
    def _loss(self) -> Tensor:
        """The loss, and its gradients; by hand, for the products of autograd take three times as long here."""
        weight, bias, count = self._weight, self._bias, len(self._targets)
        logs = torch.addmm(bias, self._values, weight.T).log_softmax(1)
        right = self._targets[:, None]
        loss = self._penalty * weight.square().sum() - logs.gather(1, right).mean()
        slopes = logs.exp_()
        slopes.scatter_add_(1, right, slopes.new_full((count, 1), -1.0))
        slopes /= count
        weight.grad = _product(slopes, self._values).add_(weight, alpha=2 * self._penalty)
        bias.grad = slopes.sum(0)
        return loss


def _product(narrow: Tensor, wide: Tensor) -> Tensor:
    """(R, D): ``narrow`` (M, R) transposed times ``wide`` (M, D), block by block of the long common axis."""
    whole = len(wide) // BLOCK * BLOCK
    blocks = narrow[:whole].view(-1, BLOCK, narrow.shape[1]).transpose(1, 2)
    found = torch.bmm(blocks, wide[:whole].view(-1, BLOCK, wide.shape[1])).sum(0)
    return found.addmm_(narrow[whole:].T, wide[whole:])


def fit_queries(
    values: Tensor, targets: Tensor, rows: int, penalty: float, iterations: int
) -> Generator[float, None, tuple[Tensor, Tensor]]:
    """What a `QuerySolver` finds in so many ``iterations``; yields the share of them done, 0..1."""
    solver = QuerySolver(values, targets, rows, penalty)
    yield from solver.improve(iterations)
    return solver.found()
