"""The methods of the comparison, one file each, all behind one function ``train(case) -> Trained``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_salt.model.thresholds import FEW

if TYPE_CHECKING:
    from data import Dataset
    from protocol import Case

RECIPE = "16"
"""State of our own defaults. Raise it whenever a change of the package changes results: the tables then leave out
what an earlier recipe gave, and its runs are done again."""

PENDING = 16
"""Changes nearly everything, by a little, since `thresholds` came with recipe 15 and, for several labels, got mended
with this one: what older recipes gave stands until it is run again, and is marked in the tables. Strokes are not
concerned, nor many slices of the painted stack."""
ONE_LABEL = frozenset(
    {"nuclei", "nuclei_3d", "vessels", "coins", "lung_tumour", "brain_tumour", "light_sheet"}
)
"""Sets that `PENDING` leaves as recipe 15 had them."""

OLDEST = 4
"""Results of an earlier recipe than this stand nowhere."""

_NOISY = frozenset({"brain_tissue/degraded", "brain_regions/degraded", "vessels"})
_ELSEWHERE = frozenset(
    f"{name}/{variant}"
    for name in ("brain_regions", "brain_tissue", "nuclei")
    for variant in ("degraded", "transfer")
)
_TOLD_BY_INTENSITY = frozenset({"brain_tissue/degraded", "brain_tissue/transfer"})


@dataclass(frozen=True)
class Change:
    """What a ``recipe`` changed: results of earlier ones on these ``tasks``, for ``fewest`` to ``most`` slices."""

    recipe: int
    tasks: frozenset[str]
    fewest: int = 1
    most: int = 1000

    def concerns(self, recipe: int, task: str, n: int) -> bool:
        """Whether a result of this recipe would be another one now."""
        return recipe < self.recipe and task in self.tasks and self.fewest <= n <= self.most


CHANGES = (
    # neighbouring slices decide together where `noise.measure_noise` finds noise
    Change(5, _NOISY),
    # rows are scaled where `mixing.choose_row_scale` finds it worth it
    Change(6, frozenset({"vessels"})),
    # other stacks than the painted one have a head and an adapter of their own, see `other_stacks`
    Change(7, _ELSEWHERE),
    # of many slices five are seen through the instruments, see `instruments.slices_to_see`; with fewer only the order
    # in which they are seen has changed
    Change(8, _ELSEWHERE, fewest=6),
    # where the queries have no say no instruments are looked through; of these tasks that is so on tissue alone
    Change(9, _TOLD_BY_INTENSITY),
    # where labels are told by intensity, that is where the queries have less say than usual, features tell the contrast
    # of another stack, see `likeness`, and no instruments are looked through
    Change(10, _TOLD_BY_INTENSITY),
    # forests look along the stack where `look_along` finds it worth it; of all cases it does in some choices of these
    Change(11, frozenset({"nuclei_3d"})),
    Change(11, frozenset({"vessels", "brain_tissue"}), most=1),
    Change(11, frozenset({"nuclei/scribbles", "brain_tissue/scribbles"}), fewest=3, most=3),
    Change(11, frozenset({"phantom_ct"}), fewest=5, most=5),
    Change(11, frozenset({"brain_tissue/scribbles"}), fewest=10),
    # a stack of the painted range and noise is seen as the painted one; the others of these sets are not alike, or
    # nothing was learned through instruments for them
    Change(12, frozenset({"nuclei/next", "phantom_ct/next"}), most=1),
    # with one slice of many things rows are scaled up where parts of it ask for that; of sets of many things these do
    Change(13, frozenset({"vessels", "concrete"}), most=1),
    # the queries keep their say where every share tells nearly all that was left out
    Change(14, frozenset({"coins/scribbles"})),
)
"""What each recipe changed, and where."""


def still_stands(recipe: str, task: str, n: int) -> bool:
    """Whether results of an earlier ``recipe`` of ours are what the present one would give."""
    if not recipe.isdecimal() or int(recipe) < OLDEST:
        return False
    return not any(change.concerns(int(recipe), task, n) for change in CHANGES)


def is_marked(recipe: str, task: str, n: int) -> bool:
    """Whether a result of ours that stands lacks what the `PENDING` recipe changed."""
    number, (name, _, variant) = recipe.partition("/")[0], task.partition("/")
    wanted = PENDING - 1 if name in ONE_LABEL else PENDING
    untouched = variant == "scribbles" or (not variant and n > FEW)
    return number.isdecimal() and int(number) < wanted and not untouched


Segment = Callable[["Dataset", Sequence[int]], Iterator[NDArray[np.unsignedinteger]]]
"""Slices of a stack in, one label image ``(Y, X)`` each out, 0 = none of the labels."""


@dataclass(frozen=True)
class Trained:
    """What a method made of the paint; ``note`` is anything the table should tell.

    ``kept`` and ``held_out`` are what our own fit says of itself: which state it kept, and the Dice of the first fit
    and of that state on slices it left out.
    """

    segment: Segment
    parameters: int | None = None
    size_bytes: int | None = None
    note: str = ""
    kept: str = ""
    held_out: tuple[float, float] | None = None


@dataclass(frozen=True)
class Method:
    """A row of the tables: its key, what it is in words, and the module with its ``train``."""

    key: str
    title: str
    module: str
    options: tuple[tuple[str, str], ...] = ()

    @property
    def recipe(self) -> str:
        """State of the method that a result belongs to; results of another state do not count."""
        return RECIPE if self.module == "ours" else ""

    def stands(self, recipe: str, task: str, n: int) -> bool:
        """Whether a result of ``recipe`` is what the present state would give."""
        return recipe == self.recipe or (self.module == "ours" and still_stands(recipe, task, n))

    def prepare(self) -> None:
        """Load what stays in memory from run to run, outside of the timing."""
        module = import_module(f"methods.{self.module}")
        if hasattr(module, "prepare"):
            module.prepare()

    def train(self, case: Case) -> Trained:
        """Fit to the paint of the case."""
        return import_module(f"methods.{self.module}").train(case, **dict(self.options))


METHODS = {
    method.key: method
    for method in (
        Method("filters-forest", "filters + coordinates → random forest", "filters_forest"),
        Method("features-forest", "frozen features → random forest", "features_forest"),
        Method("probe", "frozen features → linear probe", "linear_probe"),
        Method("text-decoder", "text token → SAM decoder, trained", "text_decoder"),
        Method("unet", "small U-Net from scratch", "unet"),
        Method("none", "ours, first fit alone", "ours", (("kind", "none"),)),
        Method("lora", "ours, LoRA", "ours", (("kind", "lora"),)),
        Method("ssam", "ours, S-SAM", "ours", (("kind", "ssam"),)),
        Method("full", "ours, tail fully tuned", "ours", (("kind", "full"),)),
        Method("salt", "ours, SALT", "ours", (("kind", "salt"),)),
    )
}

TURNS = (
    ("filters-forest", "none", "salt", "probe"),
    ("features-forest", "lora", "ssam"),
    ("full", "unet", "text-decoder"),
)
"""What is run on every case before the next turn begins, so that a run cut short has the comparisons that matter."""


def turn(key: str) -> int:
    """Number of the turn in which a method, or a variant of it, is run."""
    base = key.partition("@")[0]
    return next((i for i, keys in enumerate(TURNS) if base in keys), len(TURNS))


def method(spec: str) -> Method:
    """A method by its key, or a variant of it: ``salt@low_rank=4,steps=20`` changes the settings of ours."""
    key, _, changes = spec.partition("@")
    if key not in METHODS:
        raise KeyError(f"unknown method {key!r}; known: {', '.join(METHODS)}")
    known = METHODS[key]
    if not changes:
        return known
    options = tuple(tuple(change.split("=", 1)) for change in changes.split(","))
    return Method(spec, f"{known.title}, {changes}", known.module, known.options + options)
