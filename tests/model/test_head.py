"""One query per label: points and grids agree, labels do not disturb each other, names share."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_salt.model.appearance import FILTERS_PER_CHANNEL
from napari_salt.model.features import Banks, SliceView, Standard, view_slice
from napari_salt.model.framing import Framing, Intensity
from napari_salt.model.head import TEXT_RIDGE, LabelHead

pytestmark = pytest.mark.usefixtures("same_random_state")

TAPS = (("fine", 5), ("coarse", 4), ("coarse2", 3))
BANKS = Banks(FILTERS_PER_CHANNEL, TAPS)
ROWS = 4


def unit(vectors: torch.Tensor) -> torch.Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make_head(rows: int = ROWS, absent: torch.Tensor | None = None) -> LabelHead:
    filters, taps = (
        Standard(random(size, seed=1), random(size, seed=2).abs() + 0.5)
        for size in (FILTERS_PER_CHANNEL, 12)
    )
    head = LabelHead(BANKS, unit(random(rows, 16, seed=3)), filters, taps, absent)
    head.set_queries(random(rows, BANKS.length, seed=4) / 20, random(rows, seed=5))
    return head.requires_grad_(False)


def make_view(
    height: int, width: int, framing: Framing
) -> tuple[SliceView, dict[str, torch.Tensor]]:
    plane = np.random.default_rng(6).random((height, width), np.float32)
    view, frames = view_slice(plane, 1, 4, Intensity((0.0,), (1.0,)), framing)
    taps = {
        name: random(len(frames), channels, edge, edge, seed=7 + edge)
        for (name, channels), edge in zip(TAPS, (16, 8, 8), strict=True)
    }
    return view, taps


def every_pixel(view: SliceView) -> tuple[torch.Tensor, torch.Tensor]:
    rows, columns = torch.meshgrid(*map(torch.arange, view.layout.size), indexing="ij")
    return rows.flatten(), columns.flatten()


@pytest.mark.parametrize(("height", "width"), [(40, 40), (25, 33), (5, 7), (1, 20)])
def test_logits_of_the_grid_are_those_of_its_pixels(height, width):
    head = make_head()
    view, taps = make_view(height, width, Framing(48))
    assert view.layout.detail == view.layout.size
    grid = head.assemble(view, [head.frame_maps(taps)])
    assert grid.shape == (ROWS, height, width)
    points = head.logits_at(view, taps, *every_pixel(view))
    torch.testing.assert_close(grid, points.T.reshape(ROWS, height, width), atol=2e-4, rtol=1e-4)


def test_logits_at_are_queries_dotted_with_features():
    head = make_head()
    view, taps = make_view(20, 20, Framing(32))
    rows, columns = torch.tensor([3, 17]), torch.tensor([9, 0])
    features = head.features_at(view, taps, rows, columns)
    assert features.shape == (2, BANKS.length)
    deep = (
        view.taps_at(taps, rows, columns) - head.tap_standard.mean
    ) / head.tap_standard.deviation
    torch.testing.assert_close(features[:, BANKS.parts["deep"]], deep)
    expected = features @ head.queries().T + head.bias
    torch.testing.assert_close(head.logits_at(view, taps, rows, columns), expected)


def test_the_grid_of_a_larger_slice_is_close_although_place_is_computed_on_a_coarser_one():
    head = make_head()
    view, taps = make_view(110, 90, Framing(96))
    grid = head.assemble(view, [head.frame_maps(taps)]).flatten(1).T
    points = head.logits_at(view, taps, *every_pixel(view))
    assert (grid - points).abs().max() < 0.05 * points.std()


def test_frames_that_agree_where_they_overlap_give_the_same_grid_and_points():
    head = make_head()
    view, taps = make_view(32, 56, Framing(32, 1.0))
    assert len(view.layout.origins) == 2
    same = {name: values[:1, :, :1, :1].expand(2, -1, 16, 16) for name, values in taps.items()}
    frames = [head.frame_maps({n: v[i : i + 1] for n, v in same.items()}) for i in range(2)]
    grid = head.assemble(view, frames)
    torch.testing.assert_close(grid, head.assemble(view, [head.frame_maps(same)]))
    points = head.logits_at(view, same, *every_pixel(view))
    torch.testing.assert_close(grid.flatten(1).T, points, atol=2e-4, rtol=1e-4)


def test_all_labels_in_one_pass_are_each_label_alone():
    head = make_head()
    view, taps = make_view(24, 24, Framing(32))
    together = head.assemble(view, [head.frame_maps(taps)])
    for row in range(ROWS):
        alone = LabelHead(
            BANKS, head.embeddings[row : row + 1], head.filter_standard, head.tap_standard
        )
        alone.set_queries(head.queries()[row : row + 1], head.bias[row : row + 1])
        alone.requires_grad_(False)
        found = alone.assemble(view, [alone.frame_maps(taps)])[0]
        torch.testing.assert_close(found, together[row], atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("rows", [1, 2, 40])
def test_set_queries_splits_them_without_loss(rows):
    head = make_head(rows)
    queries, bias = random(rows, BANKS.length, seed=8), random(rows, seed=9)
    head.set_queries(queries, bias)
    assert (head.queries() - queries).abs().max() < 1e-5
    assert torch.equal(head.bias, bias)


def test_equal_names_are_no_trouble_for_the_split():
    embeddings = unit(random(1, 16)).expand(3, 16)
    head = make_head(3)
    head.embeddings.copy_(embeddings)
    queries = random(3, BANKS.length, seed=8)
    head.set_queries(queries, torch.zeros(3))
    assert (head.queries() - queries).abs().max() < 1e-5


def test_names_that_mean_the_same_share_their_query():
    # background, two names of one thing, and another thing
    embeddings = unit(random(4, 64, seed=10))
    embeddings[2] = unit(embeddings[1] + 0.03 * random(64, seed=11))
    head = make_head(4)
    head = LabelHead(BANKS, embeddings, head.filter_standard, head.tap_standard)
    queries = random(4, BANKS.length, seed=12)
    head.set_queries(queries, torch.zeros(4))
    near = unit(embeddings[1] + 0.05 * random(64, seed=13))
    predicted = near @ embeddings.T @ head.text_map
    to_each = torch.cosine_similarity(predicted[None], queries)
    assert to_each[1] > 0.4
    assert to_each[1] > to_each[3] + 0.3
    assert to_each[1] > to_each[0] + 0.3
    # the ridge keeps the map from carrying what only a residual can tell apart
    gap = (embeddings[1] - embeddings[2]) @ embeddings.T @ head.text_map
    assert gap.norm() < 0.2 * (queries[1] - queries[2]).norm()


def test_the_text_map_solves_its_ridge_problem():
    head = make_head()
    queries = random(ROWS, BANKS.length, seed=14)
    head.set_queries(queries, torch.zeros(ROWS))
    # primal: M minimises |E M - Q|² + ridge |M|² with M (E, D)
    e = head.embeddings
    primal = torch.linalg.solve(e.T @ e + TEXT_RIDGE * torch.eye(e.shape[1]), e.T @ queries)
    torch.testing.assert_close(e.T @ head.text_map, primal, atol=1e-4, rtol=1e-3)


def test_labels_that_were_never_painted_are_never_chosen():
    absent = torch.tensor([False, False, True, False])
    head = make_head(absent=absent)
    head.bias[2] = 1e6
    view, taps = make_view(20, 20, Framing(32))
    grid = head.assemble(view, [head.frame_maps(taps)])
    assert (grid[2] == -torch.inf).all()
    assert not (grid.argmax(0) == 2).any()
    points = head.logits_at(view, taps, *every_pixel(view))
    assert not (points.argmax(1) == 2).any()
    assert (points.softmax(1)[:, 2] == 0).all()
    assert "absent" in head.state_dict()


def test_gradients_reach_taps_and_every_trained_part():
    head = make_head().requires_grad_(True)
    view, taps = make_view(20, 20, Framing(32))
    taps = {name: values.requires_grad_(True) for name, values in taps.items()}
    head.logits_at(view, taps, torch.tensor([3, 8]), torch.tensor([5, 9])).square().sum().backward()
    assert all(values.grad.abs().sum() > 0 for values in taps.values())
    assert {name for name, p in head.named_parameters() if p.grad.abs().sum() > 0} == {
        "text_map",
        "residual",
        "bias",
    }
