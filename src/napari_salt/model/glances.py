"""A painted slice as an instrument shows it, kept small: what the tail needs, and what a head needs at some pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from napari_salt.model.device import autocast
from napari_salt.model.encoder import EncodedSlice, Encoder
from napari_salt.model.features import SampledView
from napari_salt.model.framing import Intensity
from napari_salt.model.instruments import SeenPlanes
from napari_salt.model.large_paint import DrawnPixels
from napari_salt.regions import with_regions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_salt.model.drawing import TrainingSlice
    from napari_salt.model.features import SliceView, Taps


@dataclass(frozen=True, eq=False)
class Glance:
    """One frame of a painted slice, and M drawn pixels that it shows.

    ``tail_input`` (1, …), ``fixed`` the taps (M, C) that no adapter changes, by name, ``detail`` (M, D) filters and
    place, ``targets`` (M,) rows of the head, ``fold`` (M,) what is left out together, ``volume`` (M, V)
    `volume_filters`, where they are looked at. ``key`` tells the number of the painted slice and of the frame.
    """

    key: tuple[int, int]
    view: SliceView
    tail_input: Tensor
    fixed: dict[str, Tensor]
    rows: Tensor
    columns: Tensor
    detail: Tensor
    targets: Tensor
    fold: Tensor
    volume: Tensor | None = None

    def tail_taps(self, tail: nn.Module) -> Tensor:
        """(M, C) taps of the ``tail`` at the pixels, in its order; differentiable in it."""
        with autocast(self.tail_input.device):
            found = tail(self.tail_input)
        seen = {name: values.float() for name, values in found.items()}
        return self.view.taps_at(seen, self.rows, self.columns)

    @torch.no_grad()
    def taps(self, taps: Taps, tail: nn.Module) -> Tensor:
        """(M, C) of all ``taps`` in order, not standardised, on the CPU."""
        lengths = [length for name, length in taps if name not in self.fixed]
        names = [name for name, _ in taps if name not in self.fixed]
        parts = dict(zip(names, self.tail_taps(tail).cpu().split(lengths, 1), strict=True))
        parts |= self.fixed
        return torch.cat([parts[name] for name, _ in taps], 1)


def glances_at(frames: Sequence[TrainingSlice], kept: Sequence[Tensor]) -> list[Glance]:
    """The frames of a slice, each at those of its drawn pixels that are ``kept`` (indices)."""
    return [
        _glance(one, at, place) for place, (one, at) in enumerate(zip(frames, kept, strict=True))
    ]


def _glance(one: TrainingSlice, kept: Tensor, place: int) -> Glance:
    view, encoded = one.encoded.view, one.encoded
    detail = view.samples_at(one.rows, one.columns)[kept]
    part = one.at(kept)
    fixed = {
        name: view.taps_at({name: values.float()}, part.rows, part.columns).cpu()
        for name, values in encoded.taps.items()
    }
    volume = None if view.volume is None else view.volume_at(part.rows, part.columns)
    bare = replace(view, filters=view.filters[:, :0, :0], volume=None)  # the rest is not held
    return Glance(
        *((one.number, place), bare, encoded.tail_input, fixed, part.rows, part.columns),
        *(detail, part.targets, part.fold, volume),
    )


def seen_through(
    encoder: Encoder, planes: SeenPlanes, frames: Sequence[TrainingSlice], *, volume: bool = False
) -> Iterator[list[TrainingSlice] | None]:
    """The ``frames`` of one painted slice as an instrument shows them; None after each pass, the frames at the end.

    ``encoder`` is that of the painted stack; with ``volume`` the slices beside are looked at as well.
    """
    channels = len(encoder.intensity.low)
    seeing = Encoder(
        encoder.backbone,
        Intensity((0.0,) * channels, (1.0,) * channels, "window"),
        encoder.framing,
        cache=encoder.cache,
        device=encoder.device,
        along_stack=False,
        volume=volume,
    )
    index = frames[0].index
    found: list[EncodedSlice] = []
    large = isinstance(frames[0].encoded.view, SampledView)
    if large:
        steps = seeing.painted_steps(with_regions(planes), index, _drawn(encoder, planes, frames))
    else:
        steps = seeing.steps(planes, index)
    for encoded in steps:
        if encoded is None:
            yield None
        else:
            found.append(encoded)
    if not large:
        found = [_frame(found[0], one) for one in frames]
    yield [replace(one, encoded=seen) for one, seen in zip(frames, found, strict=True)]


def _drawn(encoder: Encoder, planes: SeenPlanes, frames: Sequence[TrainingSlice]) -> DrawnPixels:
    """The pixels of all ``frames`` of a large slice, and the number of the frame that each lies in."""
    origins = encoder.framing.layout(*planes.info.shape[1:]).origins
    numbers = [origins.index(one.encoded.view.layout.origins[0]) for one in frames]
    owners = [torch.full((len(one.rows),), n) for one, n in zip(frames, numbers, strict=True)]

    def joined(each: Iterable[Tensor]) -> NDArray[Any]:
        return torch.cat(list(each)).numpy()

    return DrawnPixels(
        rows=joined(one.rows for one in frames),
        columns=joined(one.columns for one in frames),
        targets=joined(one.targets for one in frames),
        weights=joined(one.weights for one in frames),
        frames=joined(owners),
    )


def _frame(whole: EncodedSlice, one: TrainingSlice) -> EncodedSlice:
    """Of a whole slice the frame that ``one`` shows."""
    return whole.frame(whole.view.layout.origins.index(one.encoded.view.layout.origins[0]))
