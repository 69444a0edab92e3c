"""napari-salt itself, through its public functions, with default settings unless a variant asks for others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from methods import Trained
from napari_salt.model.adapter_file import save_adapter
from napari_salt.model.fit import fit
from napari_salt.model.predict import predict
from napari_salt.records import FitSettings, Label, StackInfo

if TYPE_CHECKING:
    from data import Dataset
    from protocol import Case


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


def train(case: Case, **options: str) -> Trained:
    """Fit with these settings (`FitSettings` by field, as text) and keep what `fit` keeps."""
    labels = [Label(key, name) for key, name in case.train.names.items() if _painted(case, key)]
    settings = replace(FitSettings(), **{key: _value(text) for key, text in options.items()})
    fitting = fit(ArrayPlanes(case.train), case.annotated, labels, settings)
    outcome = _result(fitting)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "adapter.salt.safetensors"
        save_adapter(path, outcome.adapter)
        size = path.stat().st_size
    record = outcome.record

    def segment(dataset: Dataset, slices: Sequence[int]) -> Iterator[NDArray[np.unsignedinteger]]:
        for found in predict(ArrayPlanes(dataset), outcome.adapter, list(slices)):
            if found is not None:  # a breath between the passes of one slice
                yield found.labels

    note = f"kept {record.kept}, held out {record.held_out_before} -> {record.held_out_after}"
    return Trained(segment, record.trainable_parameters, size, note)


def _painted(case: Case, label_id: int) -> bool:
    return any((paint.targets == label_id).any() for paint in case.annotated)


def _result(fitting: Iterator[Any]) -> Any:
    """Run a generator to its end and hand out what it returns."""
    while True:
        try:
            next(fitting)
        except StopIteration as stop:
            return stop.value


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
