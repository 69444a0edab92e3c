"""From the features of a slice to the probability of every label.

One query per label is dotted with the standardised taps of the backbone. The query of label k is
``q_k = Σ_j C_j ⟨e_j, e_k⟩ + r_k``: a linear function of the label name's text embedding ``e_k`` (unit length; the
linear map is written in the span of the trained names, so it is never larger than the labels need) plus a residual
of its own. Row 0 is the background, whose name is "background". A forest that sees filters and place as well has
the larger say in each pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_salt.model.features import SliceView, Standard, Taps, tap_length, tap_parts
from napari_salt.model.filters import FILTERS_PER_CHANNEL
from napari_salt.model.framing import sample_points
from napari_salt.model.mixing import LINEAR_SHARE, mix, rescaled
from napari_salt.model.probe import Fitted
from napari_salt.model.queries import NEVER

if TYPE_CHECKING:
    from napari_salt.model.forest import Forest

TEXT_RIDGE = 0.3
"""Ridge penalty of the linear map from text embeddings to queries; the residual takes what it leaves."""
STRIDE = 2
"""The forest looks at one pixel of each cell of so many rows and columns first, and at all where cells do not agree."""
SMOOTH = 5
"""Which filter of a channel is the intensity smoothed at the second scale."""
SURE = 0.9
"""Probability above which agreeing neighbours are believed."""
PIXELS_AT_ONCE = 65536


@dataclass(frozen=True, eq=False)
class FrameMaps:
    """What the head keeps of a batch of T frames, by tap resolution (h, w).

    ``logits`` (T, K + 1, h, w), the part of the queries; ``directions`` (T, P, h, w), what the forest sees of the taps.
    """

    logits: dict[tuple[int, int], Tensor]
    directions: dict[tuple[int, int], Tensor]

    def frame(self, number: int) -> FrameMaps:
        """Of one frame of the batch."""
        one = slice(number, number + 1)
        return FrameMaps(
            {size: values[one] for size, values in self.logits.items()},
            {size: values[one] for size, values in self.directions.items()},
        )


class LabelHead(nn.Module):
    """Queries (K + 1, C) over the taps, row 0 the background, and a forest over the rest.

    Attributes
    ----------
    text_map, residual
        The trained parts of the queries, both (K + 1, C).
    bias
        (K + 1,).
    embeddings
        Unit text embeddings (K + 1, E) of "background" and the label names.
    directions
        (P, C), what the forest sees of the standardised taps.
    forest
        None until `set_fit`.
    looks_along
        Whether the forest sees `volume_filters` as well.
    linear_share
        Part of the probability that the queries decide where there is a forest.
    row_scale
        Scale of each row of the mix, see `mixing.rescaled`; () = all alike.
    scaled_near
        Painted slices near which it holds, see `told_by_slices_left_out`; () = everywhere.
    """

    embeddings: Tensor
    absent: Tensor
    directions: Tensor

    def __init__(
        self,
        taps: Taps,
        embeddings: Tensor,
        tap_standard: Standard,
        *,
        directions: int,
        absent: Tensor | None = None,
    ) -> None:
        super().__init__()
        rows, length = len(embeddings), tap_length(taps)
        self.taps = taps
        self.tap_standard = tap_standard
        self.forest: Forest | None = None
        self.looks_along = False
        self.linear_share = LINEAR_SHARE
        self.row_scale: tuple[float, ...] = ()
        self.scaled_near: tuple[int, ...] = ()
        self.register_buffer("embeddings", embeddings)
        none = torch.zeros(rows, dtype=torch.bool) if absent is None else absent
        self.register_buffer("absent", none)
        self.register_buffer("directions", torch.zeros(directions, length))
        self.text_map = nn.Parameter(torch.zeros(rows, length))
        self.residual = nn.Parameter(torch.zeros(rows, length))
        self.bias = nn.Parameter(torch.zeros(rows))

    @torch.no_grad()
    def set_fit(self, fitted: Fitted) -> None:
        """Take over the first fit's queries, directions, forest, and how they are mixed."""
        device = self.bias.device
        self.set_queries(fitted.queries.to(device), fitted.bias.to(device))
        self.directions.copy_(fitted.directions)
        self.set_forest(fitted.forest, fitted.volume)
        self.set_mix(fitted.linear_share, fitted.row_scale)

    def set_forest(self, forest: Forest, looks_along: bool) -> None:
        """Take a forest, and whether it sees `volume_filters`."""
        self.forest, self.looks_along = forest, looks_along

    def set_mix(
        self,
        linear_share: float,
        row_scale: tuple[float, ...],
        scaled_near: tuple[int, ...] = (),
    ) -> None:
        """How the probabilities of queries and forest become one."""
        self.linear_share, self.row_scale, self.scaled_near = linear_share, row_scale, scaled_near

    @torch.no_grad()
    def set_queries(self, queries: Tensor, bias: Tensor) -> None:
        """Split fitted ``queries`` (K + 1, C) into the ridge map from the text embeddings and residuals."""
        gram = self.embeddings @ self.embeddings.T
        ridge = gram + TEXT_RIDGE * torch.eye(len(gram), device=gram.device)
        self.text_map.copy_(torch.linalg.solve(ridge, queries))
        self.residual.copy_(queries - gram @ self.text_map)
        self.bias.copy_(bias)

    @property
    def query_parameters(self) -> int:
        """How many numbers the queries have."""
        return self.residual.numel() + self.bias.numel()

    def queries(self) -> Tensor:
        """(K + 1, C)."""
        return self.embeddings @ self.embeddings.T @ self.text_map + self.residual

    def logits(self, deep: Tensor) -> Tensor:
        """(M, K + 1) of standardised taps (M, C); differentiable in both."""
        logits = deep @ self.queries().T + self.bias
        return logits.masked_fill(self.absent, NEVER)

    def frame_maps(self, taps: Mapping[str, Tensor]) -> FrameMaps:
        """Queries and directions on a batch of frames, from taps (T, C, h, w).

        Taps of one resolution are summed first, so that each resolution is enlarged once.
        """
        rows = torch.cat([self.queries(), self.directions])
        count = len(self.bias)
        found = FrameMaps({}, {})
        for name, part in tap_parts(self.taps).items():
            values = taps[name]
            mean = self.tap_standard.mean[part].to(rows.device)
            row = rows[:, part] / self.tap_standard.deviation[part].to(rows.device)
            maps = torch.einsum("kc,tchw->tkhw", row, values.float())
            maps = maps - (row @ mean)[None, :, None, None]
            size = (maps.shape[2], maps.shape[3])
            for kept, new in ((found.logits, maps[:, :count]), (found.directions, maps[:, count:])):
                kept[size] = kept[size] + new if size in kept else new
        return found

    def assemble(
        self, view: SliceView, frames: Sequence[FrameMaps], index: int | None = None
    ) -> Tensor:
        """(K + 1, *view.layout.grid): probabilities, from the `frame_maps` of all frames in order.

        ``index`` is that of the slice in its stack; None = one near the painted ones.
        """
        if self.forest is None:
            return self._query_map(view, frames)
        found = self._forest_map(view, frames).to(self.bias.device)
        if self.linear_share:  # else the queries have no say
            found = mix(self._query_map(view, frames), found, self.linear_share)
        near = index is None or told_by_slices_left_out(index, self.scaled_near)
        return rescaled(found, self.row_scale if near else (), 0)

    def _query_map(self, view: SliceView, frames: Sequence[FrameMaps]) -> Tensor:
        """(K + 1, *view.layout.grid): what the queries alone say."""
        total = self.bias[:, None, None].expand(-1, *view.layout.grid)
        for size in frames[0].logits:
            total = total + view.layout.paste([one for maps in frames for one in maps.logits[size]])
        return total.masked_fill(self.absent[:, None, None], NEVER).softmax(0)

    def _forest_map(self, view: SliceView, frames: Sequence[FrameMaps]) -> Tensor:
        """(K + 1, *view.layout.grid): coarse first, then every pixel where neighbours are not sure of one label."""
        height, width = view.layout.grid
        maps = {
            size: torch.cat([one.directions[size] for one in frames]).cpu()
            for size in frames[0].directions
        }
        rows, columns = _least_ordinary(view.filters)
        coarse = self._ask_forest(view, maps, rows.reshape(-1), columns.reshape(-1))
        coarse = coarse.T.reshape(-1, *rows.shape)
        found = _grow(coarse)[:, :height, :width].contiguous()
        open_ = _grow(_contested(coarse)[None])[0, :height, :width].clone()
        found[:, rows, columns] = coarse
        open_[rows, columns] = False  # asked already
        rows, columns = open_.nonzero(as_tuple=True)
        found[:, rows, columns] = self._ask_forest(view, maps, rows, columns).T
        return found

    def _ask_forest(
        self, view: SliceView, maps: Mapping[tuple[int, int], Tensor], rows: Tensor, columns: Tensor
    ) -> Tensor:
        """(M, K + 1) at pixels of the part at hand, from the directions (T, P, h, w) of all frames."""
        assert self.forest is not None
        found = [torch.zeros(0, len(self.bias))]
        for row, column in zip(
            rows.split(PIXELS_AT_ONCE), columns.split(PIXELS_AT_ONCE), strict=True
        ):
            seen = [view.detail_at(row, column)]
            tile, position = view.layout.locate_detail(row, column)
            seen.append(sum_at(maps.values(), tile, position))
            if self.looks_along:
                assert view.volume is not None  # what its encoder was made for
                seen.append(view.volume[:, row, column].T)
            values = torch.cat(seen, 1).numpy()
            found.append(torch.from_numpy(self.forest.probabilities(values)))
        return torch.cat(found)


