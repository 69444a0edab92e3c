"""Painted slices through the frozen prefix: whole, or of large ones the frames that show paint."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from napari_salt.model.drawing import Painting
from napari_salt.records import StepReport
from napari_salt.regions import is_large, with_regions

if TYPE_CHECKING:
    from napari_salt.model.encoder import EncodedSlice, Encoder
    from napari_salt.records import AnnotatedSlice, Label, Planes


def encode_painted(
    encoder: Encoder,
    planes: Planes,
    painted: Sequence[AnnotatedSlice],
    labels: Sequence[Label],
    seed: int,
) -> Generator[StepReport, None, list[EncodedSlice] | Painting]:
    """What `TrainingSet` takes of the ``painted`` slices of a stack, in their order.

    ``labels`` and ``seed`` decide which pixels of large slices are drawn, and so which frames are encoded. A report
    comes before each slice and after each pass through the network, where a stop may come, and one at the end.
    """
    if is_large(planes.info):
        found: list[EncodedSlice] | Painting = yield from _large(
            encoder, planes, painted, labels, seed
        )
    else:
        found = yield from _whole(encoder, planes, painted)
    yield StepReport("embedding", len(painted), len(painted))
    return found


def _whole(
    encoder: Encoder, planes: Planes, painted: Sequence[AnnotatedSlice]
) -> Generator[StepReport, None, list[EncodedSlice]]:
    encoded, progress = [], _Progress(len(painted))
    for number, one in enumerate(painted):
        now = progress(number)
        yield now
        found = None
        for found in encoder.steps(planes, one.index):
            if found is None:
                yield now
        assert found is not None
        encoded.append(found)
    return encoded


def _large(
    encoder: Encoder,
    planes: Planes,
    painted: Sequence[AnnotatedSlice],
    labels: Sequence[Label],
    seed: int,
) -> Generator[StepReport, None, Painting]:
    part, painting, progress = with_regions(planes), Painting(), _Progress(len(painted))
    layout = encoder.framing.layout(*planes.info.shape[1:])
    drawing = Painting.draw(painted, layout, labels, seed)
    for number, (one, drawn) in enumerate(zip(painted, drawing, strict=True)):
        now = progress(number)
        yield now
        frames = []
        for found in encoder.painted_steps(part, one.index, drawn):
            if found is not None:
                frames.append(found)
            yield now
        painting.add(drawn, frames)
    return painting


class _Progress:
    """Reports of how many of ``total`` slices are done, with the seconds that the others may take."""

    def __init__(self, total: int) -> None:
        self._total, self._began = total, time.monotonic()

    def __call__(self, done: int) -> StepReport:
        left = None
        if done:
            left = (time.monotonic() - self._began) / done * (self._total - done)
        return StepReport("embedding", done, self._total, seconds_left=left)
