"""Segment slices by label name: label image, uncertainty, and a summary for the suggester."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from napari_salt.errors import UnknownLabelName
from napari_salt.model.adapter_file import AdapterFile, build_segmenter
from napari_salt.model.backbones.registry import warm_backbone
from napari_salt.model.device import pick_device
from napari_salt.model.framing import Intensity, measure_intensity, resize
from napari_salt.model.head import FrameMaps
from napari_salt.model.input_checks import check_channels, check_slices
from napari_salt.model.segmenter import Encoder, Segmenter
from napari_salt.records import SlicePrediction, SliceSummary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_salt.model.feature_cache import FeatureCache
    from napari_salt.model.features import SliceView
    from napari_salt.records import Label, Planes


def predict(
    planes: Planes,
    adapter: AdapterFile,
    slices: Sequence[int],
    *,
    labels: Sequence[str] | None = None,
    device: str = "auto",
    cache: FeatureCache | None = None,
) -> Generator[SlicePrediction | None, None, None]:
    """Segment ``slices`` of a stack in the order given.

    Parameters
    ----------
    planes
        The stack; read one slice at a time.
    labels
        Exact trained names to segment; None = all of them. Pixels of other labels become 0.
    cache
        Where prefix activations of earlier jobs may lie.

    Yields
    ------
    SlicePrediction or None
        One prediction for each slice; None in between where a slice takes more than one pass (a caller may stop there).

    Raises
    ------
    InputError
        Other channels than trained on, an unknown label name, a slice outside the stack.
    AdapterError
        The base weights are not the adapter's.
    """
    chosen = _chosen(adapter, labels)
    check_slices(planes, slices)
    check_channels(planes, adapter.info)
    target = pick_device(device)
    backbone = warm_backbone(adapter.info.backbone, target)
    segmenter = build_segmenter(adapter, backbone).to(target)
    if cache is not None and not cache.holds(len(slices)):
        cache = (
            None  # a stack that outgrows the limit would only push out what the next round needs
        )
    encoder = Encoder(
        backbone, intensity_for(planes, adapter), adapter.framing(), cache=cache, device=target
    )
    count = planes.info.shape[0]
    for index in slices:
        plane = planes.plane(index)
        yield from segment_plane(segmenter, encoder, plane, index, count, adapter.labels, chosen)


@torch.inference_mode()
def segment_plane(
    segmenter: Segmenter,
    encoder: Encoder,
    plane: NDArray[Any],
    index: int,
    count: int,
    labels: Sequence[Label],
    chosen: Sequence[Label] | None = None,
) -> Generator[SlicePrediction | None, None, None]:
    """Masks of slice ``index`` of ``count``; frame by frame, so that memory does not grow with the slice's frames.

    ``labels`` are the rows 1, 2, … of the head, ``chosen`` those to show (None = all). Yields None after each batch of
    frames and the prediction at the end.
    """
    view, frames = encoder.view(plane, index, count)
    maps: list[FrameMaps] = []
    looks: list[Tensor] = []
    for activations in encoder.activations(frames):
        taps = segmenter.taps(activations)
        maps.append(segmenter.head.frame_maps(taps))
        looks.append(_look(taps["neck"], view))
        yield None
    logits = segmenter.head.assemble(view, maps)
    probabilities = resize(logits.softmax(0), view.layout.size).cpu().numpy()
    yield _prediction(probabilities, index, labels, chosen, torch.stack(looks).mean(0))


def _prediction(
    probabilities: NDArray[np.float32],
    index: int,
    labels: Sequence[Label],
    chosen: Sequence[Label] | None,
    look: Tensor,
) -> SlicePrediction:
    """From probabilities (K + 1, Y, X), row 0 the background."""
    rows = probabilities.argmax(0)
    two = np.partition(probabilities, -2, axis=0)[-2:]
    unsure = np.clip(1 - (two[1] - two[0]), 0, 1)
    shown = [label for label in labels if chosen is None or label in chosen]
    kept = {label.label_id for label in shown}
    ids = np.array([0, *(one.label_id if one.label_id in kept else 0 for one in labels)])
    image = ids.astype(np.uint8 if ids.max() < 256 else np.uint16)[rows]
    doubts, areas = {}, {}
    for row, label in enumerate(labels, start=1):
        if label in shown:
            # where the label is contested: the sure inside of a large one would drown its rim
            around = (probabilities[row] > 0.05) & (probabilities[row] < 0.95)
            doubts[label.label_id] = float(unsure[around].mean()) if around.any() else 0.0
            areas[label.label_id] = int(np.count_nonzero(rows == row))
    vector = (look / look.norm().clamp(min=1e-12)).cpu().numpy()
    summary = SliceSummary(index, float(unsure.mean()), areas, doubts, vector)
    return SlicePrediction(index, image, unsure.astype(np.float16), summary)


def intensity_for(planes: Planes, adapter: AdapterFile) -> Intensity:
    """Percentiles of this very stack, or the window that the adapter fixes."""
    trained = adapter.trained_intensity()
    return trained if trained.method == "window" else measure_intensity(planes)


def _chosen(adapter: AdapterFile, names: Sequence[str] | None) -> list[Label] | None:
    if names is None:
        return None
    by_name = {label.name: label for label in adapter.labels}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        known = ", ".join(f"'{name}'" for name in by_name)
        raise UnknownLabelName(
            f"This adapter was never trained on '{unknown[0]}'; it knows {known}."
        )
    return [by_name[name] for name in names]


def _look(neck: Tensor, view: SliceView) -> Tensor:
    """(2 C,): mean and spread of the embedding (T, C, h, w) over the slice, without the padding of its frames."""
    layout = view.layout
    shown = [min(1.0, length / layout.frame_size) for length in layout.zoomed]
    height = max(1, round(neck.shape[2] * shown[0]))
    width = max(1, round(neck.shape[3] * shown[1]))
    values = neck[:, :, :height, :width].float().permute(1, 0, 2, 3).flatten(1)
    return torch.cat([values.mean(1), values.std(1)])
