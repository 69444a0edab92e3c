"""Intensity windows by name, and choices of intensity as text and in words. Pure functions.

Windows of CT are in Hounsfield units (HU): air is -1000, water 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_salt.errors import InputError
from napari_salt.records import IntensityChoice

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_salt.records import StackInfo

AUTO = IntensityChoice()
"""Percentiles of each stack: what serves most images."""

WINDOWS: dict[str, IntensityChoice] = {
    "lung": IntensityChoice("window", -1350.0, 150.0),
    "soft tissue": IntensityChoice("window", -160.0, 240.0),
    "bone": IntensityChoice("window", -500.0, 1300.0),
    "brain": IntensityChoice("window", 0.0, 80.0),
}
"""Usual windows of CT in HU: centre and width -600 / 1500, 40 / 400, 400 / 1800, 40 / 80."""

AIR, AIR_IN_DICOM = -900.0, -200.0
"""HU that only CT falls below: anywhere, and in a series of DICOM."""
LOWEST_PADDING = -4096.0


@dataclass(frozen=True)
class Limits:
    """What was measured on a stack, each of one value a channel (colour: one for all).

    ``low`` and ``high`` are the percentiles asked for, ``least`` and ``most`` the extremes of what was looked at,
    ``digest`` a hash of it.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    least: tuple[float, ...]
    most: tuple[float, ...]
    digest: str = ""


def name_of(choice: IntensityChoice) -> str:
    """``auto``, the name of a window, or empty."""
    if choice == AUTO:
        return "auto"
    return next((name for name, window in WINDOWS.items() if window == choice), "")


def check_choice(choice: IntensityChoice) -> IntensityChoice:
    """The choice itself; InputError where it is none."""
    low, high = choice.low, choice.high
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(
            f"An intensity range needs two numbers, the lower first, not {low:g} and {high:g}."
        )
    if choice.method not in ("percentile", "window"):
        raise InputError("Intensities are chosen by 'percentile' or by 'window'.")
    if choice.method == "percentile" and not 0 <= low < high <= 100:
        raise InputError(f"Percentiles lie between 0 and 100; {low:g} and {high:g} do not.")
    return choice


def parse_window(text: str) -> IntensityChoice:
    """``"lung"`` or ``"-1350,150"``; InputError for anything else."""
    name = {"soft": "soft tissue"}.get(text.strip().lower(), text.strip().lower())
    if name in WINDOWS:
        return WINDOWS[name]
    low, high = _two_numbers(text, f"{', '.join(WINDOWS)}, or two intensities like -1350,150")
    return check_choice(IntensityChoice("window", low, high))


def parse_percentiles(text: str) -> IntensityChoice:
    """``"2,99.5"``; InputError for anything else."""
    return check_choice(IntensityChoice("percentile", *_two_numbers(text, "like 0.5,99.5")))


def _two_numbers(text: str, wanted: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"'{text}' is no range of intensities; give {wanted}.") from error
    return low, high


def words(choice: IntensityChoice, limits: Limits | None = None) -> str:
    """``0.5 % .. 99.5 % = 12 .. 3044`` or ``-160 .. 240 (soft tissue), of -1024 .. 3071``."""
    if choice.method == "percentile":
        text = f"{choice.low:g} % .. {choice.high:g} %"
        return f"{text} = {ranges(limits.low, limits.high)}" if limits else text
    text = f"{choice.low:g} .. {choice.high:g}"
    if name_of(choice):
        text += f" ({name_of(choice)})"
    return f"{text}, of {ranges(limits.least, limits.most)}" if limits else text


def ranges(low: tuple[float, ...], high: tuple[float, ...]) -> str:
    """``12 .. 3044``, with a semicolon between channels that differ."""
    pairs = dict.fromkeys(zip(low, high, strict=True))  # colour has one range thrice
    return "; ".join(f"{a:.5g} .. {b:.5g}" for a, b in pairs)


def why_outside(choice: IntensityChoice, limits: Limits) -> str:
    """Why nothing can be seen of a stack through a window; empty where something can."""
    least, most = min(limits.least), max(limits.most)
    if choice.method != "window" or (least < choice.high and most > choice.low):
        return ""
    return (
        f"All intensities of this image lie at {least:.5g} .. {most:.5g}, outside of the window "
        f"{choice.low:g} .. {choice.high:g}, so that nothing could be seen"
    )


def is_blank(plane: NDArray[Any]) -> bool:
    """Whether a slice ``(Y, X)`` or ``(Y, X, C)`` shows nothing: one finite value in each channel, or none."""
    for channel in plane.reshape(-1, plane.shape[-1] if plane.ndim == 3 else 1).T:
        values = channel[np.isfinite(channel)]
        if values.size and values.min() != values.max():
            return False
    return True


def looks_like_ct(info: StackInfo, limits: Limits) -> bool:
    """Whether the intensities are Hounsfield units, as far as their type, range and file say."""
    if info.rgb or info.channels != 1 or np.dtype(info.dtype).kind not in "if":
        return False
    air = AIR_IN_DICOM if info.origin.format == "dicom" else AIR
    return LOWEST_PADDING <= limits.least[0] <= air and limits.most[0] > 0


def proposal(info: StackInfo, choice: IntensityChoice, limits: Limits) -> str:
    """A sentence where a window is worth a thought; empty elsewhere. Nothing is changed by it."""
    if choice.method == "window" or not looks_like_ct(info, limits):
        return ""
    return (
        "Intensities look like CT (Hounsfield units): a window means the same in every scan; "
        "see Advanced, Intensity."
    )
