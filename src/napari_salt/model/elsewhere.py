"""What is different on another stack than the painted one.

Its slices mean nothing by their position, so a forest blind to that is asked. And it may show the same things in
another contrast: percentiles take care of brightness and range, not of how intensities are spread between them.
Matching whole histograms would mend that and ruin stacks that merely show more of one thing (measured), so only one
number is chosen, the gamma, by how sure the masks are, and only where it makes them clearly surer; see `contrast` for
the stacks whose masks do not tell it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_salt.model.volume_filters import looks_along

if TYPE_CHECKING:
    from napari_salt.intensity import Limits
    from napari_salt.model.decide import Decision
    from napari_salt.model.framing import Intensity
    from napari_salt.records import SlicePrediction, StackInfo

GAMMAS = (1.0, 0.7, 1.4)
"""Exponents that are tried on intensities of 0..1; the first one leaves them as they are."""
CLEARLY = 0.12
"""Part of its doubt that a mask must lose for a change of contrast."""
CLEARLY_THROUGH_INSTRUMENTS = 0.06
"""The same of masks by a head that has learned from what instruments show: noise and blur it knows, and is in more
doubt of everything (of stacks looked at, those of another contrast lost .086 or more, the others .037 or less)."""
CLEARLY_ON_ONE_SCALE = 0.35
"""The same where the intensities span the painted range already: there the contrast rarely differs, and masks of other
content were surer by up to a quarter under a gamma that ruined them (measured)."""
ONE_SCALE = (0.1, 0.05)
"""Part of the painted range by which the lower and the upper limit of another stack may differ on one scale."""
LOOKED_AT = 4
"""Slices on which the contrasts are compared."""
FRAMES_LOOKED_AT = 24
"""Frames of all of them together, at the most, but for a single slice that has more (a long strip does)."""
FEWEST_ALONG = 5
"""Slices of a stack that forests look along; a shorter one is mostly its ends, of which no painted slice told."""
AS_FAR_APART = 1.5
"""How much farther apart its slices may lie, or how much closer together, than those of the painted stack."""
AS_FINE = 1.25
"""How much larger or smaller pixels of a stack may be that shows things as the painted one does."""
AS_NOISY, NO_NOISE = 1.5, 0.002
"""How much more or less noise it may have; what is below the latter part of the range counts as that. Half the
resolution has half the noise."""


def fingerprint(stack: StackInfo, limits: Limits) -> str:
    """Tells one stack from another by its shape, its type and the pixels that its limits were measured on.

    Alpha says nothing. Percentiles would not do: images of eight bits often go from 0 to 255.
    """
    channels = 3 if stack.rgb else stack.channels
    told = repr((stack.shape, channels, stack.dtype, limits.digest))
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def seen_alike_along(
    stack: StackInfo, spacing: tuple[float, float, float], units: tuple[str, str, str]
) -> bool:
    """Whether `volume_filters` mean the same on another stack as on a painted one of this ``spacing`` and ``units``.

    Its slices must lie about as far apart, in pixels. Where nobody has said how far that is, on either of them, nothing
    speaks against it.
    """
    if not looks_along(stack) or stack.shape[0] < FEWEST_ALONG:
        return False
    told = [_told_apart(stack.spacing, stack.units), _told_apart(spacing, units)]
    if None in told:
        return True
    (here, kind), (there, other) = [one for one in told if one is not None]
    return kind == other and max(here / there, there / here) <= AS_FAR_APART


def as_fine(
    stack: StackInfo, spacing: tuple[float, float, float], units: tuple[str, str, str]
) -> bool:
    """Whether pixels of another stack are about as large as those of a painted one of this ``spacing`` and ``units``.

    Where nobody has said how large they are, on either of them, nothing speaks against it.
    """
    if not (_told(stack.spacing, stack.units) and _told(spacing, units)):
        return True
    ratios = [here / there for here, there in zip(stack.spacing[1:], spacing[1:], strict=True)]
    alike = all(1 / AS_FINE <= ratio <= AS_FINE for ratio in ratios)
    return alike and stack.units[1:] == units[1:]


def as_noisy(painted: float | None, measured: float | None) -> bool:
    """Whether two stacks have about as much noise, each in parts of its range; not where one is not known."""
    if painted is None or measured is None:
        return False
    least, most = sorted(max(noise, NO_NOISE) for noise in (painted, measured))
    return most <= AS_NOISY * least


def _told(spacing: tuple[float, float, float], units: tuple[str, str, str]) -> bool:
    """Whether somebody has said how large voxels are."""
    return not (set(spacing) == {1.0} and set(units) == {"pixel"}) and min(spacing) > 0


def _told_apart(
    spacing: tuple[float, float, float], units: tuple[str, str, str]
) -> tuple[float, tuple[str, ...]] | None:
    """How many pixels slices lie apart, and the units where they differ (a distance in time, say); None = unknown."""
    if not _told(spacing, units):
        return None
    return spacing[0] / (spacing[1] * spacing[2]) ** 0.5, units if len(set(units)) > 1 else ()


def slices_to_look_at(count: int, frames: int = 1) -> list[int]:
    """A few slices spread over a stack of ``count``, the same whatever part of it is asked for.

    The more ``frames`` a slice has, the fewer of those that one with a single frame has.
    """
    spread = _inside(count, LOOKED_AT)
    return [spread[place] for place in _inside(len(spread), FRAMES_LOOKED_AT // frames)]


def _inside(count: int, most: int) -> list[int]:
    """``most`` whole numbers below ``count``, at least one, away from its ends; all where there are no more."""
    most = max(1, most)
    places = np.linspace(0, count - 1, most + 2)[1:-1] if count > most else range(count)
    return sorted({round(float(place)) for place in places})


def doubt(predictions: Sequence[SlicePrediction | Decision]) -> float | None:
    """Mean uncertainty inside the masks, 0..1; None where nothing was found."""
    found = [one.uncertainty[one.labels > 0].astype(np.float32) for one in predictions]
    inside = np.concatenate(found) if found else np.zeros(0, np.float32)
    return float(inside.mean()) if len(inside) else None


def clearly(trained: Intensity, measured: Intensity, *, instruments: bool = False) -> float:
    """Part of its doubt that a mask must lose on a stack of these ``measured`` limits.

    ``instruments`` tells whether its head has learned through any.
    """
    if on_one_scale(trained, measured):
        return CLEARLY_ON_ONE_SCALE
    return CLEARLY_THROUGH_INSTRUMENTS if instruments else CLEARLY


def on_one_scale(trained: Intensity, measured: Intensity) -> bool:
    """Whether intensities of these ``measured`` limits span the painted range already."""
    span = np.subtract(trained.high, trained.low)
    lower = np.abs(np.subtract(measured.low, trained.low)) <= ONE_SCALE[0] * span
    upper = np.abs(np.subtract(measured.high, trained.high)) <= ONE_SCALE[1] * span
    return bool(lower.all() and upper.all())


def surest(doubts: Mapping[float, float | None], lost: float = CLEARLY) -> float:
    """The gamma of `GAMMAS` to take, given the `doubt` under each and the part that must be ``lost`` for a change."""
    plain = doubts[GAMMAS[0]]
    known = {gamma: value for gamma, value in doubts.items() if value is not None}
    if plain is None:
        return GAMMAS[0]
    best = min(known, key=lambda gamma: known[gamma])
    return best if known[best] < (1 - lost) * plain else GAMMAS[0]
