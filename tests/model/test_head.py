"""One query per label and a forest: points and grids agree, labels do not disturb each other, names share."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_salt.model import head as head_module
from napari_salt.model.features import SliceView, Standard, tap_length, view_slice
from napari_salt.model.filters import FILTERS_PER_CHANNEL
from napari_salt.model.forest import Forest, grow
from napari_salt.model.framing import Framing, Intensity
from napari_salt.model.head import SURE, TEXT_RIDGE, LabelHead, told_by_slices_left_out
from napari_salt.model.mixing import mix
from napari_salt.model.probe import Fitted
from napari_salt.model.queries import NEVER

pytestmark = pytest.mark.usefixtures("same_random_state")

TAPS = (("fine", 5), ("coarse", 4), ("coarse2", 3))
LENGTH = tap_length(TAPS)
ROWS, DIRECTIONS = 4, 3


def unit(vectors: torch.Tensor) -> torch.Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


STANDARD = Standard(random(LENGTH, seed=1), random(LENGTH, seed=2).abs() + 0.5)


def grown(values: torch.Tensor, targets: torch.Tensor, rows: int, trees: int = 9) -> Forest:
    growing = grow(values.numpy(), targets.numpy(), rows, trees)
    while True:
        try:
            next(growing)
        except StopIteration as stop:
            return stop.value


def make_head(rows: int = ROWS, absent: torch.Tensor | None = None) -> LabelHead:
    """A head with queries and directions, without a forest."""
    head = LabelHead(
        TAPS,
        unit(random(rows, 16, seed=3)),
        STANDARD,
        directions=DIRECTIONS,
        absent=absent,
    )
    head.set_queries(random(rows, LENGTH, seed=4) / 3, random(rows, seed=5))
    head.directions.copy_(torch.linalg.qr(random(LENGTH, DIRECTIONS, seed=6))[0].T)
    return head.requires_grad_(False)


def plane_of(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(6).random((height, width), np.float32)


def make_view(
    plane: np.ndarray, framing: Framing, depth: float | None = 0.25
) -> tuple[SliceView, dict[str, torch.Tensor]]:
    view, frames = view_slice(plane, depth, Intensity((0.0,), (1.0,)), framing)
    taps = {
        name: random(len(frames), channels, edge, edge, seed=7 + edge)
        for (name, channels), edge in zip(TAPS, (16, 8, 8), strict=True)
    }
    return view, taps


def add_forest(head: LabelHead, place: int = 3) -> LabelHead:
    """A forest that goes by intensity, by place and by the first direction."""
    values = random(600, FILTERS_PER_CHANNEL + place + DIRECTIONS, seed=8)
    values[:, 0] = values[:, 0] / 4 + 0.5
    votes = torch.stack([2 * values[:, 0] > 1, values[:, FILTERS_PER_CHANNEL] > 0.3])
    targets = (votes * torch.tensor([[1], [2]])).sum(0)
    targets[values[:, -DIRECTIONS] > 0.8] = 3
    head.forest = grown(values, targets % len(head.bias), len(head.bias))
    return head


def pixels(size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    rows, columns = torch.meshgrid(*map(torch.arange, size), indexing="ij")
    return rows.flatten(), columns.flatten()


def by_points(
    head: LabelHead, view: SliceView, taps: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """What queries and forest say when every pixel is asked by itself, (K + 1, Y, X) each."""
    where = pixels(view.layout.size)
    deep = head.tap_standard(view.taps_at(taps, *where))
    linear = head.logits(deep).softmax(1).T.reshape(-1, *view.layout.size)
    if head.forest is None:
        return linear, None
    seen = torch.cat([view.samples_at(*where), deep @ head.directions.T], 1)
    forest = torch.from_numpy(head.forest.probabilities(seen.numpy()))
    return linear, forest.T.reshape(-1, *view.layout.size)


# --- points and grids -----------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(40, 40), (25, 33), (5, 7), (1, 20)])
def test_the_queries_on_the_grid_are_those_of_its_pixels(height, width):
    head = make_head()
    view, taps = make_view(plane_of(height, width), Framing(48))
    assert view.layout.detail == view.layout.size
    grid = head.assemble(view, [head.frame_maps(taps)])
    assert grid.shape == (ROWS, height, width)
    linear, _ = by_points(head, view, taps)
    torch.testing.assert_close(grid, linear, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("depth", [0.25, None])
@pytest.mark.parametrize(("height", "width"), [(24, 40), (25, 33), (5, 7), (1, 20)])
def test_queries_and_forest_on_the_grid_are_those_of_its_pixels(height, width, depth, monkeypatch):
    monkeypatch.setattr(head_module, "STRIDE", 1)
    monkeypatch.setattr(head_module, "PIXELS_AT_ONCE", 300)
    head = add_forest(make_head(), place=2 if depth is None else 3)
    view, taps = make_view(plane_of(height, width), Framing(48), depth)
    grid = head.assemble(view, [head.frame_maps(taps)])
    linear, forest = by_points(head, view, taps)
    far = (grid - mix(linear, forest, head.linear_share)).abs().amax(0) > 1e-3
    assert far.float().mean() < 0.01  # directions are rounded another way: a split may fall apart
    assert (grid - linear).abs().max() > 0.1
    torch.testing.assert_close(grid.sum(0), torch.ones(height, width))


def test_logits_are_queries_dotted_with_standardised_taps():
    head = make_head()
    deep = random(7, LENGTH, seed=9)
    torch.testing.assert_close(head.logits(deep), deep @ head.queries().T + head.bias)


def test_a_slice_in_many_frames_is_put_together():
    """Frames that agree where they overlap: the grid is that of the pixels, in one batch or several."""
    head = add_forest(make_head())
    view, taps = make_view(plane_of(32, 56), Framing(32, 1.0))
    assert len(view.layout.origins) == 2
    same = {name: values[:1, :, :1, :1].expand(2, -1, 16, 16) for name, values in taps.items()}
    frames = [head.frame_maps({n: v[i : i + 1] for n, v in same.items()}) for i in range(2)]
    grid = head.assemble(view, frames)
    torch.testing.assert_close(grid, head.assemble(view, [head.frame_maps(same)]))
    linear, _ = by_points(head, view, same)
    head.forest = None
    torch.testing.assert_close(head.assemble(view, frames), linear, atol=2e-4, rtol=1e-3)


def test_the_forest_asks_the_frame_that_shows_a_pixel(monkeypatch):
    monkeypatch.setattr(head_module, "STRIDE", 1)
    head = add_forest(make_head())
    view, taps = make_view(plane_of(32, 56), Framing(32, 1.0))
    _, forest = by_points(head, view, taps)
    maps = head.frame_maps(taps)
    frames = [maps.frame(i) for i in range(2)]
    for found in (head._forest_map(view, [maps]), head._forest_map(view, frames)):
        assert ((found - forest).abs().amax(0) > 1e-3).float().mean() < 0.01
    swapped = head._forest_map(view, frames[::-1])
    assert ((swapped - forest).abs().amax(0) > 1e-3).float().mean() > 0.1


def test_one_frame_of_a_batch_is_that_frame_alone():
    head = make_head()
    taps = {
        name: random(3, channels, edge, edge, seed=edge)
        for (name, channels), edge in zip(TAPS, (16, 8, 8), strict=True)
    }
    maps = head.frame_maps(taps)
    assert {size: tuple(v.shape) for size, v in maps.logits.items()} == {
        (16, 16): (3, ROWS, 16, 16),
        (8, 8): (3, ROWS, 8, 8),  # of two taps
    }
    assert {size: v.shape[1] for size, v in maps.directions.items()} == dict.fromkeys(
        maps.logits, DIRECTIONS
    )
    alone = head.frame_maps({name: values[1:2] for name, values in taps.items()})
    for kind in ("logits", "directions"):
        for size, values in getattr(maps.frame(1), kind).items():
            torch.testing.assert_close(values, getattr(alone, kind)[size], atol=1e-5, rtol=1e-4)


def test_the_queries_of_each_label_do_not_depend_on_the_others():
    head = make_head()
    _, taps = make_view(plane_of(24, 24), Framing(32))
    together = head.frame_maps(taps).logits
    for row in range(ROWS):
        alone = LabelHead(TAPS, head.embeddings[row : row + 1], STANDARD, directions=0)
        alone.set_queries(head.queries()[row : row + 1], head.bias[row : row + 1])
        for size, found in alone.requires_grad_(False).frame_maps(taps).logits.items():
            torch.testing.assert_close(
                found, together[size][:, row : row + 1], atol=2e-4, rtol=1e-4
            )


# --- the forest, coarse to fine -------------------------------------------------------------------


def flat_taps(head: LabelHead, view: SliceView) -> list:
    """Taps that tell nothing."""
    taps = {
        name: torch.zeros(len(view.layout.origins), channels, 8, 8) for name, channels in head.taps
    }
    return [head.frame_maps(taps)]


def both_maps(head, view, frames, monkeypatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Forest map coarse to fine, and with every pixel asked."""
    coarse = head._forest_map(view, frames)
    monkeypatch.setattr(head_module, "STRIDE", 1)
    every = head._forest_map(view, frames)
    monkeypatch.undo()
    return coarse, every


