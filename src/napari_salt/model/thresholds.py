"""From which probability on a pixel has a label: the one that promises the best Dice, not the fewest wrong pixels.

The most probable label is the best guess for a single pixel and a poor one for a mask: where a label is hard to
tell, most of its pixels are more probably something else, and it is hardly found at all. The Dice that may be expected
of a mask is largest if it takes all pixels whose probability is above half of that Dice (Zhao et al., 2013; Lipton et
al., 2014): above .5 where a label is told perfectly, above .2 where no more than .4 can be had. Which Dice that is the
probabilities say themselves, on a few slices of the stack that nobody painted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.measure import label as pieces_of

from napari_salt.records import UNLABELLED
from napari_salt.sparse_plane import SparsePlane

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_salt.records import AnnotatedSlice

POWER = 0.75
"""Of the expected Dice: 1 would be right of probabilities that are, 0 for the most probable label of all. What is
doubted most is right less often than it says (measured)."""
COUNTS = 0.1
"""Probability from which a pixel counts for the expected area of a label: the little that all of the background has
would add up to more than a small label."""
LEAST_DICE = 0.1
"""That is expected of any label: what promises less is told by too few pixels."""
ROUNDS = 6
"""The threshold changes the mask, and its expected Dice the threshold."""
MOST_PIXELS = 1 << 16
"""Of one slice, on a grid."""
FEW = 7
"""Painted slices up to which labels begin so on the painted stack: with ten the most probable label was as good or
better on it (measured). Other stacks are not better known by more of them."""
CORE = 0.25
"""Part of a piece of a label where that must be the most probable one, see `Thresholds`."""


@dataclass(frozen=True)
class Thresholds:
    """Where labels begin, ``labels`` in the order of the rows 1, 2, …; none = the most probable row is taken.

    So it is, too, where no label is above its own: between many labels the most probable one may have less than half
    of the probability, and be right.

    With ``cores`` a piece of a label must have some of which it is the most probable one, else the most probable rows
    are taken there: on slices that do not show a label what little probability it has would make one up. On a stack of
    another instrument that much is rare, and most of what is there would be lost.
    """

    labels: tuple[float, ...] = ()
    cores: bool = True

    def rows(self, probabilities: NDArray[np.float32], most: NDArray[Any]) -> NDArray[Any]:
        """(h, w) rows of a map (K + 1, h, w), whose ``most`` probable ones are known; of any shape without cores."""
        if not self.labels:
            return most
        rows = rows_above(probabilities, self.labels)
        rows = np.where(rows == 0, most, rows)
        return with_cores(rows, most) if self.cores else rows


NO_THRESHOLDS = Thresholds()


def areas_told(painted: Sequence[AnnotatedSlice]) -> bool:
    """Whether the paint tells how large labels are: most pixels of the slices have some.

    Strokes lie in the middle of things; what is learned from them is no probability of pixels at a rim.
    """
    planes = [one.targets for one in painted]
    if any(isinstance(plane, SparsePlane) for plane in planes):
        return False
    told = sum(int(np.count_nonzero(np.asarray(plane) != UNLABELLED)) for plane in planes)
    return 2 * told >= sum(int(np.prod(plane.shape)) for plane in planes)


def sampled(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """(R, M) of some pixels, M no more than about `MOST_PIXELS`, of a map (R, h, w)."""
    height, width = probabilities.shape[1:]
    step = max(1, int(np.ceil(np.sqrt(height * width / MOST_PIXELS))))
    return probabilities[:, step // 2 :: step, step // 2 :: step].reshape(len(probabilities), -1)


def choose_thresholds(
    looks: Sequence[NDArray[np.float32]], weights: NDArray[np.floating] | None = None
) -> tuple[float, ...]:
    """A threshold for each label, 0..0.5, from probabilities of some pixels; () where none of them has any.

    A label that is found nowhere there gets the mean of the others'.

    Parameters
    ----------
    looks
        (K + 1, M) each, row 0 the background, every column adds up to 1.
    weights
        Of all these pixels (M,) one after the other: how many each stands for; by default one.
    """
    if not looks:
        return ()
    seen = np.concatenate(looks, axis=1)
    each = np.float32(1) if weights is None else weights
    area = (np.where(seen >= COUNTS, seen, 0) * each).sum(1, dtype=np.float64)[1:]
    rows = seen.argmax(0)
    known = np.bincount(rows, minlength=len(seen))[1:] > 0
    if not known.any():
        return ()
    thresholds = np.full(len(seen) - 1, 0.5)
    for _ in range(ROUNDS):
        found = np.bincount(rows, weights, minlength=len(seen))[1:]
        right = np.take_along_axis(seen, rows[None], 0)[0] * each
        right = np.bincount(rows, right, minlength=len(seen))[1:]
        dice = np.clip(2 * right / np.maximum(found + area, 1e-9), LEAST_DICE, 1)
        thresholds = dice**POWER / 2
        thresholds[~known] = thresholds[known].mean()
        rows = rows_above(seen, thresholds.tolist())
    return tuple(round(float(one), 4) for one in thresholds)


def with_cores(rows: NDArray[Any], most: NDArray[Any]) -> NDArray[Any]:
    """``rows`` (h, w) where enough of a piece of one has it as the ``most`` probable one too; else those."""
    pieces = pieces_of(rows, background=0, connectivity=1)
    size = np.bincount(pieces.ravel())
    core = np.bincount(pieces[rows == most], minlength=len(size))
    weak = core < CORE * size
    weak[0] = False
    return np.where(weak[pieces], most, rows)


def rows_above(probabilities: NDArray[np.float32], thresholds: Sequence[float]) -> NDArray[Any]:
    """Row of each pixel, of shape (…): the label (K + 1, …) that is most above its threshold, 0 where none is."""
    rows = np.zeros(probabilities.shape[1:], np.intp)
    best = np.zeros(probabilities.shape[1:], np.float32)
    for row, threshold in enumerate(thresholds, start=1):
        above = probabilities[row] - np.float32(threshold)
        rows[above > best] = row
        np.maximum(best, above, out=best)
    return rows
