"""A picture of what the demo did: image, reference, masks and uncertainty of a few slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_salt.io.atomic import atomic_write
from napari_salt.records import Label
from napari_salt.session.stack import Stack

COLUMNS = ("image", "reference", "masks", "uncertainty")
PAPER = "#16181d"
INK = "#e8e8ea"
FAINT = "#9a9ca3"
OPACITY = 0.55
SHOWN_SLICES = 4


@dataclass(frozen=True, eq=False)
class Overview:
    """What the picture shows; arrays are ``(N, Y, X)``, ``painted`` are the slices that were trained on."""

    heading: str
    stack: Stack
    reference: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    uncertainty: NDArray[np.float16]
    labels: tuple[Label, ...]
    painted: tuple[int, ...]


def draw_overview(path: Path, shown: Overview) -> None:
    """Write the picture as PNG; ``OutputError`` when the disk does not take it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    slices = slices_to_show(shown.painted, np.asarray(shown.reference.any(axis=(1, 2))))
    rows, columns = _box(np.asarray(shown.stack.data))
    figure = Figure(figsize=(11, 1.1 + 3.05 * len(slices)), facecolor=PAPER)
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(slices), len(COLUMNS), squeeze=False)
    top = float(np.percentile(np.asarray(shown.stack.data), 99.8))
    for line, index in zip(grid, slices, strict=True):
        plane = shown.stack.plane(index)[rows, columns]
        for axes in line:
            axes.imshow(plane, cmap="gray", vmin=0, vmax=top)
            axes.set_axis_off()
        line[1].imshow(_paint(shown.reference[index][rows, columns], shown.labels))
        line[2].imshow(_paint(shown.masks[index][rows, columns], shown.labels))
        doubt = shown.uncertainty[index][rows, columns].astype(np.float32)
        heat = line[3].imshow(doubt, cmap="magma", vmin=0, vmax=1)
        state = "painted" if index in shown.painted else "never painted"
        line[0].text(
            0.02,
            0.98,
            f"slice {index}",
            color=INK,
            fontsize=11,
            va="top",
            transform=line[0].transAxes,
        )
        line[0].text(
            0.02, 0.02, state, color=FAINT, fontsize=9, va="bottom", transform=line[0].transAxes
        )
    for axes, title in zip(grid[0], COLUMNS, strict=True):
        axes.set_title(title, color=INK, fontsize=12)
    height = figure.get_figheight()
    figure.subplots_adjust(0.01, 0.6 / height, 0.99, 1 - 0.85 / height, 0.02, 0.02)
    figure.suptitle(shown.heading, color=INK, fontsize=14, y=1 - 0.28 / height)
    key = [Patch(color=label.color[:3], label=label.name) for label in shown.labels]
    figure.legend(
        handles=key,
        loc="center",
        bbox_to_anchor=(0.5, 0.27 / height),
        ncols=len(key),
        frameon=False,
        labelcolor=INK,
        fontsize=11,
    )
    place = figure.add_axes((0.77, 0.4 / height, 0.2, 0.12 / height))
    bar = figure.colorbar(heat, cax=place, orientation="horizontal", ticks=())
    bar.outline.set_visible(False)
    for x, word, side in ((0, "sure", "left"), (1, "undecided", "right")):
        place.text(x, -0.5, word, color=INK, va="top", ha=side, transform=place.transAxes)
    with atomic_write(path) as part:
        figure.savefig(part, dpi=110, facecolor=PAPER, format="png")


def slices_to_show(painted: Sequence[int], labelled: NDArray[np.bool_]) -> list[int]:
    """One painted slice from the middle, and others spread over the stack, far from painted ones."""
    inside = np.flatnonzero(labelled)
    middle = sorted(painted)[len(painted) // 2]
    parts = np.array_split(inside[len(inside) // 10 : -max(len(inside) // 10, 1)], SHOWN_SLICES)
    chosen = {middle}
    for part in parts:
        if not len(part) or middle in part:
            continue
        distance = np.abs(part[:, None] - np.array(painted)[None]).min(axis=1)
        chosen.add(int(part[int(distance.argmax())]))
    return sorted(chosen)


def _box(volume: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Rows and columns with anything in them, and a small margin."""
    flat = np.asarray(volume.any(axis=0))
    spans = []
    for axis, length in enumerate(flat.shape):
        hits = np.flatnonzero(flat.any(axis=1 - axis))
        spans.append(slice(max(int(hits[0]) - 4, 0), min(int(hits[-1]) + 5, length)))
    return spans[0], spans[1]


def _paint(labels: NDArray[np.uint8], table: Sequence[Label]) -> NDArray[np.float32]:
    """``(Y, X, 4)`` colours of a label plane, see-through where there is no label."""
    colors = np.zeros((*labels.shape, 4), np.float32)
    for label in table:
        colors[labels == label.label_id] = (*label.color[:3], OPACITY)
    return colors
