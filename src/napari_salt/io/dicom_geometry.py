"""The order of DICOM frames, the distance between them, and their place in the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_salt.errors import InputError
from napari_salt.io.dicom_frames import Frame
from napari_salt.io.units import PIXEL, tidy
from napari_salt.io.world import LPS_TO_RAS, from_columns, usable
from napari_salt.records import Affine

_SAME_PLACE = 1e-3
"""Millimetres along the normal below which two frames are at one position."""
_EVEN = 0.02
"""Part of the mean distance by which distances may differ."""


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Frames in their order: all slices of the first time, then of the next.

    ``times`` is how often every position was imaged. ``spacing`` is the size along Z, Y, X; ``note`` says what is
    not as it should be.
    """

    frames: tuple[Frame, ...]
    times: int
    spacing: tuple[float, float, float]
    units: tuple[str, str, str]
    affine: Affine | None
    note: str = ""


def arrange(frames: Sequence[Frame]) -> Arrangement:
    """Sort by position along the normal of the slices; where it is unknown, by number.

    The distance between slices is that from the first to the last, divided (as ITK has it), so that both ends
    are where they belong even if slices are missing; ``note`` says so.

    Raises
    ------
    InputError
        When some positions were imaged more often than others.
    """
    plane = frames[0].pixel or (1.0, 1.0)
    unit = "mm" if frames[0].pixel else PIXEL
    along = _along(frames)
    if along is None:
        step = frames[0].thickness
        ordered = tuple(sorted(frames, key=_count))
        units = ("mm" if step else PIXEL, unit, unit)
        return Arrangement(ordered, 1, (step or 1.0, *plane), units, None, _unplaced(frames))
    places, times, ordered = _by_place(frames, along)
    first, last = ordered[0], ordered[len(places) - 1]
    step, note = _step(places)
    vector = _slice_vector(first, last, len(places))
    step = first.thickness if step is None else float(np.linalg.norm(vector))
    return Arrangement(
        ordered,
        times,
        (tidy(step or 1.0), *plane),
        ("mm" if step else PIXEL, unit, unit),
        _affine(first, vector * ((step or 1.0) if len(places) == 1 else 1.0)),
        note,
    )


def _unplaced(frames: Sequence[Frame]) -> str:
    """A sentence where some frames say where they lie and others do not."""
    count = sum(frame.position is None for frame in frames)
    if count in (0, len(frames)):
        return ""
    return (
        f"{count} of {len(frames)} images do not say where they lie, so slices are in the order of their numbers, as "
        "far apart as they are thick, and without a place in the world; take those images out of the folder."
    )


def _count(frame: Frame) -> tuple[int, int]:
    return frame.number, frame.index or 0


def _along(frames: Sequence[Frame]) -> NDArray[np.float64] | None:
    """Place of each frame along the normal in mm; None where one does not say its place."""
    normal = _normal(frames[0])
    positions = [frame.position for frame in frames if frame.position is not None]
    if normal is None or len(positions) != len(frames):
        return None
    return np.stack(positions) @ normal


def _normal(frame: Frame) -> NDArray[np.float64] | None:
    if frame.orientation is None:
        return None
    normal: NDArray[np.float64] = np.cross(frame.orientation[:3], frame.orientation[3:])
    return normal


def _by_place(
    frames: Sequence[Frame], along: NDArray[np.float64]
) -> tuple[list[float], int, tuple[Frame, ...]]:
    """Distinct places, how often each was imaged, and the frames: by time, then by place."""
    stacks: list[list[Frame]] = []
    places: list[float] = []
    for at in np.argsort(along, kind="stable"):
        if not places or along[at] - places[-1] > _SAME_PLACE:
            places.append(float(along[at]))
            stacks.append([])
        stacks[-1].append(frames[at])
    counts = {len(stack) for stack in stacks}
    if len(counts) > 1:
        raise InputError(
            f"The series has {min(counts)} to {max(counts)} images at one position, so they make no "
            "stack; put the images of one acquisition into a folder of their own."
        )
    times = counts.pop()
    sorted_stacks = [sorted(stack, key=_count) for stack in stacks]
    ordered = tuple(stack[time] for time in range(times) for stack in sorted_stacks)
    return places, times, ordered


def _step(places: Sequence[float]) -> tuple[float | None, str]:
    """Mean distance between places, None for one place, and a sentence where they are uneven."""
    if len(places) < 2:
        return None, ""
    steps = np.diff(places)
    mean, usual = float(steps.mean()), float(np.median(steps))
    if np.abs(steps - mean).max() <= _EVEN * mean:
        return mean, ""
    multiples = steps / usual
    whole = np.abs(multiples - multiples.round()).max() <= 2 * _EVEN
    missing = round(float((multiples.round() - 1).sum()))
    spread = f"{steps.min():.4g} to {steps.max():.4g} mm apart"
    taken = f"{mean:.4g} mm, the mean, is taken"
    if not whole or missing < 1:
        return mean, f"The slices are unevenly spaced: {spread}; {taken}."
    after = [str(int(at)) for at in np.flatnonzero(multiples.round() > 1)]
    where = ", ".join(after[:5]) + (" and more" if len(after) > 5 else "")
    count = "1 slice seems" if missing == 1 else f"{missing} slices seem"
    return mean, f"{count} to be missing (after slice {where}): slices are {spread}; {taken}."


def _slice_vector(first: Frame, last: Frame, count: int) -> NDArray[np.float64]:
    """Step from slice to slice in mm (LPS); of a single slice the normal, of length one."""
    if count == 1 or first.position is None or last.position is None:
        normal = _normal(first)
        return np.zeros(3) if normal is None else normal
    vector: NDArray[np.float64] = (last.position - first.position) / (count - 1)
    return vector


def _affine(first: Frame, slices: NDArray[np.float64]) -> Affine | None:
    """(slice, row, column) to RAS+ mm; None where the size of a pixel is unknown, or all slices lie at one place."""
    if first.position is None or first.orientation is None or first.pixel is None:
        return None
    down, across = first.pixel
    rows, columns = first.orientation[3:] * down, first.orientation[:3] * across
    return usable(LPS_TO_RAS @ from_columns(slices, rows, columns, first.position))
