"""Filters against images whose derivatives are known."""

from __future__ import annotations

import math

import pytest
import torch

from napari_salt.model.filters import FILTERS_PER_CHANNEL, SCALES, filters, gaussian

pytestmark = pytest.mark.usefixtures("same_random_state")

N = 160
MIDDLE = slice(N // 2 - 4, N // 2 + 4)
"""Farther from the rim than the widest Gaussian reaches."""


def by_scale(image: torch.Tensor) -> list[torch.Tensor]:
    """Middle of the (smooth, edge, larger, smaller eigenvalue) responses of a grey image, by scale."""
    responses = filters(image)
    assert len(responses) == FILTERS_PER_CHANNEL == 1 + 4 * len(SCALES)
    assert torch.equal(responses[0], image[0])
    return list(responses[1:, MIDDLE, MIDDLE].split(4))


def grid() -> tuple[torch.Tensor, torch.Tensor]:
    """Pixel coordinates (y, x), 0 at the middle."""
    axis = torch.arange(float(N)) - (N - 1) / 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return y, x


@pytest.mark.parametrize("shape", [(40, 40), (1, 1), (1, 30), (5, 7), (20, 20), (33, 17)])
def test_a_constant_image_has_no_edges(shape):
    responses = filters(torch.full((2, *shape), 0.4))
    assert responses.shape == (2 * FILTERS_PER_CHANNEL, *shape)
    torch.testing.assert_close(responses[:2], torch.full((2, *shape), 0.4))
    for found in responses[2:].split(8):  # two channels of each kind
        torch.testing.assert_close(found[:2], torch.full((2, *shape), 0.4))
        assert found[2:].abs().max() < 1e-4


def test_a_linear_ramp_has_its_slope_at_every_scale():
    y, x = grid()
    slope = 0.003, -0.004
    image = (0.5 + slope[0] * y + slope[1] * x)[None]
    for scale, (smooth, edge, larger, smaller) in zip(SCALES, by_scale(image), strict=True):
        torch.testing.assert_close(smooth, image[0, MIDDLE, MIDDLE], atol=1e-4, rtol=0)
        expected = torch.full_like(edge, scale * math.hypot(*slope))
        torch.testing.assert_close(edge, expected, atol=0, rtol=1e-2)
        assert larger.abs().max() < 1e-3
        assert smaller.abs().max() < 1e-3


def test_a_trough_has_one_curvature_at_every_scale():
    curvature = 1e-3
    _, x = grid()
    for scale, (_, _, larger, smaller) in zip(
        SCALES, by_scale((curvature * x**2 / 2)[None]), strict=True
    ):
        expected = torch.full_like(larger, scale**2 * curvature)
        torch.testing.assert_close(larger, expected, atol=1e-4, rtol=0.02)
        assert smaller.abs().max() < 0.03 * scale**2 * curvature + 1e-4
    for scale, (_, _, larger, smaller) in zip(
        SCALES, by_scale((-curvature * x**2 / 2)[None]), strict=True
    ):
        expected = torch.full_like(smaller, -(scale**2) * curvature)
        torch.testing.assert_close(smaller, expected, atol=1e-4, rtol=0.02)
        assert larger.abs().max() < 0.03 * scale**2 * curvature + 1e-4


def test_a_saddle_has_both_curvatures_whichever_way_it_is_turned():
    y, x = grid()
    curvature = 1e-3
    for image in (curvature * (x**2 - y**2) / 2, curvature * x * y):
        for scale, (_, _, larger, smaller) in zip(SCALES, by_scale(image[None]), strict=True):
            size = torch.full_like(larger, scale**2 * curvature)
            torch.testing.assert_close(larger, size, atol=1e-4, rtol=0.03)
            torch.testing.assert_close(smaller, -size, atol=1e-4, rtol=0.03)


def test_a_pixel_spreads_as_wide_as_the_scale_says():
    y, _ = grid()
    image = torch.zeros(1, N, N)
    image[0, N // 2, N // 2] = 1
    centre = y[N // 2, 0]
    for scale, smooth in zip(SCALES, filters(image)[1::4], strict=True):
        assert smooth.sum() == pytest.approx(1, abs=0.02)
        width = ((smooth * (y - centre) ** 2).sum() / smooth.sum()).sqrt()
        assert width == pytest.approx(scale, rel=0.03)


def test_turning_the_image_turns_the_responses():
    image = torch.rand(1, 40, 24, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        filters(image.mT.contiguous()), filters(image).mT, atol=1e-5, rtol=1e-4
    )
    torch.testing.assert_close(filters(image.flip(1)), filters(image).flip(1), atol=1e-5, rtol=1e-4)


def test_channels_are_filtered_apart():
    image = torch.rand(2, 24, 24, generator=torch.Generator().manual_seed(1))
    both = filters(image)
    torch.testing.assert_close(both[::2], filters(image[:1]))
    torch.testing.assert_close(both[1::2], filters(image[1:]))


@pytest.mark.parametrize("sigma", [0.2, 0.7, 2.5])
def test_the_gaussian_sums_to_one_and_has_its_width(sigma):
    image = torch.zeros(1, 41, 41)
    image[0, 20, 20] = 1
    found = gaussian(image, sigma)[0]
    assert found.sum() == pytest.approx(1, abs=1e-5)
    assert found.argmax() == 20 * 41 + 20
    torch.testing.assert_close(found, found.T)
    if sigma > 0.5:  # a narrower one cannot be sampled on pixels
        steps = torch.arange(41.0) - 20
        assert (found.sum(1) * steps**2).sum() == pytest.approx(sigma**2, rel=0.02)


def test_the_gaussian_keeps_constants_up_to_the_rim():
    torch.testing.assert_close(
        gaussian(torch.full((3, 4, 9), 0.2), 5.0), torch.full((3, 4, 9), 0.2)
    )
