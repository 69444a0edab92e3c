"""What the ablation tries: the default recipe of SALT with one thing changed at a time.

To add one, append a line to `VARIANTS`: what to call it, which table group it belongs to, and what it changes:
``settings`` by field of `FitSettings`, ``changes`` by dotted name of a constant of the package (``NAME[key]`` for one
entry, `Times` for a factor). A name that the package does not have is refused when the ablation starts.

What concerns the adapter is tried without the guard (`bare`): with it, the first fit is kept wherever fine-tuning gains
nothing on the slices left out, and every rank would look alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from methods import RECIPE, Trained, still_stands
from methods import ours as product
from napari_salt.model import tuning
from napari_salt.model.backbones.registry import warm_backbone
from napari_salt.records import AnnotatedSlice, FitSettings
from overrides import BACKBONES, Times, check, override_all
from shared import LEDGER, Stopwatch, digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from data import Dataset
    from protocol import Case

MODEL = "napari_salt.model."
AFTER_THE_FITS = tuple(MODEL + name for name in ("fine_tune.", "tuning.", "adapters."))
"""Constants that no convex fit and no prediction looks at, so that these are shared with the default."""


@dataclass(frozen=True)
class Variant:
    """The default with something changed.

    ``views`` trains on a changed copy of each painted slice as well, ``warm`` starts from an adapter of all painted
    slices but the last one (only the second fit is timed). ``bare`` takes all steps on all slices and keeps the result,
    whatever it is worth, and is compared with the default done so.
    """

    key: str
    group: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    views: str = ""
    warm: bool = False
    bare: bool = False

    @property
    def base(self) -> str:
        """Key of what it is compared with."""
        return (BARE if self.bare else DEFAULT).key

    @property
    def recipe(self) -> str:
        """State of the recipe and of this variant's own definition."""
        return f"{RECIPE}/{self._definition()}"

    def stands(self, recipe: str, task: str, n: int) -> bool:
        """Whether a result of ``recipe`` is what the present state would give."""
        state, _, definition = recipe.partition("/")
        if definition != self._definition():
            return False
        return state == RECIPE or still_stands(state, task, n)

    def _definition(self) -> str:
        settings, changes = _told(self.settings), _told(self.all_changes())
        parts = [self.key, settings, changes, self.views, self.warm, self.bare]
        return digest(parts)[:8]

    def all_changes(self) -> dict[str, Any]:
        """By dotted name, the missing guard included."""
        return {**(UNGUARDED if self.bare else {}), **self.changes}

    def check(self) -> None:
        """`LookupError` where the package does not have what this changes."""
        unknown = set(self.settings) - {each.name for each in fields(FitSettings)}
        if unknown:
            raise LookupError(f"{self.key}: FitSettings has no {', '.join(sorted(unknown))}")
        if self.views and self.views not in VIEWS:
            raise LookupError(f"{self.key}: there are no views {self.views!r}")
        check(self.all_changes())

    def prepare(self) -> None:
        """Load the weights."""
        product.prepare()

    def train(self, case: Case) -> Trained:
        """Fit to the paint of the case with what this variant changes."""
        changes = self.all_changes()
        train, annotated = case.train, case.annotated
        if self.views:
            train, annotated = _with_views(train, annotated, self.views)
            # a slice and its view stay in one fold, or a fold would know what it is asked
            changes[MODEL + "probe.MOST_FOLDS"] = _folds(len(case.annotated))
        context = _told({k: v for k, v in changes.items() if not k.startswith(AFTER_THE_FITS)})
        settings = replace(FitSettings(), **self.settings)
        if self.bare and settings.steps is None:
            settings = replace(settings, steps=tuning.DEFAULT_STEPS)
        planes, names = product.ArrayPlanes(train), train.names
        with override_all(changes):
            _load(changes)
            init = None
            if self.warm:
                watch = Stopwatch()
                earlier = product.adapt(planes, annotated[:-1], names, settings, context=context)
                init = earlier.adapter
                LEDGER.charge(-watch.seconds())
            outcome = product.adapt(planes, annotated, names, settings, init=init, context=context)

        def segment(dataset: Dataset, slices: Sequence[int]) -> Iterator[NDArray[Any]]:
            if self.views:  # the place of a slice is told by the length of its stack
                dataset, _ = _with_views(dataset, (), self.views)
            with override_all(changes):
                _load(changes)
                yield from product.masks(dataset, outcome.adapter, slices, context)

        return product.trained(outcome, segment, elsewhere=case.test is not case.train)


def _load(changes: Mapping[str, Any]) -> None:
    """Load a backbone that is cut elsewhere, without counting the time."""
    if any(name.startswith(BACKBONES) for name in changes):
        watch = Stopwatch()
        warm_backbone(FitSettings().backbone)
        LEDGER.charge(-watch.seconds())


