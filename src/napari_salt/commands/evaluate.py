"""``napari-salt evaluate``: Dice, IoU and HD95 of masks against a reference, the latter within slices."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_salt.checked import name_key
from napari_salt.commands import checks
from napari_salt.commands.console import Console
from napari_salt.commands.images import places_asked, tell_places
from napari_salt.commands.parsing import listed, parse_names, parse_slices
from napari_salt.errors import InputError
from napari_salt.io.read import LabelImage, read_labels
from napari_salt.io.units import PIXEL, convert
from napari_salt.model.metrics import LabelScore, mean_over, score_stack
from napari_salt.records import BACKGROUND_NAME

MOST_UNNAMED = 255
"""Ids without a name that a label image has at the most; an image of grey values has more, and so have masks of
single objects."""


def run(args: argparse.Namespace, console: Console) -> None:
    """Compare two label images of one shape."""
    started = time.monotonic()
    masks, reference = _open_both(args, console)
    checks.check_pair(masks.info, args.masks, reference.info, args.reference, console)
    count = reference.shape[0]
    slices = tuple(range(count)) if args.slices is None else parse_slices(args.slices, count)
    names = None if args.names is None else parse_names(args.names)
    present = _ids(masks, slices), _ids(reference, slices)
    if names is None:
        _check_few(masks, args.masks, present[0])
        _check_few(reference, args.reference, present[1])
    labels = _labels(names, masks, reference, present)
    if all(present) and not any(one.is_in(*present) for one in labels):
        console.note(_nothing_in_both(args, masks, present))
    sized = masks if set(reference.units[1:]) == {PIXEL} else reference
    size = _pixel_size(sized)
    scores = score_stack(
        _Renumbered(
            masks, {one.in_masks: one.label_id for one in labels if one.in_masks is not None}
        ),
        reference,
        [one.label_id for one in labels],
        size or (1.0, 1.0),
        slices,
        surfaces=size is not None,
    )
    named = {one.label_id: one.name for one in labels}
    unit = sized.units[2]
    console.answer(
        _text(scores, named, unit),
        _data(scores, named, unit, slices) | {"seconds": round(time.monotonic() - started, 2)},
    )


def _pixel_size(image: LabelImage) -> tuple[float, float] | None:
    """Size along (Y, X) in the unit of X; None where rows are measured in something else."""
    _, down, across = image.spacing
    rows = convert(down, *image.units[1:])
    return None if rows is None else (rows, across)


def _open_both(args: argparse.Namespace, console: Console) -> tuple[LabelImage, LabelImage]:
    """Masks and reference, each at those of the places asked for whose axes it has."""
    at = places_asked(args)
    masks = read_labels(args.masks, fixed=at)
    reference = read_labels(args.reference, fixed=at, like=masks.info)
    places = masks.places | reference.places
    strange = listed(f"{axis}={index}" for axis, index in at.items() if axis not in places)
    if strange:
        raise InputError(
            f"Neither file has anything to choose at {strange}; besides slices, rows and columns they have "
            f"{listed(places) or 'no axes'}."
        )
    tell_places(places, args, console)
    return masks, reference


@dataclass(frozen=True)
class _ToScore:
    """A label: its id in the reference, its name, and its id in the masks, where it has one."""

    label_id: int
    name: str
    in_masks: int | None

    def is_in(self, masks: set[int], reference: set[int]) -> bool:
        """Whether its ids are among those of both files."""
        return self.in_masks in masks and self.label_id in reference


class _Renumbered:
    """Masks with the ids that the reference uses for the same names; all other ids become 0."""

    def __init__(self, image: LabelImage, ids: Mapping[int, int]) -> None:
        self.shape = image.shape
        self._image = image
        self._ids = ids

    def plane(self, index: int) -> NDArray[np.uint32]:
        """Slice ``index`` ``(Y, X)``."""
        found = self._image.plane(index)
        plane = np.zeros(found.shape, np.uint32)
        for old, new in self._ids.items():
            plane[found == old] = new
        return plane


def _ids(image: LabelImage, slices: Sequence[int]) -> set[int]:
    found: set[int] = set()
    for index in slices:
        found.update(int(label_id) for label_id in np.unique(image.plane(index)))
    return found - {0}


def _check_few(image: LabelImage, path: Path, present: set[int]) -> None:
    """``InputError`` for more ids without a name than labels have."""
    unnamed = len(present - set(image.names))
    if unnamed > MOST_UNNAMED:
        raise InputError(
            f"'{path}' holds {unnamed} values without a name, so that it looks like an image or single objects, "
            "not labels; choose the label image, or the ids to compare by --names."
        )


def _nothing_in_both(
    args: argparse.Namespace, masks: LabelImage, present: tuple[set[int], set[int]]
) -> str:
    """Why every score is zero, and what helps."""
    own, others = (sorted(ids) for ids in present)
    sentence = (
        f"No label is in both files: '{args.masks}' has the ids {listed(own)} and "
        f"'{args.reference}' {listed(others)}; "
    )
    names = [masks.names[label_id] for label_id in own if label_id in masks.names]
    if not names:
        return f"{sentence}give equal things equal ids first."
    return f'{sentence}match them by name: --names "{others[0]}={names[0]}" for example.'


def _labels(
    names: Mapping[int, str] | None,
    masks: LabelImage,
    reference: LabelImage,
    present: tuple[set[int], set[int]],
) -> list[_ToScore]:
    """What to score: the names given, else those of the files, else every id found."""
    in_masks, in_reference = present
    if not in_masks | in_reference:
        raise InputError("Neither file has a labelled pixel on these slices; nothing to compare.")
    wanted = dict(names or reference.names or masks.names)
    if names is None:
        for label_id in sorted(in_masks | in_reference):
            wanted.setdefault(label_id, f"label {label_id}")
        wanted = {i: name for i, name in wanted.items() if i in in_masks | in_reference}
    labels = [
        _ToScore(label_id, name, _id_in_masks(label_id, name, wanted, masks.names))
        for label_id, name in sorted(wanted.items())
        if name_key(name) != BACKGROUND_NAME
    ]
    strange = [
        f"{one.label_id} ({one.name})"
        for one in labels
        if one.label_id not in in_reference and one.in_masks not in in_masks
    ]
    if strange:
        raise InputError(f"Neither file has the label {listed(strange)} on these slices.")
    if not labels:
        raise InputError("There is no label besides background to compare; name at least one.")
    return labels


def _id_in_masks(
    label_id: int, name: str, wanted: Mapping[int, str], in_masks: Mapping[int, str]
) -> int | None:
    """The id of the same name in the masks; else the same id, unless that is another label's."""
    ids = {name_key(other): own for own, other in in_masks.items()}
    if name_key(name) in ids:
        return ids[name_key(name)]
    taken = name_key(in_masks.get(label_id, ""))
    return None if taken in map(name_key, wanted.values()) else label_id


