"""``napari-salt demo``: the whole loop on the sample brain, with its reference in the place of a person."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_salt import wording
from napari_salt.commands import checks
from napari_salt.commands.console import Console
from napari_salt.commands.parsing import listed
from napari_salt.commands.running import run_here
from napari_salt.engine.requests import AdaptRequest, AdaptResult, Report, SegmentRequest
from napari_salt.errors import OutputError
from napari_salt.io.write import write_masks
from napari_salt.model.metrics import LabelScore, mean_over, score_stack
from napari_salt.records import (
    BACKGROUND,
    AnnotatedSlice,
    FitSettings,
    Label,
    SlicePrediction,
    SliceSummary,
)
from napari_salt.samples.mni_brain import load_mni_brain
from napari_salt.session.labels import LabelTable
from napari_salt.session.stack import Stack
from napari_salt.session.suggest import suggest

EVERY = 2
"""Every second slice of the sample: (2, 1, 1) mm, which two cores segment in about a minute."""

FIRST_SLICES = 3
CORRECTED_SLICES = 2
"""Slices painted at first, and slices corrected in each further round."""

SECONDS_TO_ADAPT = 90.0
"""Bound on the fitting of each round, so that a demo stays a demo on a slow computer."""

MARGIN = 3
"""Slices nearer than this to a painted one do not count in the score: they look too much like it."""


@dataclass(eq=False)
class _Loop:
    """What the loop works on, and what it has so far."""

    stack: Stack
    reference: NDArray[np.uint8]
    labels: tuple[Label, ...]
    out: Path
    device: str
    painted: list[int] = field(default_factory=list)
    masks: NDArray[np.uint8] = field(init=False)
    uncertainty: NDArray[np.float16] = field(init=False)
    summaries: dict[int, SliceSummary] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.masks = np.zeros_like(self.reference)
        self.uncertainty = np.zeros(self.reference.shape, np.float16)

    @property
    def adapter(self) -> Path:
        """Where the adapter is kept."""
        return self.out / "adapter.salt.safetensors"


@dataclass(frozen=True)
class _Row:
    """What a round came to; ``dice`` is by label id, on slices away from every painted one."""

    number: int
    painted: tuple[int, ...]
    new: tuple[str, ...]
    scored: int
    dice: dict[int, float]
    mean: float
    masks: NDArray[np.uint8]
    adapt: AdaptResult
    seconds_to_segment: float


def run(args: argparse.Namespace, console: Console) -> None:
    """Paint, adapt, segment, score, correct, as often as asked for; then write masks and picture."""
    started = time.monotonic()
    checks.check_device(args.device)
    out = _folder(args.out)
    stack, reference, names = load_mni_brain(every=EVERY)
    table = LabelTable()
    for label_id, name in names.items():
        table.add(name, label_id=label_id)
    loop = _Loop(stack, reference, tuple(table), out, args.device)
    loop.painted = evenly_spaced(reference.shape[0], FIRST_SLICES)
    new = tuple(f"slice {index}" for index in loop.painted)
    rows: list[_Row] = []
    console.text(_head(loop))
    for number in range(1, args.rounds + 1):
        rows.append(_round(loop, number, new, console, last=number == args.rounds))
        console.text(_line(rows[-1], loop))
        if number < args.rounds:
            new = _correct(loop)
    fair = [mean_over(_scores(loop, row.masks)) for row in rows]
    files = _write(loop, rows)
    seconds = round(time.monotonic() - started, 1)
    console.answer(
        _tail(files, fair, seconds),
        _data(rows, loop, files, seconds) | {"dice_on_common_slices": fair},
    )


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """``wanted`` slices between a tenth and nine tenths of a stack of ``count``."""
    return [int(index) for index in np.linspace(0.1, 0.9, wanted) * (count - 1)]


def away_from(painted: Sequence[int], count: int) -> list[int]:
    """Slices of a stack of ``count`` that are at least ``MARGIN`` away from every painted one."""
    return [index for index in range(count) if min(abs(index - near) for near in painted) >= MARGIN]


def _folder(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder '{out}' cannot be made ({error.strerror}); choose another one by --out."
        ) from error
    for name in ("masks.tif", "adapter.salt.safetensors", "overview.png"):
        checks.writable(out / name, ("",))
    return out


def _round(loop: _Loop, number: int, new: tuple[str, ...], console: Console, *, last: bool) -> _Row:
    """Adapt to the painted slices, segment the whole stack, and score it where nobody painted.

    The adapter of the ``last`` round is the one to give away, so it is fitted for other stacks as well.
    """
    prefix = f"round {number}: "
    annotated = tuple(_painted_slice(loop, index) for index in sorted(loop.painted))
    init = loop.adapter if number > 1 else None
    settings = FitSettings(device=loop.device, time_budget=SECONDS_TO_ADAPT, other_stacks=last)
    request = AdaptRequest(annotated, loop.labels, settings, loop.adapter, init=init)
    adapted: AdaptResult = run_here(request, loop.stack, console, prefix=prefix)
    started = time.monotonic()
    _segment(loop, console, prefix)
    scores = _scores(loop, loop.masks)
    return _Row(
        number,
        tuple(sorted(loop.painted)),
        new,
        len(away_from(loop.painted, len(loop.stack))),
        {one.label_id: one.dice for one in scores},
        mean_over(scores),
        loop.masks.copy(),
        adapted,
        time.monotonic() - started,
    )


def _scores(loop: _Loop, masks: NDArray[np.uint8]) -> tuple[LabelScore, ...]:
    """Score of each label on the slices away from all that are painted by now."""
    ids = [label.label_id for label in loop.labels]
    slices = away_from(loop.painted, len(loop.stack))
    spacing = loop.stack.info.spacing
    return score_stack(masks, loop.reference, ids, spacing, slices, surfaces=False)


def _painted_slice(loop: _Loop, index: int) -> AnnotatedSlice:
    """What a careful person would paint: all of the slice, ticked complete."""
    targets = loop.reference[index].astype(np.uint16)
    targets[targets == 0] = BACKGROUND
    return AnnotatedSlice(index, targets, complete=True)


def _segment(loop: _Loop, console: Console, prefix: str) -> None:
    def keep(report: Report) -> None:
        if isinstance(report, SlicePrediction):
            loop.masks[report.index] = report.labels
            loop.uncertainty[report.index] = report.uncertainty
            loop.summaries[report.index] = report.summary

    request = SegmentRequest(
        loop.adapter,
        tuple(range(len(loop.stack))),
        tuple(label.name for label in loop.labels),
        loop.device,
    )
    run_here(request, loop.stack, console, prefix=prefix, on_report=keep)


def _correct(loop: _Loop) -> tuple[str, ...]:
    """Paint the slices that the suggester asks for; returns them with its reasons."""
    found = suggest(
        list(loop.summaries.values()),
        loop.painted,
        loop.labels,
        k=CORRECTED_SLICES,
        count=len(loop.stack),
    )
    loop.painted += [one.index for one in found]
    return tuple(f"slice {one.index}: {one.reason}" for one in found)


def _write(loop: _Loop, rows: Sequence[_Row]) -> dict[str, str]:
    from napari_salt.commands.overview import Overview, draw_overview

    info = loop.stack.info
    masks = write_masks(
        loop.out / "masks.tif",
        loop.masks,
        names={label.label_id: label.name for label in loop.labels},
        colors={label.label_id: label.color for label in loop.labels},
        spacing=info.spacing,
        units=info.units,
    )
    last = rows[-1]
    heading = f"{wording.count(len(last.painted), 'painted slice')}, held-out Dice {last.mean:.3f}"
    picture = loop.out / "overview.png"
    draw_overview(
        picture,
        Overview(
            heading,
            loop.stack,
            loop.reference,
            loop.masks,
            loop.uncertainty,
            loop.labels,
            last.painted,
        ),
    )
    return {"masks": str(masks), "adapter": str(loop.adapter), "overview": str(picture)}


def _head(loop: _Loop) -> str:
    names = " ".join(f"{label.name:>14}" for label in loop.labels)
    return (
        f"{loop.stack.info.name}: {wording.facts(loop.stack.info)}\n"
        f"Held-out Dice: on slices at least {MARGIN} away from every painted one\n\n"
        f"round  painted {names}    mean   adapt  segment"
    )


def _line(row: _Row, loop: _Loop) -> str:
    dice = " ".join(f"{row.dice[label.label_id]:14.3f}" for label in loop.labels)
    return (
        f"{row.number:5}  {len(row.painted):7} {dice}  {row.mean:6.3f}  "
        f"{row.adapt.record.seconds:4.0f} s  {row.seconds_to_segment:5.0f} s   "
        f"({'; '.join(row.new) if row.number > 1 else 'slices ' + listed(row.painted)})"
    )


def _tail(files: dict[str, str], fair: Sequence[float], seconds: float) -> str:
    rows = "\n".join(f"{name:9} {path}" for name, path in files.items())
    by_round = ", ".join(f"round {number} {mean:.3f}" for number, mean in enumerate(fair, start=1))
    compared = (
        f"on the same slices, away from all painted in the end: {by_round}\n" if fair[1:] else ""
    )
    return f"{compared}\n{rows}\n{'done in':9} {wording.duration(seconds)}"


def _data(
    rows: Sequence[_Row], loop: _Loop, files: dict[str, str], seconds: float
) -> dict[str, Any]:
    last = rows[-1]
    record = last.adapt.record
    return {
        **files,
        "rounds": [
            {
                "round": row.number,
                "painted": list(row.painted),
                "new": list(row.new),
                "scored_slices": row.scored,
                "dice": row.mean,
                "dice_by_label": {one.name: row.dice[one.label_id] for one in loop.labels},
                "seconds": row.adapt.record.seconds,
                "steps": row.adapt.record.steps,
                "seconds_to_segment": round(row.seconds_to_segment, 2),
            }
            for row in rows
        ],
        "dice": last.mean,
        "steps": record.steps,
        "trainable_parameters": record.trainable_parameters,
        "seconds": seconds,
    }
