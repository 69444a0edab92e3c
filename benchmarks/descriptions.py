"""Descriptions of adapters that nothing was adapted for: for files that need not segment."""

from __future__ import annotations

from typing import Any

from napari_salt.model.adapter_info import AdapterInfo
from napari_salt.records import FitRecord, Label


def described(labels: tuple[Label, ...], record: FitRecord, **told: Any) -> AdapterInfo:
    """A description of an adapter for ``labels``; ``told`` are fields of `AdapterInfo` with other values."""
    fields: dict[str, Any] = {
        "architecture": record.backbone,
        "weights_sha256": "0" * 64,
        "rank": None,
        "low_rank": None,
        "intensity": {"method": "percentile", "low": [0.0], "high": [255.0]},
        "stack": "",
        "channels": 1,
        "rgb": False,
        "frame_size": 256,
        "zoom": None,
        "fine": 4.0,
        "along_stack": True,
        "directions": 4,
        "taps": (("neck", 4),),
        "text_model": None,
    }
    return AdapterInfo(
        labels=labels,
        record=record,
        backbone=record.backbone,
        kind=record.kind,
        **(fields | told),
    )
