"""What was chosen for a stack is kept for the next job on it: in the dock slices are segmented one by one as well."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_salt.model.progress import reports
from napari_salt.records import Planes, StepReport

if TYPE_CHECKING:
    from napari_salt.engine.requests import SegmentRequest
    from napari_salt.model.adapter_file import AdapterFile
    from napari_salt.model.conditions import Conditions
    from napari_salt.model.feature_cache import FeatureCache


@dataclass(frozen=True)
class _Prepared:
    """``conditions`` and what was told of them, for the adapter file and the stack that ``key`` knows."""

    key: tuple[object, ...]
    conditions: Conditions
    notes: tuple[str, ...]


_last: _Prepared | None = None


def prepared(
    request: SegmentRequest,
    planes: Planes,
    adapter: AdapterFile,
    cache: FeatureCache,
    notes: list[str],
) -> Generator[StepReport, None, Conditions]:
    """The conditions of `predict.prepare`, as they were chosen last for the same adapter file and the same pixels.

    What there is to tell is added to ``notes``.
    """
    global _last
    from napari_salt.model.elsewhere import fingerprint
    from napari_salt.model.limits import measure_limits
    from napari_salt.model.predict import prepare

    info = planes.info
    limits = measure_limits(planes, adapter.info.intensity_choice)
    written = request.adapter.stat().st_mtime_ns
    stack = (fingerprint(info, limits), info.spacing, info.units)
    key = (request.adapter, written, stack, request.device)
    if _last is None or _last.key != key:
        told: list[str] = []
        preparing = prepare(
            planes, adapter, device=request.device, cache=cache, tell=told.append, limits=limits
        )
        conditions = yield from reports("comparing", preparing)
        _last = _Prepared(key, conditions, tuple(told))
    notes += _last.notes
    return _last.conditions
