"""Masks of a slice that is too large to be held, window by window: the same as those of the whole slice."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor

from napari_salt.model.decide import Decision, Tally, decide
from napari_salt.model.large_slice import Window, blocks, padded, windows
from napari_salt.model.resampling import Axis, resize_part
from napari_salt.records import SlicePrediction
from napari_salt.regions import with_regions
from napari_salt.scratch import scratch

if TYPE_CHECKING:
    from napari_salt.model.encoder import Encoder
    from napari_salt.model.framing import Layout
    from napari_salt.model.head import FrameMaps
    from napari_salt.model.segmenter import Segmenter
    from napari_salt.records import Label, Planes

BLOCK_VALUES = 2 * 1024**2
"""Probabilities that are decided on at once."""

T = TypeVar("T")
Block = tuple[slice, slice, Decision]
"""Rows and columns of the slice, and what was decided there."""


def segment_large(
    segmenter: Segmenter,
    encoder: Encoder,
    planes: Planes,
    index: int,
    labels: Sequence[Label],
    chosen: Sequence[Label] | None = None,
    tell: Callable[[str], None] | None = None,
) -> Generator[SlicePrediction | None, None, None]:
    """Masks of slice ``index``, as `segment_slices.segment_slices`; the arrays of the result lie in temporary files.

    ``tell`` is called with how far it has got.
    """
    run = LargeRun(segmenter, encoder, planes, index, labels, chosen)
    size = run.slice.layout.size
    image, unsure = scratch(size, run.tally.ids.dtype), scratch(size, np.float16)
    for number, window in enumerate(run.windows):
        if tell is not None:
            tell(f"slice {index}: part {number + 1} of {len(run.windows)}")
        for found in run.segment(window):
            if found is None:
                yield None
                continue
            rows, columns, decision = found
            image[rows, columns] = decision.labels
            unsure[rows, columns] = decision.uncertainty
        image.release()
        unsure.release()
    yield SlicePrediction(index, image, unsure, run.tally.summary(index))


class LargeRun:
    """Segments windows of one slice in any order; frames are kept until the last of ``windows`` that needs them."""

    def __init__(
        self,
        segmenter: Segmenter,
        encoder: Encoder,
        planes: Planes,
        index: int,
        labels: Sequence[Label],
        chosen: Sequence[Label] | None = None,
    ) -> None:
        info = planes.info
        self.tally = Tally(labels, chosen)
        self.slice = encoder.large_slice(with_regions(planes), index)
        self.windows = windows(self.slice.layout, info.channels, len(labels) + 1)
        self._segmenter, self._encoder, self._index = segmenter, encoder, index
        self._maps: dict[int, FrameMaps] = {}
        self._last_use = {frame: window for window in self.windows for frame in window.frames}

    def segment(self, window: Window) -> Generator[Block | None, None, None]:
        """Decisions on all pixels of a window; None after each pass through the network."""
        yield from self._look_at([frame for frame in window.frames if frame not in self._maps])
        yield from self._decide(window)
        for frame in window.frames:
            if self._last_use[frame] is window:
                del self._maps[frame]

    def glimpse(self, count: int) -> Generator[Decision | None, None, None]:
        """Decisions on ``count`` blocks spread over the slice, or a few more; None as in `segment`."""
        for window in _spread(self.windows, count):
            yield from self._look_at([frame for frame in window.frames if frame not in self._maps])
            for found in self._decide(window, -(-count // len(self.windows))):
                yield found[2]

    def _look_at(self, frames: Sequence[int]) -> Generator[None, None, None]:
        """Queries and directions of frames that are new."""
        segmenter, encoder = self._segmenter, self._encoder

        def run(part: slice) -> None:
            with torch.inference_mode():
                pixels = self.slice.frames(frames[part])
                taps = segmenter.look(encoder, pixels)
                maps = segmenter.head.frame_maps(taps)
                for i, frame in enumerate(frames[part]):
                    self._maps[frame] = maps.frame(i)
                    self.tally.look(taps["neck"][i : i + 1], self.slice.layout)

        for _ in encoder.batches.run(len(frames), run):
            yield None

    def _decide(self, window: Window, count: int | None = None) -> Generator[Block, None, None]:
        """Decisions on the blocks of a window, or on ``count`` of them; its frames have been looked at."""
        layout, detail = self.slice.layout, self.slice.layout.detail
        rows, columns = padded(window.rows, detail[0]), padded(window.columns, detail[1])
        with torch.inference_mode():
            view = self.slice.view(rows, columns, window.frames)
            maps = [self._maps[frame] for frame in window.frames]
            probabilities = self._segmenter.head.assemble(view, maps, self._index).cpu()
        most = BLOCK_VALUES // len(probabilities)
        whole = list(blocks(window, layout, most))
        for down, across in whole if count is None else _spread(whole, count):
            with torch.inference_mode():
                part = _enlarged(probabilities, (rows.start, columns.start), layout, down, across)
            decision = decide(part.numpy(), self.tally.ids)
            self.tally.add(part.numpy(), decision)
            yield down, across, decision


def _spread(things: Sequence[T], count: int) -> list[T]:
    """At most ``count`` of them, evenly spread."""
    places = (np.arange(min(count, len(things))) + 0.5) * len(things) / min(count, len(things))
    return [things[int(place)] for place in places]


def _enlarged(
    probabilities: Tensor, begin: tuple[int, int], layout: Layout, rows: slice, columns: slice
) -> Tensor:
    """(K + 1, h, w): probabilities at pixels of the slice, from those of the detail grid that begin at ``begin``."""
    down, across = (
        Axis(detail, length, part.start, part.stop)
        for detail, length, part in zip(layout.detail, layout.size, (rows, columns), strict=True)
    )
    (top, bottom), (left, right) = down.needed, across.needed
    near = probabilities[:, top - begin[0] : bottom - begin[0], left - begin[1] : right - begin[1]]
    return resize_part(near, (top, left), down, across)