def _told(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as text that stays the same from process to process."""
    return {key: getattr(value, "__qualname__", repr(value)) for key, value in values.items()}


def _mirrored(images: NDArray[Any]) -> NDArray[Any]:
    return images[:, :, ::-1]


def _recontrasted(images: NDArray[Any]) -> NDArray[Any]:
    low, high = np.percentile(images, [0.5, 99.5])
    unit = np.clip((images.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1)
    return (low + unit**0.7 * (high - low)).astype(images.dtype)


VIEWS = {"mirrored": _mirrored, "recontrasted": _recontrasted}


def _with_views(
    dataset: Dataset, annotated: Sequence[AnnotatedSlice], views: str
) -> tuple[Dataset, tuple[AnnotatedSlice, ...]]:
    """The stack followed by the views of all its slices, and the paint on both."""
    count, flip = len(dataset.images), views == "mirrored"
    images = np.concatenate([dataset.images, VIEWS[views](dataset.images)])
    labels = dataset.labels[:, :, ::-1] if flip else dataset.labels
    more = tuple(
        replace(
            paint,
            index=paint.index + count,
            targets=np.ascontiguousarray(paint.targets[:, ::-1] if flip else paint.targets),
        )
        for paint in annotated
    )
    doubled = replace(dataset, images=images, labels=np.concatenate([dataset.labels, labels]))
    return doubled, (*annotated, *more)


def _folds(painted: int) -> int:
    """The largest number of folds up to 5 that gives a slice and its view, ``painted`` places later, the same one."""
    return next(folds for folds in range(min(5, painted), 0, -1) if painted % folds == 0)


def one_hot(names: Sequence[str], text_model: str | None = None) -> Tensor:
    """Instead of text embeddings: names that have nothing to do with each other."""
    return torch.eye(384)[: len(names)]


TAIL = MODEL + "backbones.lite_medsam.DEFAULT_TAIL_BLOCKS"
TUNE = MODEL + "fine_tune."
PROBE = MODEL + "probe."
MIXING = MODEL + "mixing."
FOREST = MODEL + "forest."
UNGUARDED = {MODEL + "tuning.FEWEST_SLICES": 1000}
"""With so few painted slices and steps asked for, all of them are taken without a trial."""

DEFAULT = Variant("default", "")
BARE = Variant("always adapted", "guard", bare=True)


def bare(
    group: str, key: str, settings: Mapping[str, Any] | None = None, **changes: Any
) -> Variant:
    """A variant of the adapter; ``changes`` are constants of ``fine_tune``."""
    return Variant(key, group, settings or {}, {TUNE + k: v for k, v in changes.items()}, bare=True)


def shared(linear: float) -> dict[str, Any]:
    """Changes that give the queries this part of the probability everywhere."""
    return {MIXING + "LINEAR_SHARE": linear, MIXING + "SMALLER_SHARES": ()}


VARIANTS = (
    DEFAULT,
    BARE,
    Variant("first fit alone", "guard", {"kind": "none"}),
    Variant("kept only if it gains .01", "guard", changes={MODEL + "tuning.WORTH": 0.01}),
    bare("adapter", "LoRA", {"kind": "lora"}),
    bare("adapter", "LoRA, as many parameters", {"kind": "lora", "low_rank": 3}),
    bare("adapter", "S-SAM", {"kind": "ssam"}),
    bare("rank", "rank 8", {"rank": 8}),
    bare("rank", "rank 128", {"rank": 128}),
    bare("low rank", "low rank 0", {"low_rank": 0}),
    bare("low rank", "low rank 32", {"low_rank": 32}),
    Variant("neck alone", "blocks adapted", changes={TAIL: 0}, bare=True),
    Variant("6 more blocks", "blocks adapted", changes={TAIL: 8}, bare=True),
    bare("learning rates", "all rates × 0.3", RATES=Times(0.3)),
    bare("learning rates", "all rates × 3", RATES=Times(3)),
    bare("learning rates", "low rank × 0.1", **{"RATES[low_rank]": Times(0.1)}),
    bare("steps", "8 steps", {"steps": 8}),
    bare("steps", "32 steps", {"steps": 32}),
    Variant("mirrored as well", "augmentation", views="mirrored", bare=True),
    Variant("recontrasted as well", "augmentation", views="recontrasted", bare=True),
    Variant("queries alone", "prompt head", changes=shared(1.0)),
    Variant("forest alone", "prompt head", changes=shared(0.0)),
    Variant("queries and forest by halves", "prompt head", changes=shared(0.5)),
    Variant("8 directions for the forest", "prompt head", changes={PROBE + "DIRECTIONS": 8}),
    Variant("the same share everywhere", "prompt head", changes=shared(0.25)),
    Variant("24 trees", "prompt head", changes={PROBE + "TREES": 24}),
    Variant("half the features at a split", "prompt head", changes={FOREST + "FEATURE_SHARE": 0.5}),
    Variant("text encoder off", "text encoder", changes={MODEL + "fit.embed_names": one_hot}),
    Variant(
        "text encoder off, bare",
        "text encoder",
        {},
        {MODEL + "fit.embed_names": one_hot},
        bare=True,
    ),
    Variant("warm, from n - 1 slices", "start", warm=True),
    Variant("warm, from n - 1 slices, bare", "start", warm=True, bare=True),
)
