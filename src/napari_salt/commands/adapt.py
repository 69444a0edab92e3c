"""``napari-salt adapt``: fit an adapter to labelled slices."""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_salt import wording
from napari_salt.commands import checks
from napari_salt.commands.annotated import Paint, read_paint
from napari_salt.commands.console import Console
from napari_salt.commands.images import indices, open_image, open_labels
from napari_salt.commands.parsing import listed, parse_names, parse_slices
from napari_salt.commands.running import run_here
from napari_salt.engine.requests import AdapterSaved, AdaptRequest, AdaptResult, Report
from napari_salt.errors import InputError
from napari_salt.intensity import AUTO, parse_percentiles, parse_window
from napari_salt.io.read import LabelImage
from napari_salt.model.adapter_info import SUFFIX, read_info
from napari_salt.model.backbones.registry import backbone_sha256
from napari_salt.model.input_checks import (
    check_annotations,
    check_channels,
    check_contrast,
    check_start,
    check_window,
)
from napari_salt.model.limits import measure_limits
from napari_salt.records import FitSettings, IntensityChoice
from napari_salt.session.stack import Stack


def run(args: argparse.Namespace, console: Console) -> None:
    """Check everything, adapt, and tell how it went."""
    started = time.monotonic()
    out = checks.writable(args.out, (checks.ADAPTER_SUFFIX,))
    settings = replace(_settings(args), intensity=_intensity(args))
    checks.check_device(settings.device)
    backbone_sha256(settings.backbone)
    stack = open_image(args, console)
    if args.init is not None:
        _check_init(args.init, settings, stack)
    if settings.intensity.method == "window":
        check_window(settings.intensity, measure_limits(stack, settings.intensity))
    paint = _paint(args, stack, console)
    painted = check_annotations(stack, paint.annotated, paint.labels)
    check_contrast(stack, [one.index for one in painted])
    for sentence in _notices(paint):
        console.note(sentence)
    request = AdaptRequest(
        paint.annotated, paint.labels, settings, out, init=args.init, first=_first_beside(out)
    )
    result = _adapt(request, stack, console)
    if result.left_out:
        console.note(f"{wording.left_out(result.left_out).capitalize()}.")
    console.answer(
        _text(result),
        _data(result, paint)
        | {"at": indices(stack.places), "total_seconds": round(time.monotonic() - started, 2)},
    )


def _settings(args: argparse.Namespace) -> FitSettings:
    return FitSettings(
        kind=args.kind,
        backbone=args.backbone,
        rank=args.rank,
        low_rank=args.low_rank,
        steps=args.steps,
        time_budget=args.time_budget,
        seed=args.seed,
        device=args.device,
        text_model=args.text_model,
        other_stacks=not args.this_stack_only,
    )


def _intensity(args: argparse.Namespace) -> IntensityChoice:
    """What was asked for, else that of the adapter to go on from."""
    if args.window is not None and args.percentiles is not None:
        raise InputError("Give --window or --percentiles, not both.")
    if args.window is not None:
        return parse_window(args.window)
    if args.percentiles is not None:
        return parse_percentiles(args.percentiles)
    return AUTO if args.init is None else read_info(args.init).intensity_choice


def _check_init(init: Path, settings: FitSettings, stack: Stack) -> None:
    info = read_info(init)
    checks.check_base(info, settings.backbone)
    check_channels(stack, info)
    check_start(info, settings.intensity)


def _paint(args: argparse.Namespace, stack: Stack, console: Console) -> Paint:
    image = open_labels(args.labels, stack, console, args.level)
    checks.check_pair(image.info, args.labels, stack.info, args.image, console)
    slices = None if args.slices is None else parse_slices(args.slices, image.shape[0])
    return read_paint(image, args.labels, _names(args, image), slices, complete=args.complete)


def _names(args: argparse.Namespace, image: LabelImage) -> dict[int, str]:
    if args.names is not None:
        return parse_names(args.names)
    if not image.names:
        raise InputError(
            f"'{args.labels}' carries no label names; give them by --names "
            '"1=gray matter,2=white matter".'
        )
    return image.names


def _notices(paint: Paint) -> list[str]:
    names = {label.label_id: label.name for label in paint.labels}
    sentences = [
        f"Id {old} stands for background in napari-salt: '{names[new]}' gets id {new} in the adapter "
        "and its masks."
        for old, new in paint.renumbered.items()
    ]
    if paint.missing:
        sentences.append(f"Left out, as no slice used carries it: {listed(paint.missing)}.")
    return sentences


def _first_beside(out: Path) -> Path | None:
    """Where the first fit stands until there is a better one; None where nothing is in the place of the result.

    An adapter that is there is worth more than the first fit of a job that may never end. Nor does an earlier first
    fit have to go: somebody may go on from it.
    """
    if not out.exists():
        return None
    ending = next(end for end in (SUFFIX, checks.ADAPTER_SUFFIX) if out.name.lower().endswith(end))
    name, ending = out.name[: -len(ending)], out.name[-len(ending) :]
    for number in itertools.count(1):
        first = out.with_name(f"{name}.first-fit{'' if number == 1 else f'-{number}'}{ending}")
        if not first.exists():
            return first
    raise AssertionError("numbers have no end")


def _adapt(request: AdaptRequest, stack: Stack, console: Console) -> AdaptResult:
    saved: list[AdapterSaved] = []

    def keep(report: Report) -> None:
        if isinstance(report, AdapterSaved):
            saved.append(report)

    try:
        result: AdaptResult = run_here(request, stack, console, on_report=keep)
    except BaseException:
        if saved and saved[-1].provisional:
            before = "" if request.first is None else f"; '{request.out}' is as it was"
            console.note(f"The first fit is kept in '{saved[-1].path}'{before}.")
        raise
    return result


def _text(result: AdaptResult) -> str:
    record = result.record
    dice = record.held_out_after if record.kept == "adapted" else record.held_out_before
    score = record.score_note or "no held-out score"
    if dice is not None:
        score = f"held-out Dice {dice:.3f}"
    elsewhere = wording.other_stacks(record)
    return (
        f"Adapted to {wording.count(len(record.slices), 'slice')} in "
        f"{wording.duration(record.seconds)}, {wording.count(record.steps, 'step')}: {score}\n"
        + (f"For other stacks: {elsewhere}\n" if elsewhere else "")
        + f"{result.adapter_path} ({wording.size(result.size_bytes)})"
    )


def _data(result: AdaptResult, paint: Paint) -> dict[str, Any]:
    record = result.record
    kept = record.held_out_after if record.kept == "adapted" else record.held_out_before
    return {
        "adapter": str(result.adapter_path),
        "size_bytes": result.size_bytes,
        "labels": {label.label_id: label.name for label in paint.labels},
        "left_out": list(paint.missing),
        "unreadable": list(result.left_out),
        "slices": list(record.slices),
        "kind": record.kind,
        "backbone": record.backbone,
        "device": record.device,
        "seed": record.seed,
        "seconds": record.seconds,
        "steps": record.steps,
        "trainable_parameters": record.trainable_parameters,
        "kept": record.kept,
        "dice": kept,
        "dice_first_fit": record.held_out_before,
        "dice_by_label": dict(record.held_out_by_label),
        "score_note": record.score_note,
        "elsewhere_steps": record.elsewhere_steps,
        "elsewhere_dice_without": record.elsewhere_before,
        "elsewhere_dice": record.elsewhere_after,
    }
