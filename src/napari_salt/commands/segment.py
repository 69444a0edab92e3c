"""``napari-salt segment``: masks of a stack from an adapter and label names."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_salt import wording
from napari_salt.commands import checks
from napari_salt.commands.console import Console
from napari_salt.commands.images import indices, open_finest
from napari_salt.commands.masks_out import MasksOut, masks_out
from napari_salt.commands.parsing import parse_list, parse_slices
from napari_salt.commands.running import run_here
from napari_salt.commands.unfinished import unfinished_masks
from napari_salt.engine.requests import Report, SegmentRequest, StackPrepared
from napari_salt.errors import InputError
from napari_salt.intensity import ranges
from napari_salt.io.enlarged import EnlargedMasks
from napari_salt.io.identity import closer_identity
from napari_salt.io.image_itself import check_not_image
from napari_salt.io.mask_store import MadeOf
from napari_salt.io.write import write_image
from napari_salt.model.adapter_info import AdapterInfo
from napari_salt.model.conditions import Conditions
from napari_salt.model.input_checks import check_contrast
from napari_salt.model.weights import file_sha256
from napari_salt.records import Label, SlicePrediction
from napari_salt.scale.requests import ClusterSegmentRequest
from napari_salt.scale.settings import ClusterSettings
from napari_salt.session.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_salt.io.mask_store import MaskStore
    from napari_salt.model.label_prompts import ResolvedName
    from napari_salt.session.stack import ArrayLike


@dataclass(frozen=True)
class _Job:
    """What is to be segmented, and where the results go, on the grid of which stack."""

    stack: Stack
    written: Stack
    adapter: Path
    labels: tuple[Label, ...]
    slices: tuple[int, ...]
    out: MasksOut
    uncertainty: Path | None
    device: str
    image: Path
    level: int
    series: str | None
    at: tuple[tuple[str, int], ...]
    resume: bool
    cluster: ClusterSettings | None


def run(args: argparse.Namespace, console: Console) -> None:
    """Check everything, segment slice by slice, write the whole stack."""
    started = time.monotonic()
    if args.full_resolution and args.level == 0:
        raise InputError(
            "--full-resolution enlarges what was found at a coarser level; give --level 1 or more with it."
        )
    out, uncertainty = _outputs(args)
    checks.check_device(args.device)
    cluster = _cluster(args)
    info = checks.usable_adapter(args.adapter)
    stack = checks.stack_for(args, info, console)
    written = open_finest(args, stack) if args.full_resolution else stack
    out.check(written.info)
    if uncertainty is not None:
        check_not_image(uncertainty, written.info)
    count = stack.info.shape[0]
    slices = tuple(range(count)) if args.slices is None else parse_slices(args.slices, count)
    known = [label.name for label in info.labels]
    names = None if args.labels is None else parse_list(args.labels, known)
    check_contrast(stack, slices)
    labels, resolved = choose_labels(args.adapter, info, names, console)
    job = _Job(
        stack,
        written,
        args.adapter,
        labels,
        slices,
        out,
        uncertainty,
        args.device,
        args.image,
        args.level,
        args.series,
        tuple(args.at),
        args.resume,
        cluster,
    )
    pixels, conditions = _segment(job, console)
    seconds = round(time.monotonic() - started, 2)
    console.answer(
        _text(job, conditions, seconds),
        _data(job, pixels, resolved, seconds) | _seen(conditions),
    )


def choose_labels(
    adapter: Path, info: AdapterInfo, names: Sequence[str] | None, console: Console
) -> tuple[tuple[Label, ...], list[ResolvedName]]:
    """Trained labels of the names asked for, all of them where None; tells which near name was
    taken.

    Raises ``UnknownLabelName`` with the trained names for one that is far from all.
    """
    if names is None:
        return info.labels, []
    from napari_salt.model.adapter_file import load_adapter
    from napari_salt.model.label_prompts import resolve_labels

    resolved = resolve_labels(load_adapter(adapter), names)
    for one in resolved:
        if not one.exact:
            console.note(f"Using '{one.label.name}' for '{one.asked}'.")
    chosen = {one.label.label_id for one in resolved}
    return tuple(label for label in info.labels if label.label_id in chosen), resolved


def _outputs(args: argparse.Namespace) -> tuple[MasksOut, Path | None]:
    out = masks_out(args)
    if args.uncertainty is None:
        return out, None
    uncertainty = checks.writable(args.uncertainty, checks.TIFF_SUFFIXES)
    checks.apart_from(uncertainty, args.image)
    if uncertainty.resolve() == out.path.resolve():
        raise InputError("Masks and uncertainty need two files; give --uncertainty another name.")
    return out, uncertainty


def _cluster(args: argparse.Namespace) -> ClusterSettings | None:
    settings = ClusterSettings(
        args.cluster or "",
        args.workers or 0,
        args.tls_ca,
        args.tls_cert,
        args.tls_key,
        args.insecure,
    )
    if settings == ClusterSettings():
        return None
    settings.check()
    return settings


def _segment(job: _Job, console: Console) -> tuple[dict[int, int], Conditions | None]:
    """Write masks and uncertainty; returns the pixels of each label, and how the stack was seen where that is known."""
    made_of = MadeOf(
        file_sha256(job.adapter),
        closer_identity(job.stack),
        job.stack.info.shape,
        job.labels,
        job.uncertainty is not None,
    )
    with unfinished_masks(
        job.out.path, made_of, job.stack.info, console, resume=job.resume
    ) as store:
        done = store.done()
        missing = tuple(index for index in job.slices if index not in done)
        if missing:
            _predict(job, store, missing, console)
        pixels = _count(job, store)
        _write(job, store)
        conditions = _conditions(store)
    return pixels, conditions


def _conditions(store: MaskStore) -> Conditions | None:
    kept = store.conditions()
    return None if kept is None else Conditions.from_json(kept)


def _predict(job: _Job, store: MaskStore, missing: tuple[int, ...], console: Console) -> None:
    """Fill the store with the slices that are ``missing`` in it."""

    def keep(report: Report) -> None:
        if isinstance(report, StackPrepared):
            store.keep_conditions(report.conditions.to_json())
        elif isinstance(report, SlicePrediction):
            store.put(report)

    names = tuple(label.name for label in job.labels)
    conditions = _conditions(store)
    request = SegmentRequest(job.adapter, missing, names, job.device, conditions)
    if job.cluster is not None:
        store.keep_adapter(job.adapter)
        request = ClusterSegmentRequest(
            job.adapter,
            missing,
            names,
            job.device,
            conditions,
            store=store.path,
            image=str(job.image.resolve()),
            level=job.level,
            series=job.series,
            at=job.at,
            cluster=job.cluster,
        )
    run_here(request, job.stack, console, on_report=keep)


def _count(job: _Job, store: MaskStore) -> dict[int, int]:
    """Pixels of each label in the slices asked for."""
    pixels = dict.fromkeys((label.label_id for label in job.labels), 0)
    wanted = frozenset(job.slices)
    for summary in store.summaries():
        if summary.index in wanted:
            for label_id, area in summary.areas.items():
                pixels[label_id] += area
    return pixels


def _write(job: _Job, store: MaskStore) -> None:
    """From the store, which holds all slices asked for, to the files asked for."""
    info = job.written.info
    job.out.write(_on_grid(store.masks(job.slices), job), job.written, job.labels)
    if job.uncertainty is not None:
        # Half precision is what a prediction has; the file gets float32, which all read.
        doubts = _on_grid(store.uncertainty(job.slices), job)
        write_image(job.uncertainty, doubts, spacing=info.spacing, units=info.units)


def _on_grid(found: ArrayLike, job: _Job) -> ArrayLike:
    """What was found ``(N, Y, X)``, on the grid that is written."""
    if job.written is job.stack:
        return found
    return EnlargedMasks(found, job.stack.info, job.written.info)


def seen_as(conditions: Conditions) -> str:
    """What was chosen for a stack, for people: ``Another stack than was painted: intensities 20 .. 219 …``."""
    stack = {
        "painted": "The painted stack",
        "alike": "A stack like the painted one",
        "other": "Another stack than was painted",
    }[conditions.kin]
    shown = f"intensities {ranges(conditions.low, conditions.high)} shown as black and white"
    if conditions.gamma != 1:
        shown += f", contrast matched to that of the painted one (gamma {conditions.gamma:.2g})"
    return f"{stack}: {shown}"


def _text(job: _Job, conditions: Conditions | None, seconds: float) -> str:
    names = ", ".join(label.name for label in job.labels)
    done = wording.count(len(job.slices), "slice")
    lines = [f"Segmented {done} ({names}) in {wording.duration(seconds)}", str(job.out.path)]
    if conditions is not None:
        lines.insert(1, seen_as(conditions))
    return "\n".join(lines)


def _seen(conditions: Conditions | None) -> dict[str, Any]:
    if conditions is None:
        return {"stack": None, "intensity": None}
    return {
        "stack": conditions.kin,
        "intensity": {
            "low": list(conditions.low),
            "high": list(conditions.high),
            "method": conditions.method,
            "gamma": conditions.gamma,
        },
    }


def _data(
    job: _Job, pixels: dict[int, int], resolved: Sequence[ResolvedName], seconds: float
) -> dict[str, Any]:
    return {
        "masks": str(job.out.path),
        "table": None if job.out.table is None else str(job.out.table),
        "uncertainty": None if job.uncertainty is None else str(job.uncertainty),
        "shape": list(job.written.info.shape),
        "level": job.level,
        "at": indices(job.stack.places),
        "slices": list(job.slices),
        "labels": {label.label_id: label.name for label in job.labels},
        "pixels": {label.name: pixels[label.label_id] for label in job.labels},
        "resolved": [
            {
                "asked": one.asked,
                "used": one.label.name,
                "similarity": round(one.similarity, 4),
                "exact": one.exact,
            }
            for one in resolved
        ],
        "seconds": seconds,
    }
