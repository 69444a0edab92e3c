"""napari-salt itself, through its public functions, with default settings unless a variant asks for others.

Methods that differ in the adapter alone share the encoded slices, the first fit and its folds, and equal
adapters share their masks (see `shared`): each is charged the seconds that the shared part had cost.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from methods import Trained
from napari_salt.model import probe
from napari_salt.model.adapter_file import AdapterFile, save_adapter
from napari_salt.model.backbones.registry import warm_backbone
from napari_salt.model.fit import FitOutcome, fit
from napari_salt.model.label_prompts import embed_names
from napari_salt.model.predict import predict
from napari_salt.records import FitSettings, Label, Planes, StackInfo
from overrides import override
from shared import TimedCache, digest, kept, kept_generator

if TYPE_CHECKING:
    from data import Dataset
    from napari_salt.records import AnnotatedSlice
    from protocol import Case

T = TypeVar("T")

SHARED_FITS = ("fit_all", "fit_folds")
"""Functions of `probe` whose result depends on nothing but their arguments and the sources."""


class ArrayPlanes:
    """A data set as the stack that the model reads plane by plane."""

    def __init__(self, dataset: Dataset) -> None:
        self._images = dataset.images
        self.info = StackInfo(
            shape=dataset.labels.shape,
            channels=3 if dataset.rgb else 1,
            rgb=dataset.rgb,
            dtype=str(dataset.images.dtype),
            name=dataset.name,
        )

    def plane(self, index: int) -> NDArray[Any]:
        """Slice ``index`` as ``(Y, X)`` or ``(Y, X, 3)``."""
        return self._images[index]


def prepare() -> None:
    """Load the weights, which no method is timed for: they stay in memory between jobs of the plugin too."""
    warm_backbone(FitSettings().backbone)
    embed_names(["background"])


def train(case: Case, **options: str) -> Trained:
    """Fit with these settings (`FitSettings` by field, as text) and keep what `fit` keeps."""
    settings = replace(FitSettings(), **{key: _value(text) for key, text in options.items()})
    outcome = adapt(ArrayPlanes(case.train), case.annotated, case.train.names, settings)

    def segment(dataset: Dataset, slices: Sequence[int]) -> Iterator[NDArray[np.unsignedinteger]]:
        yield from masks(dataset, outcome.adapter, slices)

    return trained(outcome, segment, elsewhere=case.test is not case.train)


def adapt(
    planes: Planes,
    annotated: Sequence[AnnotatedSlice],
    names: dict[int, str],
    settings: FitSettings,
    *,
    init: AdapterFile | None = None,
    context: Any = None,
) -> FitOutcome:
    """Run `fit` to its end; ``context`` is whatever else decides the first fit, such as changed constants."""
    painted = set().union(*(np.unique(paint.targets).tolist() for paint in annotated))
    labels = [Label(key, name) for key, name in names.items() if key in painted]
    with ExitStack() as stack:
        # a time budget counts seconds on the clock, so nothing may be had for free there
        if settings.time_budget is None:
            for name in SHARED_FITS:
                ready = kept_generator(name, getattr(probe, name), context)
                stack.enter_context(override(f"napari_salt.model.probe.{name}", ready))
        return run(fit(planes, annotated, labels, settings, init=init, cache=TimedCache()))


def masks(
    dataset: Dataset, adapter: AdapterFile, slices: Sequence[int], context: Any = None
) -> list[NDArray[np.unsignedinteger]]:
    """Label images of some slices."""
    told = asdict(adapter.info)
    for how in (
        "record",
        "created",
        "kind",
        "rank",
        "low_rank",
    ):  # how it came to be, not what it is
        told.pop(how)
    content = (told, dict(adapter.tensors), dataset.images, tuple(slices), context)
    return kept("masks", digest(content), lambda: _masks(dataset, adapter, slices))


def _masks(
    dataset: Dataset, adapter: AdapterFile, slices: Sequence[int]
) -> list[NDArray[np.unsignedinteger]]:
    found = predict(ArrayPlanes(dataset), adapter, list(slices), cache=TimedCache())
    # None is a breath between the passes of one slice
    return [prediction.labels for prediction in found if prediction is not None]


def trained(outcome: FitOutcome, segment: Any, *, elsewhere: bool) -> Trained:
    """What the tables tell of a fit, of what it is on the painted stack or ``elsewhere``."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "adapter.salt.safetensors"
        save_adapter(path, outcome.adapter)
        size = path.stat().st_size
    record = outcome.record
    scores, steps = (record.held_out_before, record.held_out_after), record.steps
    if elsewhere:
        steps = record.elsewhere_steps
        scores = (
            record.elsewhere_before,
            record.elsewhere_after if steps else record.elsewhere_before,
        )
    before, after = scores
    held_out = None if before is None or after is None else (round(before, 4), round(after, 4))
    kept = "adapted" if steps else "first fit"
    note = f"kept {kept} after {steps} steps"
    return Trained(segment, record.trainable_parameters, size, note, kept, held_out)


def run(work: Generator[Any, None, T]) -> T:
    """Run a generator to its end and hand out what it returns."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