@pytest.mark.parametrize(("height", "width"), [(40, 40), (31, 45), (1, 9), (2, 2), (1, 1)])
def test_only_pixels_whose_sure_neighbours_agree_are_copied(height, width, monkeypatch):
    head = add_forest(make_head())
    y, x = np.mgrid[:height, :width]
    view, _ = make_view((0.2 + 0.6 * ((y // 12 + x // 15) % 2)).astype(np.float32), Framing(48))
    found, every = both_maps(head, view, flat_taps(head, view), monkeypatch)
    assert found.shape == every.shape == (ROWS, height, width)
    rows, columns = head_module._least_ordinary(view.filters)
    assert torch.equal(found[:, rows, columns], every[:, rows, columns])
    seen = every[:, rows, columns]
    copied = (found != every).any(0)
    for row, column in copied.nonzero().tolist():
        r, c = row // 2, column // 2
        around = seen[:, max(0, r - 1) : r + 2, max(0, c - 1) : c + 2].flatten(1)
        assert len(around.argmax(0).unique()) == 1
        assert around.max(0).values.min() >= SURE
        assert torch.equal(found[:, row, column], seen[:, r, c])


def test_unsure_neighbours_are_asked_pixel_by_pixel(monkeypatch):
    monkeypatch.setattr(head_module, "SURE", 1.1)
    head = add_forest(make_head())
    view, taps = make_view(plane_of(30, 41), Framing(48))
    frames = [head.frame_maps(taps)]
    found = head._forest_map(view, frames)
    monkeypatch.setattr(head_module, "STRIDE", 1)
    assert torch.equal(found, head._forest_map(view, frames))


def test_a_flat_image_is_asked_coarsely_and_each_pixel_once(monkeypatch):
    asked: list[int] = []
    real = Forest.probabilities

    def count(self, values):
        asked.append(len(values))
        return real(self, values)

    monkeypatch.setattr(Forest, "probabilities", count)
    head = make_head()
    head.forest = grown(
        torch.zeros(9, FILTERS_PER_CHANNEL + 3 + DIRECTIONS), torch.full((9,), 2), ROWS
    )
    view, _ = make_view(np.full((30, 40), 0.4, np.float32), Framing(48))
    found = head._forest_map(view, flat_taps(head, view))
    assert (found.argmax(0) == 2).all()
    assert sum(asked) == 30 * 40 / 4
    asked.clear()
    monkeypatch.setattr(head_module, "SURE", 1.1)
    head._forest_map(view, flat_taps(head, view))
    assert sum(asked) == 30 * 40


def line(place: int, width: int, axis: int) -> np.ndarray:
    plane = np.full((48, 48), 0.3, np.float32)
    plane[place : place + width] = 0.8
    return plane if axis == 0 else plane.T.copy()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("place", "width"), [(20, 1), (21, 1), (20, 2), (21, 2), (21, 3)])
def test_a_thin_line_is_found_wherever_it_lies(place, width, axis, monkeypatch):
    head = make_head(2)
    train, _ = make_view(line(9, width, axis), Framing(48), None)
    seen = train.samples_at(*pixels((48, 48)))
    seen[:, -2:] = 0  # a line lies elsewhere on every slice
    targets = torch.from_numpy(line(9, width, axis) > 0.5).flatten().long()
    head.forest = grown(torch.cat([seen, torch.zeros(len(seen), DIRECTIONS)], 1), targets, 2, 24)
    view, _ = make_view(line(place, width, axis), Framing(48), None)
    found, every = both_maps(head, view, flat_taps(head, view), monkeypatch)
    assert torch.equal(
        every.argmax(0), torch.from_numpy(line(place, width, axis) > 0.5).long()
    )  # a forest that is asked everywhere knows it
    assert torch.equal(found.argmax(0), every.argmax(0))


@pytest.mark.parametrize(
    ("index", "painted", "told"),
    [
        (40, (4, 11, 18, 25, 32), False),
        (39, (4, 11, 18, 25, 32), True),
        (0, (4, 11, 18, 25, 32), True),
        (8, (30, 31, 32), False),
        (33, (30, 31, 32), True),
        (20, (0, 1, 2, 40), False),  # most have another one beside them
        (99, (3,), True),  # nothing is left out, and nothing scaled
        (99, (), True),
    ],
)
def test_slices_left_out_tell_of_those_that_are_no_farther_away(index, painted, told):
    assert told_by_slices_left_out(index, painted) is told


def test_rows_are_scaled_near_the_painted_slices_alone():
    head = add_forest(make_head())
    view, taps = make_view(line(9, 4, 0), Framing(48))
    maps = [head.frame_maps(taps)]
    plain = head.assemble(view, maps, 5)
    head.set_mix(head.linear_share, (1.0, *[0.25] * (ROWS - 1)), scaled_near=(4, 6))
    assert head.assemble(view, maps, 5)[0].mean() > plain[0].mean()
    assert torch.equal(head.assemble(view, maps, 5), head.assemble(view, maps))
    assert torch.equal(head.assemble(view, maps, 9), plain)


# --- queries and names ----------------------------------------------------------------------------


def test_a_fit_is_taken_over_whole():
    head = make_head()
    forest = add_forest(make_head()).forest
    fitted = Fitted(
        random(ROWS, LENGTH, seed=20),
        random(ROWS, seed=21),
        random(DIRECTIONS, LENGTH, seed=22),
        forest,
    )
    head.set_fit(fitted)
    torch.testing.assert_close(head.queries(), fitted.queries, atol=1e-5, rtol=0)
    assert torch.equal(head.bias, fitted.bias)
    assert torch.equal(head.directions, fitted.directions)
    assert head.forest is forest
    assert {"text_map", "residual", "bias", "embeddings", "absent", "directions"} == set(
        head.state_dict()
    )


@pytest.mark.parametrize("rows", [1, 2, 40])
def test_set_queries_splits_them_without_loss(rows):
    head = make_head(rows)
    queries, bias = random(rows, LENGTH, seed=8), random(rows, seed=9)
    head.set_queries(queries, bias)
    assert (head.queries() - queries).abs().max() < 1e-5
    assert torch.equal(head.bias, bias)


def test_equal_names_are_no_trouble_for_the_split():
    embeddings = unit(random(1, 16)).expand(3, 16)
    head = make_head(3)
    head.embeddings.copy_(embeddings)
    queries = random(3, LENGTH, seed=8)
    head.set_queries(queries, torch.zeros(3))
    assert (head.queries() - queries).abs().max() < 1e-5


def test_names_that_mean_the_same_share_their_query():
    # background, two names of one thing, and another thing
    embeddings = unit(random(4, 64, seed=10))
    embeddings[2] = unit(embeddings[1] + 0.03 * random(64, seed=11))
    head = LabelHead(TAPS, embeddings, STANDARD, directions=0).requires_grad_(False)
    queries = torch.linalg.qr(random(LENGTH, 4, seed=12))[0].T
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
    queries = random(ROWS, LENGTH, seed=14)
    head.set_queries(queries, torch.zeros(ROWS))
    # primal: M minimises |E M - Q|² + ridge |M|² with M (E, D)
    e = head.embeddings
    primal = torch.linalg.solve(e.T @ e + TEXT_RIDGE * torch.eye(e.shape[1]), e.T @ queries)
    torch.testing.assert_close(e.T @ head.text_map, primal, atol=1e-4, rtol=1e-3)


def test_labels_that_were_never_painted_are_never_chosen():
    absent = torch.tensor([False, False, True, False])
    head = make_head(absent=absent)
    head.bias[2] = 1e6
    view, taps = make_view(plane_of(20, 20), Framing(32))
    assert (head.logits(random(5, LENGTH))[:, 2] == NEVER).all()
    values = random(90, FILTERS_PER_CHANNEL + 3 + DIRECTIONS)
    targets = torch.arange(90) % 2 * 3
    for forest in (None, grown(values, targets, ROWS)):
        head.forest = forest
        grid = head.assemble(view, [head.frame_maps(taps)])
        assert not grid[2].any()
        torch.testing.assert_close(grid.sum(0), torch.ones(20, 20))


def test_queries_that_have_no_say_are_not_asked(monkeypatch):
    head = add_forest(make_head(), place=3)
    view, taps = make_view(plane_of(24, 20), Framing(32), 0.25)
    frames = [head.frame_maps(taps)]
    head.linear_share = 1e-12
    hardly = head.assemble(view, frames)
    head.linear_share = 0.0
    monkeypatch.setattr(LabelHead, "_query_map", lambda *_: pytest.fail("asked"))
    torch.testing.assert_close(head.assemble(view, frames), hardly)


def test_rows_that_a_fit_has_not_seen_get_nothing():
    head = make_head()
    head.bias[1] = NEVER
    view, taps = make_view(plane_of(20, 20), Framing(32))
    grid = head.assemble(view, [head.frame_maps(taps)])
    assert not grid[1].any()
    assert torch.isfinite(grid).all()


def test_gradients_reach_taps_and_every_trained_part():
    head = make_head().requires_grad_(True)
    deep = random(6, LENGTH).requires_grad_(True)
    head.logits(deep).square().sum().backward()
    assert (deep.grad.abs().sum(0) > 0).all()
    assert {name for name, p in head.named_parameters() if p.grad.abs().sum() > 0} == {
        "text_map",
        "residual",
        "bias",
    }