def sum_at(maps: Iterable[Tensor], tile: Tensor, position: Tensor) -> Tensor:
    """(M, P): the sum of ``maps`` (T, P, h, w) at ``position`` (M, 2) of frame ``tile`` (M,)."""
    total: Tensor | None = None
    for values in maps:
        if len(values) == 1:
            picked = sample_points(values[0], position)
        else:
            picked = values.new_empty(len(tile), values.shape[1])
            for index in tile.unique().tolist():
                here = tile == index
                picked[here] = sample_points(values[index], position[here])
        total = picked if total is None else total + picked
    assert total is not None
    return total


def _contested(coarse: Tensor) -> Tensor:
    """(h, w): whether a cell of (R, h, w) probabilities or one of its eight neighbours is unsure or of another row."""
    best, row = coarse.max(0)
    around = F.pad(row[None].float(), (1, 1, 1, 1), mode="replicate")[None]
    highest = F.max_pool2d(around, 3, stride=1)[0, 0]
    lowest = -F.max_pool2d(-around, 3, stride=1)[0, 0]
    doubt = F.max_pool2d((best < SURE)[None, None].float(), 3, stride=1, padding=1)[0, 0] > 0
    return (highest != lowest) | doubt


def told_by_slices_left_out(index: int, painted: Sequence[int]) -> bool:
    """Whether painted slices that are left out tell of slice ``index``: it is no farther from one than most of them.

    Of slices beyond, which somebody who paints one slice after the next has most of, they say nothing: labels are
    rather missed there.
    """
    if len(painted) < 2:
        return True
    apart = [min(abs(one - other) for other in painted if other != one) for one in painted]
    return min(abs(index - one) for one in painted) <= median(apart)


