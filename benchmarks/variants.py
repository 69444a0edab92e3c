"""What the ablation tries: the default recipe of SALT with one thing changed at a time.

To add one, append a line to `VARIANTS`: what to call it, which table group it belongs to, and what it changes:
``settings`` by field of `FitSettings`, ``changes`` by dotted name of a constant of the package (``NAME[key]`` for one
entry, `Times` for a factor). A name that the package does not have is refused when the ablation starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from methods import RECIPE, Trained
from methods import ours as product
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
    slices but the last one (only the second fit is timed).
    """

    key: str
    group: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    views: str = ""
    warm: bool = False

    @property
    def recipe(self) -> str:
        """State of the recipe and of this variant's own definition."""
        parts = [self.key, _told(self.settings), _told(self.changes), self.views, self.warm]
        return f"{RECIPE}/{digest(parts)[:8]}"

    def check(self) -> None:
        """`LookupError` where the package does not have what this changes."""
        unknown = set(self.settings) - {each.name for each in fields(FitSettings)}
        if unknown:
            raise LookupError(f"{self.key}: FitSettings has no {', '.join(sorted(unknown))}")
        if self.views and self.views not in VIEWS:
            raise LookupError(f"{self.key}: there are no views {self.views!r}")
        check(self.changes)

    def prepare(self) -> None:
        """Load the weights."""
        product.prepare()

    def train(self, case: Case) -> Trained:
        """Fit to the paint of the case with what this variant changes."""
        changes = dict(self.changes)
        train, annotated = case.train, case.annotated
        if self.views:
            train, annotated = _with_views(train, annotated, self.views)
            # a slice and its view stay in one fold, or a fold would know what it is asked
            changes[MODEL + "probe.MOST_FOLDS"] = _folds(len(case.annotated))
        context = _told({k: v for k, v in changes.items() if not k.startswith(AFTER_THE_FITS)})
        settings = replace(FitSettings(), **self.settings)
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

        return product.trained(outcome, segment)


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


@torch.no_grad()
def from_zero(self: Any, queries: Tensor, bias: Tensor) -> None:
    """Instead of the convex fit: queries that know nothing yet."""
    self.text_map.zero_()
    self.residual.zero_()
    self.bias.zero_()


TAIL = MODEL + "backbones.lite_medsam.DEFAULT_TAIL_BLOCKS"
TUNE = MODEL + "fine_tune."
PRIOR = MODEL + "probe.PRIOR_WEIGHTS"

DEFAULT = Variant("default", "")

VARIANTS = (
    DEFAULT,
    Variant("first fit alone", "adapter", {"kind": "none"}),
    Variant("LoRA", "adapter", {"kind": "lora"}),
    Variant("S-SAM", "adapter", {"kind": "ssam"}),
    Variant("rank 8", "rank", {"rank": 8}),
    Variant("rank 128", "rank", {"rank": 128}),
    Variant("low rank 0", "low rank", {"low_rank": 0}),
    Variant("low rank 32", "low rank", {"low_rank": 32}),
    Variant("neck alone", "blocks adapted", changes={TAIL: 0}),
    Variant("6 more blocks", "blocks adapted", changes={TAIL: 8}),
    Variant("all rates × 0.3", "learning rates", changes={TUNE + "RATES": Times(0.3)}),
    Variant("all rates × 3", "learning rates", changes={TUNE + "RATES": Times(3)}),
    Variant("low rank × 0.1", "learning rates", changes={TUNE + "RATES[low_rank]": Times(0.1)}),
    Variant("queries fixed", "learning rates", changes={TUNE + "QUERY_RATE": 0.0}),
    Variant("queries × 10", "learning rates", changes={TUNE + "QUERY_RATE": Times(10)}),
    Variant("8 steps", "steps", {"steps": 8}),
    Variant("32 steps", "steps", {"steps": 32}),
    Variant("kept unless it loses", "guard", changes={MODEL + "tuning.WORTH": -1.0}),
    Variant("kept only if it gains .01", "guard", changes={MODEL + "tuning.WORTH": 0.01}),
    Variant("mirrored as well", "augmentation", views="mirrored"),
    Variant("recontrasted as well", "augmentation", views="recontrasted"),
    Variant("cross entropy + Dice", "loss", changes={TUNE + "DICE_SHARE": 1.0}),
    Variant("without filters", "prompt head", changes={PRIOR + "[appearance]": 0.0}),
    Variant("without place", "prompt head", changes={PRIOR + "[place]": 0.0}),
    Variant("without deep features", "prompt head", changes={PRIOR + "[deep]": 0.0}),
    Variant("text encoder off", "text encoder", changes={MODEL + "fit.embed_names": one_hot}),
    Variant("warm, from n - 1 slices", "start", warm=True),
    Variant(
        "queries from zero",
        "start",
        {"steps": 32},
        {MODEL + "head.LabelHead.set_queries": from_zero, TUNE + "QUERY_RATE": 1e-2},
    ),
)
