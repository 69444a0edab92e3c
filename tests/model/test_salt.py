"""The maths of SALT against a float64 reference written from the published formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_salt.errors import AdapterError
from napari_salt.model.salt import SaltDelta
from napari_salt.model.ssam import SSamDelta
from napari_salt.model.svd import clear_cache, thin_svd

SHAPES = [(12, 20), (20, 12), (9, 9), (8, 5 * 9)]


def weight_of(shape: tuple[int, int], seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def salt(weight: torch.Tensor, rank: int, low_rank: int, seed: int = 0) -> SaltDelta:
    generator = torch.Generator().manual_seed(seed)
    return SaltDelta(weight, rank=rank, low_rank=low_rank, generator=generator)


def shake(adapter: torch.nn.Module, seed: int = 7, by: float = 0.3) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter += by * torch.randn(parameter.shape, generator=generator)


def reference(weight: torch.Tensor, adapter: SaltDelta) -> np.ndarray:
    """W' = U1 diag(max(a*S1+b, 0)) V1t + U2 (diag(S2) + X Y) V2t, in float64 numpy, full form."""
    w = weight.double().numpy()
    u, s, vh = np.linalg.svd(w, full_matrices=False)
    flip = np.sign(u[np.abs(u).argmax(axis=0), np.arange(len(s))])
    u, vh = u * flip, vh * flip[:, None]
    r = adapter.rank
    a = adapter.scale.detach().double().numpy()
    b = adapter.shift.detach().double().numpy()
    inner = np.diag(s[r:])
    if adapter.low_rank:
        x = adapter.x.detach().double().numpy()
        y = adapter.y.detach().double().numpy()
        inner = inner + x @ y
    leading = u[:, :r] @ np.diag(np.maximum(a * s[:r] + b, 0)) @ vh[:r]
    return leading + u[:, r:] @ inner @ vh[r:]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("rank", "low_rank"), [(3, 2), (0, 4), (5, 0), (8, 100)])
def test_delta_follows_the_formula(shape, rank, low_rank):
    weight = weight_of(shape)
    adapter = salt(weight, rank, low_rank)
    shake(adapter)
    adapted = weight.double().numpy() + adapter.delta().detach().double().numpy()
    np.testing.assert_allclose(adapted, reference(weight, adapter), atol=2e-5)


def test_only_the_scaled_singular_values_are_clamped():
    weight = weight_of((6, 10))
    adapter = salt(weight, rank=4, low_rank=2)
    shake(adapter)
    with torch.no_grad():
        adapter.shift[:] = -100.0
    np.testing.assert_allclose(
        weight.double().numpy() + adapter.delta().detach().double().numpy(),
        reference(weight, adapter),
        atol=2e-5,
    )
    leading = adapter.get_buffer("u1").T @ (weight + adapter.delta().detach())
    assert leading.abs().max() < 1e-5  # the four directions are gone
    assert (adapter.delta().detach() - adapter.get_buffer("u1") @ leading < 0).any()


@pytest.mark.parametrize("shape", SHAPES)
def test_starts_at_exactly_zero(shape):
    weight = weight_of(shape)
    adapter = salt(weight, 4, 3)
    assert torch.count_nonzero(adapter.delta()) == 0
    assert torch.equal(weight + adapter.delta(), weight)
    assert torch.count_nonzero(adapter.x) == adapter.x.numel()


@pytest.mark.parametrize("shape", SHAPES)
def test_parameter_counts(shape):
    n = min(shape)
    adapter = salt(weight_of(shape), 4, 3)
    assert sum(p.numel() for p in adapter.parameters()) == 2 * 4 + 2 * (n - 4) * 3
    assert sum(p.numel() for p in SSamDelta(weight_of(shape)).parameters()) == 2 * n
    assert {role: len(ps) for role, ps in adapter.roles().items()} == {
        "scale": 1,
        "shift": 1,
        "low_rank": 2,
    }


def test_s_sam_is_salt_of_full_rank_without_an_update():
    weight = weight_of((7, 11))
    ssam, full_rank = SSamDelta(weight), salt(weight, rank=7, low_rank=0)
    for adapter in (ssam, full_rank):
        shake(adapter, seed=5)
    torch.testing.assert_close(ssam.delta(), full_rank.delta())
    u, s, vh = np.linalg.svd(weight.double().numpy(), full_matrices=False)
    # U diag(a S + b) Vt does not depend on the signs of the vectors
    scaled = np.maximum(ssam.scale.detach().numpy() * s + ssam.shift.detach().numpy(), 0)
    np.testing.assert_allclose(
        (weight + ssam.delta().detach()).numpy(), (u * scaled) @ vh, atol=2e-5
    )


def test_gradients_reach_every_parameter_and_only_those():
    adapter = salt(weight_of((6, 10)), 3, 2)
    shake(adapter)
    adapter.delta().square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in adapter.parameters())
    assert not any(buffer.requires_grad for buffer in adapter.buffers())


def test_restore_needs_no_old_basis():
    """X and Y of another basis of the same subspace fold to the same product."""
    weight = weight_of((10, 14))
    first = salt(weight, 4, 3)
    shake(first)
    folded = {name: tensor.detach() for name, tensor in first.folded().items()}
    second = salt(weight, 4, 3, seed=99)
    with torch.no_grad():  # another machine: other signs in the remaining subspace
        second.get_buffer("u2").neg_()
        second.get_buffer("v2h").neg_()
    second.restore(folded)
    torch.testing.assert_close(second.delta(), first.delta(), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(second.x, first.x)


def test_restore_refuses_what_does_not_fit():
    weight = weight_of((10, 14))
    folded = salt(weight, 4, 3).folded()
    with pytest.raises(AdapterError, match="scale"):
        salt(weight, 5, 3).restore(folded)
    with pytest.raises(AdapterError, match="low_up"):
        salt(weight, 4, 2).restore(folded)
    with pytest.raises(AdapterError, match="another kind"):
        SSamDelta(weight).restore(folded)


def test_svd_signs_are_canonical_and_cached():
    clear_cache()
    weight = weight_of((9, 13))
    svd = thin_svd(weight)
    torch.testing.assert_close(svd.u @ torch.diag(svd.s) @ svd.vh, weight, atol=1e-5, rtol=1e-5)
    assert (svd.u.gather(0, svd.u.abs().argmax(0, keepdim=True)) > 0).all()
    assert (svd.s.diff() <= 0).all()
    assert thin_svd(weight.clone()) is svd
    assert thin_svd(weight + 1e-3) is not svd
    assert thin_svd(weight.T) is not svd


def test_the_svd_cache_forgets_the_oldest(monkeypatch):
    clear_cache()
    monkeypatch.setattr("napari_salt.model.svd.CACHE_BYTES", 1)
    first = thin_svd(weight_of((4, 4), seed=1))
    thin_svd(weight_of((4, 4), seed=2))
    assert thin_svd(weight_of((4, 4), seed=1)) is not first


def test_x_is_drawn_by_its_own_generator():
    weight = weight_of((10, 14))
    before = torch.get_rng_state()
    one, same, other = salt(weight, 4, 3, 0), salt(weight, 4, 3, 0), salt(weight, 4, 3, 1)
    assert torch.equal(one.x, same.x)
    assert not torch.equal(one.x, other.x)
    assert torch.equal(before, torch.get_rng_state())
