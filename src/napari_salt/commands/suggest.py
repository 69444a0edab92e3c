"""``napari-salt suggest``: the slices where a correction helps most."""

from __future__ import annotations

import argparse
import time

from napari_salt.commands import checks
from napari_salt.commands.console import Console
from napari_salt.commands.images import indices
from napari_salt.commands.parsing import listed, parse_slices
from napari_salt.commands.running import run_here
from napari_salt.engine.requests import Report, SegmentRequest
from napari_salt.model.adapter_info import AdapterInfo
from napari_salt.records import SlicePrediction, SliceSummary
from napari_salt.session.suggest import suggest


def run(args: argparse.Namespace, console: Console) -> None:
    """Segment every slice, keep only what the suggestion needs, and rank."""
    started = time.monotonic()
    checks.check_device(args.device)
    info = checks.usable_adapter(args.adapter)
    stack = checks.stack_for(args, info, console)
    count = stack.info.shape[0]
    labelled = _labelled(args, info, count, console)
    summaries: list[SliceSummary] = []

    def keep(report: Report) -> None:
        if isinstance(report, SlicePrediction):
            summaries.append(report.summary)

    request = SegmentRequest(args.adapter, tuple(range(count)), None, args.device)
    run_here(request, stack, console, on_report=keep)
    found = suggest(summaries, labelled, info.labels, k=args.k, count=count)
    lines = [f"slice {one.index}: {one.reason}" for one in found]
    console.answer(
        "\n".join(lines) or "Every slice is labelled or like one that is.",
        {
            "suggestions": [
                {"slice": one.index, "score": round(one.score, 4), "reason": one.reason}
                for one in found
            ],
            "labelled": list(labelled),
            "at": indices(stack.places),
            "seconds": round(time.monotonic() - started, 2),
        },
    )


def _labelled(
    args: argparse.Namespace, info: AdapterInfo, count: int, console: Console
) -> tuple[int, ...]:
    if args.labelled is not None:
        return parse_slices(args.labelled, count)
    own = tuple(index for index in info.record.slices if index < count)
    if own:
        console.note(
            f"Taking the slices that the adapter was trained on as labelled ({listed(own)}); "
            "--labelled says otherwise."
        )
    return own
