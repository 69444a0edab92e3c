"""What the user gives, checked before any work starts; no torch here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_salt.checked import LONGEST_TEXT, is_plain
from napari_salt.errors import AdapterError, InputError
from napari_salt.intensity import why_outside, words
from napari_salt.model.limits import measured_slices
from napari_salt.model.readable import readable
from napari_salt.records import BACKGROUND, UNLABELLED, AnnotatedSlice, Label, Planes
from napari_salt.regions import is_large
from napari_salt.sparse_plane import ids_of

if TYPE_CHECKING:
    from napari_salt.intensity import Limits
    from napari_salt.model.adapter_info import AdapterInfo
    from napari_salt.records import IntensityChoice, StackInfo


def check_annotations(
    planes: Planes, annotated: Sequence[AnnotatedSlice], labels: Sequence[Label]
) -> list[AnnotatedSlice]:
    """The slices that carry paint; InputError when they, or the names of the labels, cannot be trained on."""
    for label in labels:
        if len(label.name) > LONGEST_TEXT or not is_plain(label.name):
            raise InputError(
                f"The name of label {label.label_id} is too long or holds control characters; give it another."
            )
    size = planes.info.shape[1:]
    known = {UNLABELLED, BACKGROUND, *(label.label_id for label in labels)}
    seen: set[int] = set()
    painted: list[AnnotatedSlice] = []
    indices = [one.index for one in annotated]
    twice = [index for index in indices if indices.count(index) > 1]
    if twice:
        raise InputError(
            f"Slice {twice[0]} is given twice; give each painted slice once, with all its labels."
        )
    for one in annotated:
        if one.targets.shape != size:
            raise InputError(
                f"The labels of slice {one.index} are {one.targets.shape} pixels and the image is {size}; "
                "give labels of the image's shape."
            )
        ids = ids_of(one.targets)
        if ids - known:
            raise InputError(
                f"Slice {one.index} carries the unknown label id {min(ids - known)}; give it a name first."
            )
        if ids - {UNLABELLED}:
            painted.append(one)
            seen |= ids
    seen -= {UNLABELLED}
    if not seen - {BACKGROUND}:
        raise InputError("No pixel of a label is painted yet; paint at least one slice first.")
    if len(seen) == 1:
        raise InputError(
            "Only one label is painted; paint some background too, or mark a slice as complete."
        )
    return painted


def painted_labels(annotated: Sequence[AnnotatedSlice], labels: Sequence[Label]) -> list[Label]:
    """Those of ``labels`` that occur in ``annotated``, in order."""
    seen = set().union(*(ids_of(one.targets) for one in annotated))
    return [label for label in labels if label.label_id in seen]


def check_slices(planes: Planes, slices: Sequence[int]) -> None:
    """InputError when a slice lies outside the stack."""
    count = planes.info.shape[0]
    outside = [index for index in slices if not 0 <= index < count]
    if outside:
        raise InputError(
            f"Slice {outside[0]} is outside the stack, which has slices 0 to {count - 1}."
        )


def check_contrast(planes: Planes, slices: Sequence[int]) -> None:
    """InputError when these ``slices``, and those that intensities are measured on, show nothing at all.

    That is one finite value of each channel, or none. Reading ends where two values differ, in the first slice as a
    rule. Large slices are not read: between small samples of them there may be something to see. Nor are those told of
    here that cannot be read.
    """
    info, planes = planes.info, readable(planes)
    if is_large(info):
        return
    found: dict[int, set[float]] = {}
    for index in dict.fromkeys([*slices, *measured_slices(info.shape[0])]):
        plane = np.asarray(planes.plane(index))
        channels = plane.reshape(-1, plane.shape[-1] if plane.ndim == 3 else 1).T
        for number, channel in enumerate(channels[:3] if info.rgb else channels):
            values = channel[np.isfinite(channel)]
            if values.size:
                found.setdefault(number, set()).update((values.min().item(), values.max().item()))
        if any(len(values) > 1 for values in found.values()):
            return
    only = dict.fromkeys(f"{value:g}" for values in found.values() for value in values)
    what = f"one value only ({', '.join(only)})" if only else "no number, only NaN or infinity"
    raise InputError(
        f"The image holds {what}, on all slices that were looked at; choose an image, or a channel, that shows "
        "something."
    )


def check_channels(planes: Planes, info: AdapterInfo) -> None:
    """InputError when the stack has other channels than the adapter was trained on."""
    found = planes.info
    # alpha is dropped, so colour is colour with or without it
    same = found.rgb or found.channels == info.channels
    if found.rgb != info.rgb or not same:
        raise InputError(
            f"The adapter was trained on {_describe(info.channels, info.rgb)} images and this one is "
            f"{_describe(found.channels, found.rgb)}; choose an image like those it was trained on."
        )


def check_window(choice: IntensityChoice, limits: Limits) -> None:
    """InputError when a stack of these ``limits`` shows nothing through the window chosen for it."""
    why = why_outside(choice, limits)
    if why:
        raise InputError(f"{why}; choose a window that they reach, or percentiles.")


def check_start(info: AdapterInfo, choice: IntensityChoice) -> None:
    """AdapterError when what an adapter has learned would be continued on other intensities."""
    before = info.intensity_choice
    if before != choice:
        raise AdapterError(
            f"The adapter to start from was adapted to intensities {words(before)} and cannot be continued with "
            f"{words(choice)}; choose the same, or start without it."
        )


def check_unit(stack: StackInfo, limits: Limits, info: AdapterInfo) -> None:
    """InputError when the intensities of a stack cannot be in the unit of an adapter's window."""
    choice = info.intensity_choice
    if choice.method != "window":
        return
    least = min(info.intensity.get("least", [0.0]))
    if least < 0 and np.dtype(stack.dtype).kind in "ub":
        raise InputError(
            f"The adapter looks at intensities of {words(choice)}, learned where they start at {least:g}, and this "
            f"image is {stack.dtype}, which has none below 0; open it in the unit of the painted stack, or "
            "adapt with percentiles."
        )
    why = why_outside(choice, limits)
    if why:
        raise InputError(
            f"{why}; open the image in the unit of the stack that the adapter was trained on, or adapt "
            "with percentiles."
        )


def _describe(channels: int, rgb: bool) -> str:
    if rgb:
        return "colour"
    return "grey" if channels == 1 else f"{channels}-channel"
