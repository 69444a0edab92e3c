"""Extremely randomised trees (Geurts et al., 2006) on what a pixel looks like, where it is, and what the backbone sees.

scikit-learn grows them; what is kept are plain arrays, so that an adapter file holds no pickle, and a file from a
stranger can be checked before it is used. Trees compare one feature with one number at a time: unlike a linear
query they stay sane where another slice shows values that no painted one had.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.tree._tree import Tree
from torch import Tensor

from napari_salt.errors import AdapterError
from napari_salt.model.device import spare_threads

FEATURE_SHARE = 1.0
"""Part of the features that a split may choose from; random thresholds make the trees differ enough."""
FEWEST_IN_LEAF = 2
TREES_AT_ONCE = 8
"""Trees grown between two progress reports."""
BLOCK = 8192
"""Pixels that go through the trees together: their features stay in the processor's cache."""
COMPACT_EVERY = 3
"""Levels between two looks at which pixels have reached their leaf, where NumPy walks the trees."""
DAMAGED = "The adapter's trees are damaged; use another copy of the file."
TOP = 255
"""Leaves hold probabilities in whole parts of this."""


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees as arrays; a leaf has feature -1 and itself as both children.

    Attributes
    ----------
    roots
        (T,) int32, node at which each tree starts.
    feature, threshold, children
        (N,) int16, (N,) float32 and (N, 2) int32: a pixel goes to the second child where its feature is larger than
        the threshold. Children lie behind their parent.
    leaf
        (N, R) uint8, probability of each row in parts of 255; only leaves are looked at.
    """

    roots: NDArray[np.int32]
    feature: NDArray[np.int16]
    threshold: NDArray[np.float32]
    children: NDArray[np.int32]
    leaf: NDArray[np.uint8]

    @property
    def rows(self) -> int:
        """Rows that it tells apart, the background included."""
        return int(self.leaf.shape[1])

    def probabilities(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """(M, D) features → (M, R) probabilities, the mean over the trees.

        Raises
        ------
        ValueError
            The trees ask for more features than D.
        """
        values = np.ascontiguousarray(values, np.float32)
        if self._asked >= values.shape[1]:
            raise ValueError(f"the trees ask for feature {self._asked} of {values.shape[1]}")
        found = np.empty((len(values), self.rows), np.float32)
        starts = range(0, len(values), BLOCK)
        walkers = min(spare_threads(), len(starts))

        def fill(start: int) -> None:
            block = values[start : start + BLOCK]
            total = np.zeros((len(block), self.rows), self._wide.dtype)
            for number in range(len(self.roots)):
                total += self._wide.take(self._leaves(block, number), 0)
            found[start : start + BLOCK] = total

        if walkers > 1:
            _ = self._compiled, self._wide  # built once, not by each thread
            with ThreadPoolExecutor(walkers) as pool:
                list(pool.map(fill, starts))
        else:
            for start in starts:
                fill(start)
        found /= np.maximum(found.sum(1, keepdims=True), 1)
        return found

    def _leaves(self, block: NDArray[np.float32], number: int) -> NDArray[np.intp]:
        """(M,) leaf that each pixel of ``block`` (M, D) ends in, in tree ``number``."""
        root = int(self.roots[number])
        if self._compiled is None:
            return self._walk(block, root)
        found: NDArray[np.intp] = self._compiled[number].apply(block)
        found += root
        return found

    @cached_property
    def _asked(self) -> int:
        """Last feature that a split looks at; the compiled walk does not check."""
        return int(self.feature.max())

    @cached_property
    def _wide(self) -> NDArray[np.unsignedinteger]:
        """Leaf values in the smallest type that holds their sum over the trees: sums of one type take half the time."""
        return self.leaf.astype(np.min_scalar_type(TOP * len(self.roots)))

    @cached_property
    def _compiled(self) -> list[Any] | None:
        """The trees as scikit-learn's own, whose compiled walk takes half the time and lets other threads run.

        Their state is not a public interface: None where this release of scikit-learn has another one.
        """
        ends = [*self.roots[1:].tolist(), len(self.feature)]
        try:
            return [
                self._compile(int(root), end) for root, end in zip(self.roots, ends, strict=True)
            ]
        except (AttributeError, KeyError, TypeError, ValueError):
            return None

    def _compile(self, root: int, end: int) -> Any:
        """Nodes ``root`` to ``end`` as a tree; ValueError where they are not a tree of their own."""
        here = slice(root, end)
        children = self.children[here].astype(np.int64) - root
        if end <= root or children.max() >= len(children):
            raise ValueError("a walk would leave the tree")
        is_leaf = self.feature[here] < 0
        kinds = _node_kinds()
        nodes = np.zeros(end - root, kinds)
        nodes["left_child"] = np.where(is_leaf, -1, children[:, 0])
        nodes["right_child"] = np.where(is_leaf, -1, children[:, 1])
        nodes["feature"] = np.where(is_leaf, -2, self.feature[here])
        nodes["threshold"] = self.threshold[here]
        nodes["missing_go_to_left"] = 1  # NaN is not larger than anything
        tree = Tree(1, np.ones(1, np.intp), 1)
        tree.__setstate__(
            {
                "max_depth": 0,
                "node_count": len(nodes),
                "nodes": nodes,
                "values": np.zeros((len(nodes), 1, 1)),
            }
        )
        return tree

    def _walk(self, block: NDArray[np.float32], root: int) -> NDArray[np.intp]:
        """The same in plain NumPy, from node ``root`` on."""
        flat, children = block.ravel(), self.children.ravel()
        ends = np.empty(len(block), np.intp)
        pixels = np.arange(len(block), dtype=np.int32)
        offset = pixels * block.shape[1]
        node = np.full(len(block), root, np.int32)
        while True:
            for _ in range(
                COMPACT_EVERY
            ):  # at a leaf, feature -1 is a stray read, and both ways lead back
                right = flat.take(offset + self.feature.take(node)) > self.threshold.take(node)
                node = children.take(2 * node + right)
            ends[pixels] = node
            going = np.flatnonzero(self.feature.take(node) >= 0)
            if not len(going):
                return ends
            pixels, offset, node = pixels.take(going), offset.take(going), node.take(going)

    def first(self, trees: int) -> Forest:
        """The first ``trees`` of it, or all where there are no more."""
        if trees >= len(self.roots):
            return self
        end = int(self.roots[trees])
        return Forest(
            self.roots[:trees],
            self.feature[:end],
            self.threshold[:end],
            self.children[:end],
            self.leaf[:end],
        )

    def tensors(self) -> dict[str, Tensor]:
        """For an adapter file."""
        return {
            name: torch.from_numpy(getattr(self, name))
            for name in ("roots", "feature", "threshold", "children", "leaf")
        }

    @staticmethod
    def from_tensors(tensors: Mapping[str, Tensor], features: int, rows: int) -> Forest:
        """Inverse of `tensors` for pixels of so many ``features``.

        Raises
        ------
        AdapterError
            Arrays are missing, or do not make trees that end.
        """
        try:
            forest = Forest(
                tensors["roots"].numpy(),
                tensors["feature"].numpy(),
                tensors["threshold"].numpy(),
                tensors["children"].numpy(),
                tensors["leaf"].numpy(),
            )
            sound = _sound(forest, features, rows)
        except (KeyError, IndexError, TypeError, ValueError):
            sound = False
        if not sound:
            raise AdapterError(DAMAGED)
        return forest


def _sound(forest: Forest, features: int, rows: int) -> bool:
    """Whether every walk stays inside the arrays and ends in a leaf."""
    count = len(forest.feature)
    expected: list[tuple[NDArray[Any], Any, tuple[int, ...]]] = [
        (forest.roots, np.int32, (len(forest.roots),)),
        (forest.feature, np.int16, (count,)),
        (forest.threshold, np.float32, (count,)),
        (forest.children, np.int32, (count, 2)),
        (forest.leaf, np.uint8, (count, rows)),
    ]
    if any(array.dtype != kind or array.shape != shape for array, kind, shape in expected):
        return False
    node = np.arange(count)[:, None]
    is_leaf = forest.feature[:, None] < 0
    onward = np.where(is_leaf, forest.children == node, forest.children > node)
    return bool(
        len(forest.roots)
        and forest.roots.min() >= 0
        and forest.roots.max() < count
        and forest.feature.min() >= -1
        and forest.feature.max() < features
        and forest.children.max() < count
        and onward.all()
    )


def grow(
    values: NDArray[np.float32],
    targets: NDArray[np.int64],
    rows: int,
    trees: int,
    *,
    seed: int = 0,
    jobs: int = 1,
    begin: Forest | None = None,
) -> Generator[float, None, Forest]:
    """Grow a forest on ``values`` (M, D) and ``targets`` (M,) in 0..rows-1; yields the share of new trees grown.

    Rows that never occur in ``targets`` get probability 0; without any sample that is all of them. ``jobs`` trees grow
    at the same time. ``begin`` holds the first of the ``trees``, a multiple of `TREES_AT_ONCE` of them, grown here with
    the same arguments before: the whole is then the same as if it had been grown in one go.
    """
    if not len(targets):
        return _bare(rows)
    there = 0 if begin is None else len(begin.roots)
    grown: list[tuple[NDArray[Any], ...]] = []
    while there + len(grown) < trees:
        count = min(TREES_AT_ONCE, trees - there - len(grown))
        model = ExtraTreesClassifier(
            n_estimators=count,
            max_features=FEATURE_SHARE,
            min_samples_leaf=FEWEST_IN_LEAF,
            random_state=(seed * 1009 + there + len(grown)) % 2**31,
            n_jobs=jobs,
        ).fit(values, targets)
        grown += [_arrays(one.tree_, model.classes_, rows) for one in model.estimators_]
        yield len(grown) / (trees - there)
    new = [Forest(np.zeros(1, np.int32), *arrays) for arrays in grown]
    return _joined(new if begin is None else [begin, *new])


def _joined(forests: Sequence[Forest]) -> Forest:
    """All their trees, in order."""
    starts = np.cumsum([0, *(len(one.feature) for one in forests)])[:-1]
    pairs = list(zip(forests, starts, strict=True))
    return Forest(
        np.concatenate([one.roots + start for one, start in pairs]).astype(np.int32),
        np.concatenate([one.feature for one in forests]),
        np.concatenate([one.threshold for one in forests]).astype(np.float32),
        np.concatenate([one.children + start for one, start in pairs]).astype(np.int32),
        np.concatenate([one.leaf for one in forests]).astype(np.uint8),
    )


@cache
def _node_kinds() -> np.dtype[Any]:
    """Fields of a node in this release of scikit-learn."""
    grown = ExtraTreesClassifier(n_estimators=1).fit(np.zeros((2, 1)), [0, 1])
    kinds: np.dtype[Any] = grown.estimators_[0].tree_.__getstate__()["nodes"].dtype
    return kinds


def _bare(rows: int) -> Forest:
    """A single leaf that knows nothing."""
    return Forest(
        np.zeros(1, np.int32),
        np.full(1, -1, np.int16),
        np.zeros(1, np.float32),
        np.zeros((1, 2), np.int32),
        np.zeros((1, rows), np.uint8),
    )


def _arrays(tree: Any, classes: NDArray[np.int64], rows: int) -> tuple[NDArray[Any], ...]:
    """Feature, threshold, children and leaf values of one tree of scikit-learn, its nodes counted from 0."""
    left, right = tree.children_left, tree.children_right
    is_leaf = left < 0
    itself = np.arange(len(left))
    children = np.stack([np.where(is_leaf, itself, left), np.where(is_leaf, itself, right)], 1)
    values = tree.value[:, 0]
    leaf = np.zeros((len(left), rows), np.uint8)
    share = values / values.sum(1, keepdims=True)
    leaf[:, classes] = np.where(is_leaf[:, None], np.rint(share * TOP), 0)
    feature = np.where(is_leaf, -1, tree.feature).astype(np.int16)
    threshold = np.where(is_leaf, 0, tree.threshold)
    return feature, threshold, children, leaf
