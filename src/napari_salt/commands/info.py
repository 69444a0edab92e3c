"""``napari-salt info``: what an adapter file, or an image, says about itself; without torch."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from napari_salt import wording
from napari_salt.commands import checks
from napari_salt.commands.console import Console
from napari_salt.commands.image_info import tell_image
from napari_salt.commands.parsing import listed
from napari_salt.intensity import Limits, words
from napari_salt.model.adapter_info import AdapterInfo, read_info


def run(args: argparse.Namespace, console: Console) -> None:
    """Read the header and tell; of anything but an adapter, as of an image."""
    if not args.adapter.name.lower().endswith(checks.ADAPTER_SUFFIX):
        args.image = args.adapter
        tell_image(args, console)
        return
    info = read_info(args.adapter)
    size = args.adapter.stat().st_size
    record = info.record
    dice = record.held_out_after if record.kept == "adapted" else record.held_out_before
    shared = {
        "seconds": record.seconds,
        "steps": record.steps,
        "trainable_parameters": record.trainable_parameters,
        "dice": dice,
    }
    console.answer(
        _text(info, size, dice),
        {"adapter": str(args.adapter), "size_bytes": size, **shared, **asdict(info)},
    )


def _text(info: AdapterInfo, size: int, dice: float | None) -> str:
    record = info.record
    score = record.score_note or "none" if dice is None else f"{dice:.3f}"
    planes = "colour" if info.rgb else "grey" if info.channels == 1 else f"{info.channels} channels"
    rows = {
        "labels": ", ".join(f"{label.label_id} {label.name}" for label in info.labels),
        "backbone": f"{info.backbone} (SHA-256 {info.weights_sha256[:12]}…)",
        "adapter": f"{info.kind}, {record.trainable_parameters:,} trainable parameters",
        "images": f"{planes}, voxels of "
        + " × ".join(f"{value:g}" for value in info.spacing)
        + f" {info.units[-1]}",
        "intensities": _intensities(info),
        "a slice": wording.seen(along=info.volume, everywhere=not info.this_stack_only),
        "trained on": f"{wording.count(len(record.slices), 'slice')} ({listed(record.slices)})",
        "training": f"{record.steps} steps in {wording.duration(record.seconds)} on "
        f"{record.device}, kept: {record.kept}",
        "held-out Dice": score,
        "other stacks": _other_stacks(info),
        "written": f"{info.created} by napari-salt {info.version}",
        "size": wording.size(size),
    }
    return "\n".join(f"{name:14} {value}" for name, value in rows.items())


def _other_stacks(info: AdapterInfo) -> str:
    """What was learned for them."""
    if info.this_stack_only:
        return "nothing was learned for them; it finds its labels on its own stack"
    told = wording.other_stacks(info.record) or "no adapter of their own"
    alike = "; those of the same range and noise are seen as its own stack"
    return told + (alike if info.instruments and info.noise is not None else "")


def _intensities(info: AdapterInfo) -> str:
    """What it is shown as black and white, with the numbers of the stack it was trained on."""
    kept = info.intensity
    low, high = tuple(kept["low"]), tuple(kept["high"])
    least, most = tuple(kept.get("least", low)), tuple(kept.get("most", high))
    return words(info.intensity_choice, Limits(low, high, least, most))