def _text(scores: Sequence[LabelScore], names: Mapping[int, str], unit: str) -> str:
    width = max(len("label"), len("mean"), *(len(name) for name in names.values()))
    head = f"{'label':{width}}    Dice     IoU  HD95 in slices ({unit})"
    rows = [
        f"{names[one.label_id]:{width}}  {_number(one.dice)}  {_number(one.iou)}  "
        f"{_number(one.hd95, 2)}"
        for one in scores
    ]
    mean = (
        f"{'mean':{width}}  {_number(mean_over(scores))}  {_number(mean_over(scores, 'iou'))}  "
        f"{_number(mean_over(scores, 'hd95'), 2)}"
    )
    return "\n".join([head, *rows, mean])


def _number(value: float, digits: int = 3) -> str:
    return f"{'–':>6}" if math.isnan(value) else f"{value:6.{digits}f}"


def _data(
    scores: Sequence[LabelScore], names: Mapping[int, str], unit: str, slices: Sequence[int]
) -> dict[str, Any]:
    return {
        "dice": mean_over(scores),
        "iou": mean_over(scores, "iou"),
        "hd95": mean_over(scores, "hd95"),
        "hd95_within": "slices",
        "unit": unit,
        "slices": len(slices),
        "labels": {
            names[one.label_id]: {
                "id": one.label_id,
                "dice": one.dice,
                "iou": one.iou,
                "hd95": one.hd95,
                "common_slices": one.common_slices,
                "predicted_pixels": one.predicted_pixels,
                "reference_pixels": one.reference_pixels,
            }
            for one in scores
        },
    }
