"""Tasks: one generator function a kind of job.

A task yields picklable, torch-free reports at least about once a second, or None where there is
nothing to say but a stop may come, and returns its result. To
stop it, close the generator. It runs in the engine's child process, or inline for scripts and
tests; torch is imported on its first use.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import time
from collections.abc import Generator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_salt.engine.preparing import prepared
from napari_salt.engine.requests import (
    AdapterSaved,
    AdaptRequest,
    AdaptResult,
    ExtendRequest,
    LookAheadRequest,
    LookAheadResult,
    Report,
    Request,
    ScoreRequest,
    ScoreResult,
    SegmentRequest,
    SegmentResult,
    StackPrepared,
    WarmUpRequest,
)
from napari_salt.errors import UnreadableSlice
from napari_salt.model.adapter_info import read_info
from napari_salt.model.input_checks import check_contrast
from napari_salt.model.readable import ReadablePlanes
from napari_salt.records import BACKGROUND_NAME, Planes, SlicePrediction, StepReport
from napari_salt.regions import is_large, with_regions

if TYPE_CHECKING:
    from napari_salt.model.adapter_file import AdapterFile
    from napari_salt.model.conditions import Conditions
    from napari_salt.model.feature_cache import FeatureCache

LOOK_SECONDS = 1.0
"""How long a look ahead goes on before it begins another pass through the network."""


def run_task(request: Request, planes: Planes | None) -> Generator[Any, None, Any]:
    """The generator that does what ``request`` asks, found by its ``task`` name."""
    module, _, function = request.task.partition(":")
    task = getattr(importlib.import_module(module), function)
    generator: Generator[Any, None, Any] = task(request, planes)
    return generator


def finish(task: Generator[Any, None, Any]) -> tuple[list[Any], Any]:
    """Run a task to its end: (all reports, result). For scripts and tests."""
    reports = []
    while True:
        try:
            reports.append(next(task))
        except StopIteration as end:
            return reports, end.value


def adapt(request: AdaptRequest, planes: Planes) -> Generator[Report | None, None, AdaptResult]:
    """Fit an adapter; it is on disk from the first fit on, and replaced at the end.

    Where the first fit has a place of its own, what stood at ``out`` stays until the end, when that place is cleared.
    """
    yield StepReport("loading", 0, 0, message="Loading the network")
    from napari_salt.model.adapter_file import load_adapter
    from napari_salt.model.feature_cache import FeatureCache
    from napari_salt.model.fit import FirstFit, fit

    init = load_adapter(request.init) if request.init is not None else None
    seen = ReadablePlanes(planes, (one.index for one in request.annotated))
    fitting = fit(
        seen,
        request.annotated,
        request.labels,
        request.settings,
        init=init,
        preview=_to_preview(request, planes),
        cache=FeatureCache(),
        score_later=request.score_later,
    )
    try:
        while True:
            try:
                report = next(fitting)
            except StopIteration as end:
                outcome = end.value
                break
            if isinstance(report, FirstFit):
                yield _save(request.first or request.out, report.adapter, provisional=True)
            else:
                yield report
    finally:
        fitting.close()
    saved = _save(request.out, outcome.adapter, provisional=False)
    if request.first is not None:
        with contextlib.suppress(OSError):  # it does no harm
            request.first.unlink(missing_ok=True)
    yield saved
    return AdaptResult(
        outcome.record, saved.path, saved.size_bytes, outcome.score_waits, seen.unreadable
    )


def _to_preview(request: AdaptRequest, planes: Planes) -> int | None:
    """The slice to show first, unless it cannot be read; of a large one a corner is looked at."""
    if request.preview is None:
        return None
    part = slice(0, 1 if is_large(planes.info) else None)
    try:
        with_regions(planes).region(request.preview, part, part)
    except UnreadableSlice:
        return None
    return request.preview


def score(request: ScoreRequest, planes: Planes) -> Generator[Report | None, None, ScoreResult]:
    """Score an adapter; its file stays as it is."""
    yield StepReport("loading", 0, 0, message="Loading the network")
    from napari_salt.model.adapter_file import load_adapter
    from napari_salt.model.feature_cache import FeatureCache
    from napari_salt.model.score import score

    adapter = load_adapter(request.adapter)
    seen = ReadablePlanes(planes, (one.index for one in request.annotated))
    record = yield from score(
        seen, request.annotated, adapter, request.settings, cache=FeatureCache()
    )
    return ScoreResult(record)


def extend(request: ExtendRequest, planes: Planes) -> Generator[Report | None, None, None]:
    """Fit for other stacks what an adapter lacks; its file is replaced at the end."""
    yield StepReport("loading", 0, 0, message="Loading the network")
    from napari_salt.model.adapter_file import load_adapter, save_adapter
    from napari_salt.model.extend import extend
    from napari_salt.model.feature_cache import FeatureCache

    adapter = load_adapter(request.adapter)
    adapter = replace(adapter, info=replace(adapter.info, record=request.record))
    seen = ReadablePlanes(planes, (one.index for one in request.annotated))
    extended = yield from extend(
        seen, request.annotated, adapter, request.settings, cache=FeatureCache()
    )
    save_adapter(request.out, extended)


def segment(
    request: SegmentRequest, planes: Planes
) -> Generator[Report | None, None, SegmentResult]:
    """Predict slices in the order asked for."""
    started = time.monotonic()
    total = len(request.slices)
    seen = ReadablePlanes(planes, request.slices)
    if request.conditions is None:
        check_contrast(planes, request.slices)
    yield StepReport("loading", 0, total, message="Loading the network")
    from napari_salt.model.feature_cache import FeatureCache

    read_info(request.adapter)
    adapter = _loaded_adapter(request.adapter, request.adapter.stat().st_mtime_ns)
    notes: list[str] = []
    cache, conditions = FeatureCache(), request.conditions
    if conditions is None:
        # of what is asked for, too, only the look at it must do without a slice that cannot be read
        conditions = yield from prepared(request, ReadablePlanes(planes), adapter, cache, notes)
        yield StackPrepared(conditions)
    predictions = _predictions(request, seen, adapter, cache, notes, conditions)
    begun = time.monotonic()  # what came before is no part of a slice's time
    try:
        done = 0
        for prediction in predictions:
            while notes:
                yield StepReport("segmenting", done, total, message=notes.pop(0))
            yield prediction
            if prediction is not None:
                done += 1
                yield _segmenting(done, total, time.monotonic() - begun)
    finally:
        predictions.close()
    left_out = tuple(index for index in seen.unreadable if index in request.slices)
    return SegmentResult(done, time.monotonic() - started, left_out)


def _predictions(
    request: SegmentRequest,
    seen: ReadablePlanes,
    adapter: AdapterFile,
    cache: FeatureCache,
    notes: list[str],
    conditions: Conditions,
) -> Generator[SlicePrediction | None, None, None]:
    """Those of `predict`; goes on without a slice that cannot be read where the request says so."""
    from napari_salt.model.predict import predict

    left = list(request.slices)
    while left:
        predictions = predict(
            seen,
            adapter,
            tuple(left),
            labels=request.labels,
            device=request.device,
            cache=cache,
            tell=notes.append,
            conditions=conditions,
        )
        try:
            for prediction in predictions:
                if prediction is not None:
                    left.remove(prediction.index)
                yield prediction
            return
        except UnreadableSlice as error:
            if not request.leave_out or error.index not in left:
                raise
            left.remove(error.index)
            seen.leave_out(error.index)
        finally:
            predictions.close()


def warm_up(request: WarmUpRequest, planes: Planes | None) -> Generator[Report, None, None]:
    """Import torch, load the backbone and the text model, so that the next job need not."""
    yield StepReport("loading", 0, 0, message="Loading the network")
    from napari_salt.model.backbones.registry import warm_backbone
    from napari_salt.model.device import pick_device
    from napari_salt.model.label_prompts import embed_names

    device = pick_device(request.settings.device)
    warm_backbone(request.settings.backbone, device)
    yield StepReport("loading", 0, 0, message="Loading the text model")
    embed_names([BACKGROUND_NAME], request.settings.text_model)


def look_ahead(
    request: LookAheadRequest, planes: Planes
) -> Generator[Report | None, None, LookAheadResult]:
    """See a slice ahead of the job that will need it; a short task, for that job waits until it is over."""
    yield None
    from napari_salt.model.assist import intensity_of
    from napari_salt.model.feature_cache import FeatureCache
    from napari_salt.model.look_ahead import framing_for, see_ahead

    settings, cache = request.settings, FeatureCache()
    framing = framing_for(planes, request.painted, settings, request.zoom)
    frames = len(framing.layout(*planes.info.shape[1:]).origins)
    room = cache.holds(planes.info.shape[0] * frames)
    if not cache.holds(frames):
        return LookAheadResult(framing.zoom, 0, room)
    intensity = intensity_of(planes, request.stack_key, settings.intensity)
    began = time.monotonic()
    frame = yield from see_ahead(
        planes,
        request.index,
        framing,
        settings,
        intensity,
        cache,
        first=request.frame if framing.zoom == request.zoom else 0,
        seconds=LOOK_SECONDS,
    )
    return LookAheadResult(framing.zoom, frame, room, time.monotonic() - began)


def _segmenting(done: int, total: int, seconds: float) -> StepReport:
    left = seconds / done * (total - done)
    return StepReport("segmenting", done, total, seconds_left=left)


def _save(path: Path, adapter: AdapterFile, *, provisional: bool) -> AdapterSaved:
    from napari_salt.model.adapter_file import save_adapter

    save_adapter(path, adapter)
    return AdapterSaved(path, path.stat().st_size, provisional)


@functools.lru_cache(maxsize=2)
def _loaded_adapter(path: Path, changed: int) -> AdapterFile:
    """The adapter in ``path``; its modification time makes a rewritten file be read anew."""
    from napari_salt.model.adapter_file import load_adapter

    return load_adapter(path)


def predictions_of(reports: Iterable[Report]) -> Generator[SlicePrediction, None, None]:
    """Only the predictions among the reports of a task."""
    for report in reports:
        if isinstance(report, SlicePrediction):
            yield report
