"""How well a prediction matches a reference: Dice, IoU, HD95 and surface Dice (numpy and scipy only).

Edge cases, everywhere the same. A label absent from both says nothing: nan, and ``mean_over`` leaves
it out. A label in only one of the two is wrong as a whole: Dice, IoU and surface Dice 0, HD95 infinite.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf, isnan, nan
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_salt.errors import InputError

Mask = NDArray[np.bool_]
Labels = NDArray[np.integer[Any]]
Distances = NDArray[np.float64]


class _Array(Protocol):
    """Label image ``(N, Y, X)`` of any kind of array."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, key: Any, /) -> Any: ...


@runtime_checkable
class _PlaneSource(Protocol):
    """Label image that hands out one slice at a time."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def plane(self, index: int) -> NDArray[Any]: ...


LabelSource = _Array | _PlaneSource
"""A label image ``(N, Y, X)``: an array, or an object with ``shape`` and ``plane(index)``."""


def dice(prediction: Labels, reference: Labels, label_ids: Iterable[int]) -> dict[int, float]:
    """Dice of each label, ``2 |P ∩ R| / (|P| + |R|)``, 0..1, over arrays of one shape.

    Source: Dice 1945; edge cases as in the module's docstring.
    """
    return {i: _dice(*_counts(prediction, reference, i)) for i in label_ids}


def iou(prediction: Labels, reference: Labels, label_ids: Iterable[int]) -> dict[int, float]:
    """Intersection over union of each label, ``|P ∩ R| / |P ∪ R|``, 0..1, over arrays of one shape.

    Source: Jaccard 1912; edge cases as in the module's docstring.
    """
    return {i: _iou(*_counts(prediction, reference, i)) for i in label_ids}


def hausdorff95(prediction: Mask, reference: Mask, spacing: Sequence[float]) -> float:
    """Larger of the two directed 95th percentiles of distances between surfaces.

    Parameters
    ----------
    prediction, reference
        Boolean masks of one shape, ``(Y, X)`` or ``(Z, Y, X)``.
    spacing
        Size of a pixel along each axis; the result is in its unit.

    Returns
    -------
    float
        nan when both masks are empty, infinite when one is. A surface is made of the mask's pixels
        that touch (by an edge) a pixel outside it or the border of the image.

    Source: Huttenlocher et al. 1993, with the percentile as in MONAI's ``compute_hausdorff_distance``.
    """
    return _hd95(*surface_distances(prediction, reference, spacing))


def surface_dice(
    prediction: Mask, reference: Mask, spacing: Sequence[float], tolerance: float
) -> float:
    """Part of both surfaces that lies within ``tolerance`` (unit of ``spacing``) of the other, 0..1.

    Also called normalised surface distance (NSD). nan when both masks are empty, 0 when one is.
    Surfaces and ``spacing`` as in ``hausdorff95``. Source: Nikolov et al., arXiv 1809.04430, counting
    surface pixels.
    """
    return _nsd(*surface_distances(prediction, reference, spacing), tolerance)


def surface_distances(
    prediction: Mask, reference: Mask, spacing: Sequence[float]
) -> tuple[Distances, Distances]:
    """Distance of each surface pixel of one mask to the surface of the other, both ways.

    Returns the distances of the prediction's surface and of the reference's, each 1-D, in the unit of
    ``spacing``; empty for an empty mask, infinite where only the other one is empty.
    """
    _check_shapes(prediction.shape, reference.shape)
    if len(spacing) != prediction.ndim:
        raise InputError(
            f"{prediction.ndim} axes need {prediction.ndim} sizes, not {len(spacing)}."
        )
    # Outside the box around both masks nothing can be nearer; distances inside stay exact.
    box = _box(prediction | reference)
    edges = [_surface(mask[box]) for mask in (prediction, reference)]
    return _directed(edges[0], edges[1], spacing), _directed(edges[1], edges[0], spacing)


@dataclass(frozen=True)
class LabelScore:
    """How well one label was found over a stack.

    Attributes
    ----------
    dice, iou
        From intersections and areas summed over slices, 0..1; nan when the label is in neither image.
    hd95
        Larger of the two directed 95th percentiles, in the unit of the spacing. Distances are measured
        within slices that carry the label in both images, and pooled over these; slices that carry it
        in one image only have no distance and show in Dice. Infinite when there is no common slice.
    surface_dice
        Surface pixels within the tolerance, over all slices; those on slices where the other image
        lacks the label count as outside. nan without a tolerance.
    predicted_pixels, reference_pixels
        Areas, summed.
    common_slices
        Slices that carry the label in both images.
    """

    label_id: int
    dice: float
    iou: float
    hd95: float = nan
    surface_dice: float = nan
    predicted_pixels: int = 0
    reference_pixels: int = 0
    common_slices: int = 0


def score_stack(
    prediction: LabelSource,
    reference: LabelSource,
    label_ids: Sequence[int],
    spacing: Sequence[float],
    slices: Iterable[int] | None = None,
    *,
    surfaces: bool = True,
    tolerance: float | None = None,
) -> tuple[LabelScore, ...]:
    """Score of each label over the slices of a stack; one slice of each image in memory at a time.

    Parameters
    ----------
    prediction, reference
        Label images ``(N, Y, X)``: arrays, or objects with ``shape`` and ``plane(index)``.
    label_ids
        Labels to score, in the order of the result.
    spacing
        Size of a pixel; the last two numbers, Y and X, are used.
    slices
        Slices to look at; all when None.
    surfaces
        Whether to measure surfaces; without, HD95 and surface Dice are nan.
    tolerance
        For surface Dice, in the unit of ``spacing``.

    Raises
    ------
    InputError
        When shapes differ, or a slice does not exist.
    """
    _check_shapes(tuple(prediction.shape), tuple(reference.shape))
    count = int(reference.shape[0])
    tallies = {label_id: _Tally() for label_id in label_ids}
    plane_spacing = tuple(float(size) for size in spacing)[-2:]
    for index in range(count) if slices is None else slices:
        if not 0 <= index < count:
            raise InputError(
                f"Slice {index} does not exist; the stack has slices 0 to {count - 1}."
            )
        predicted, wanted = _plane(prediction, index), _plane(reference, index)
        for label_id, tally in tallies.items():
            tally.add(predicted == label_id, wanted == label_id, plane_spacing, surfaces)
    return tuple(tally.score(label_id, tolerance) for label_id, tally in tallies.items())


def mean_over(
    scores: Iterable[LabelScore], figure: Literal["dice", "iou", "hd95", "surface_dice"] = "dice"
) -> float:
    """Mean of a figure over the labels that have one; nan when none has."""
    values = [value for score in scores if not isnan(value := float(getattr(score, figure)))]
    return sum(values) / len(values) if values else nan


@dataclass(eq=False)
class _Tally:
    """Sums of one label over the slices seen so far."""

    common: int = 0
    predicted: int = 0
    wanted: int = 0
    slices: int = 0
    lone: int = 0
    forth: list[Distances] = field(default_factory=list)
    back: list[Distances] = field(default_factory=list)

    def add(
        self, predicted: Mask, wanted: Mask, spacing: tuple[float, ...], surfaces: bool
    ) -> None:
        areas = int(np.count_nonzero(predicted)), int(np.count_nonzero(wanted))
        self.predicted += areas[0]
        self.wanted += areas[1]
        if all(areas):
            self.slices += 1
            self.common += int(np.count_nonzero(predicted & wanted))
        if not surfaces or not any(areas):
            return
        if not all(areas):
            one = predicted if areas[0] else wanted
            self.lone += int(np.count_nonzero(_surface(one[_box(one)])))
            return
        forth, back = surface_distances(predicted, wanted, spacing)
        self.forth.append(forth)
        self.back.append(back)

    def score(self, label_id: int, tolerance: float | None) -> LabelScore:
        counts = self.common, self.predicted, self.wanted
        hd95 = near = nan
        if self.forth:
            forth, back = np.concatenate(self.forth), np.concatenate(self.back)
            hd95 = _hd95(forth, back)
            if tolerance is not None:
                near = _nsd(np.append(forth, np.full(self.lone, inf)), back, tolerance)
        elif self.lone:
            hd95, near = inf, nan if tolerance is None else 0.0
        return LabelScore(
            label_id,
            _dice(*counts),
            _iou(*counts),
            hd95,
            near,
            self.predicted,
            self.wanted,
            self.slices,
        )


def _counts(prediction: Labels, reference: Labels, label_id: int) -> tuple[int, int, int]:
    """Pixels of the intersection, of the prediction, and of the reference."""
    _check_shapes(prediction.shape, reference.shape)
    predicted, wanted = prediction == label_id, reference == label_id
    both = np.count_nonzero(predicted & wanted)
    return int(both), int(np.count_nonzero(predicted)), int(np.count_nonzero(wanted))


def _dice(common: int, predicted: int, wanted: int) -> float:
    return 2 * common / (predicted + wanted) if predicted + wanted else nan


def _iou(common: int, predicted: int, wanted: int) -> float:
    union = predicted + wanted - common
    return common / union if union else nan


def _hd95(forth: Distances, back: Distances) -> float:
    if not forth.size and not back.size:
        return nan
    if not forth.size or not back.size:
        return inf
    return float(max(np.percentile(forth, 95), np.percentile(back, 95)))


def _nsd(forth: Distances, back: Distances, tolerance: float) -> float:
    total = forth.size + back.size
    if not total:
        return nan
    near = np.count_nonzero(forth <= tolerance) + np.count_nonzero(back <= tolerance)
    return float(near / total)


def _surface(mask: Mask) -> Mask:
    """Pixels of a mask that touch by an edge what is outside it; the border counts as outside."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask), np.bool_)


def _directed(of: Mask, to: Mask, spacing: Sequence[float]) -> Distances:
    if not of.any():
        return np.zeros(0)
    if not to.any():
        return np.full(int(np.count_nonzero(of)), inf)
    distances = ndimage.distance_transform_edt(~to, sampling=tuple(spacing))
    return np.asarray(distances[of], np.float64)


def _box(mask: Mask) -> tuple[slice, ...]:
    """Smallest box around a mask; an empty one for an empty mask."""
    return tuple(
        _span(np.atleast_1d(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis))))
        for axis in range(mask.ndim)
    )


def _span(hits: Mask) -> slice:
    places = np.flatnonzero(hits)
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 0)


def _plane(source: LabelSource, index: int) -> NDArray[Any]:
    return np.asarray(source.plane(index) if isinstance(source, _PlaneSource) else source[index])


def _check_shapes(prediction: tuple[int, ...], reference: tuple[int, ...]) -> None:
    if prediction != reference:
        raise InputError(
            f"The prediction has shape {prediction} and the reference {reference}; "
            "compare masks of one image."
        )
