"""One query per label, dotted with the feature banks of a slice.

The query of label k is ``q_k = Σ_j C_j ⟨e_j, e_k⟩ + r_k``: a linear function of the label name's text
embedding ``e_k`` (unit length; the linear map is written in the span of the trained names, so it is
never larger than the labels need) plus a residual of its own. Row 0 is the background, whose name is
"background".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_salt.model.features import PIXELS_AT_ONCE, Banks, SliceView, Standard
from napari_salt.model.framing import resize

if TYPE_CHECKING:
    from napari_salt.model.appearance import FourierFeatures

FrameMaps = dict[tuple[int, int], Tensor]
"""Logits (T, K + 1, h, w) of T frames, by resolution (h, w)."""

TEXT_RIDGE = 0.3
"""Ridge penalty of the linear map from text embeddings to queries; the residual takes what it leaves."""
COARSE_PLACE = 64
"""Edge of the grid on which the smooth place logits are computed before they are enlarged."""


class LabelHead(nn.Module):
    """Queries (K + 1, D) over the feature banks; row 0 is the background.

    Attributes
    ----------
    text_map, residual
        The trained parts of the queries, both (K + 1, D).
    bias
        (K + 1,).
    embeddings
        Unit text embeddings (K + 1, E) of "background" and the label names.
    """

    embeddings: Tensor
    absent: Tensor

    def __init__(
        self,
        banks: Banks,
        embeddings: Tensor,
        filter_standard: Standard,
        tap_standard: Standard,
        absent: Tensor | None = None,
    ) -> None:
        super().__init__()
        rows = len(embeddings)
        self.banks = banks
        self.filter_standard, self.tap_standard = filter_standard, tap_standard
        self.register_buffer("embeddings", embeddings)
        none = torch.zeros(rows, dtype=torch.bool) if absent is None else absent
        self.register_buffer("absent", none)
        self.text_map = nn.Parameter(torch.zeros(rows, banks.length))
        self.residual = nn.Parameter(torch.zeros(rows, banks.length))
        self.bias = nn.Parameter(torch.zeros(rows))
        self._appearance: FourierFeatures = banks.appearance()
        self._place: FourierFeatures = banks.place()

    @torch.no_grad()
    def set_queries(self, queries: Tensor, bias: Tensor) -> None:
        """Split fitted ``queries`` (K + 1, D) into the ridge map from the text embeddings and residuals."""
        gram = self.embeddings @ self.embeddings.T
        ridge = gram + TEXT_RIDGE * torch.eye(len(gram), device=gram.device)
        self.text_map.copy_(torch.linalg.solve(ridge, queries))
        self.residual.copy_(queries - gram @ self.text_map)
        self.bias.copy_(bias)

    def queries(self) -> Tensor:
        """(K + 1, D)."""
        return self.embeddings @ self.embeddings.T @ self.text_map + self.residual

    def features_at(
        self, view: SliceView, taps: Mapping[str, Tensor], rows: Tensor, columns: Tensor
    ) -> Tensor:
        """Feature vectors (M, D) at pixels (rows, columns) of a slice; differentiable in the taps."""
        device = self.bias.device
        return torch.cat(
            [
                self._appearance(self.filter_standard(view.filters_at(rows, columns))).to(device),
                self._place(view.place_at(rows, columns)).to(device),
                self.tap_standard(view.taps_at(taps, rows, columns)),
            ],
            1,
        )

    def frame_maps(self, taps: Mapping[str, Tensor]) -> FrameMaps:
        """Deep part of the logits of a batch of frames, from taps (T, C, h, w): (T, K + 1, h, w) by size.

        Taps of one resolution are summed first, so that each resolution is enlarged once.
        """
        queries = self.queries()
        by_size: FrameMaps = {}
        start = 0
        parts = self.banks.tap_parts()
        for name, channels in self.banks.taps:
            values = taps[name]
            mean = self.tap_standard.mean[start : start + channels].to(queries.device)
            deviation = self.tap_standard.deviation[start : start + channels].to(queries.device)
            start += channels
            query = queries[:, parts[name]] / deviation
            maps = torch.einsum("kc,tchw->tkhw", query, values.float())
            maps = maps - (query @ mean)[None, :, None, None]
            size = (maps.shape[2], maps.shape[3])
            by_size[size] = by_size[size] + maps if size in by_size else maps
        return by_size

    def assemble(self, view: SliceView, frames: Sequence[FrameMaps]) -> Tensor:
        """(K + 1, *view.layout.detail): logits of every label, from the `frame_maps` of all frames in order."""
        queries = self.queries()
        total = self._place_logits(view, queries)
        for size in frames[0]:
            total += view.layout.paste([one for maps in frames for one in maps[size]])
        total += self._appearance_logits(view, queries)
        total += self.bias[:, None, None]
        return total.masked_fill_(self.absent[:, None, None], float("-inf"))

    def logits_at(
        self, view: SliceView, taps: Mapping[str, Tensor], rows: Tensor, columns: Tensor
    ) -> Tensor:
        """(M, K + 1) at pixels of the slice; differentiable in taps and queries."""
        logits = self.features_at(view, taps, rows, columns) @ self.queries().T + self.bias
        return logits.masked_fill(self.absent, float("-inf"))

    def _appearance_logits(self, view: SliceView, queries: Tensor) -> Tensor:
        query = queries[:, self.banks.parts["appearance"]]
        responses = view.filters.to(query.device).flatten(1).T
        chunks = [
            self._appearance(self.filter_standard(chunk)) @ query.T
            for chunk in responses.split(PIXELS_AT_ONCE)
        ]
        return torch.cat(chunks).T.reshape(len(query), *view.layout.detail)

    def _place_logits(self, view: SliceView, queries: Tensor) -> Tensor:
        query = queries[:, self.banks.parts["place"]]
        grid = tuple(min(COARSE_PLACE, length) for length in view.layout.detail)
        y = (torch.arange(grid[0], device=query.device) + 0.5) / grid[0] * 2 - 1
        x = (torch.arange(grid[1], device=query.device) + 0.5) / grid[1] * 2 - 1
        yy, xx = torch.meshgrid(y, x, indexing="ij")
        place = torch.stack([torch.full_like(yy, view.depth), yy, xx], -1).reshape(-1, 3)
        coarse = (self._place(place) @ query.T).T.reshape(len(query), *grid)
        return resize(coarse, view.layout.detail)