def _least_ordinary(filters: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column, both (h, w), of the pixel of each cell that differs most from its smoothed surroundings.

    A line one pixel wide would be lost on every other row if it were always the same corner.
    ``filters`` (F, Y, X) start with the intensities of all channels, then come the smoothed ones of each scale.
    """
    channels = len(filters) // FILTERS_PER_CHANNEL
    smooth = slice(channels * SMOOTH, channels * (SMOOTH + 1))
    odd = (filters[:channels] - filters[smooth]).abs().sum(0).cpu()
    height, width = odd.shape
    h, w = -(-height // STRIDE), -(-width // STRIDE)
    odd = F.pad(odd, (0, w * STRIDE - width, 0, h * STRIDE - height), value=-1.0)
    cells = odd.reshape(h, STRIDE, w, STRIDE).permute(0, 2, 1, 3).reshape(h, w, -1)
    which = cells.argmax(-1)
    rows = torch.arange(h)[:, None] * STRIDE + which // STRIDE
    columns = torch.arange(w)[None] * STRIDE + which % STRIDE
    return rows, columns


def _grow(cells: Tensor) -> Tensor:
    """(R, h, w) with every cell as a square of pixels."""
    return cells.repeat_interleave(STRIDE, 1).repeat_interleave(STRIDE, 2)
