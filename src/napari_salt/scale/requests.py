"""A segmentation by many workers: the request of `engine.requests.SegmentRequest`, and where the work is to be done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from napari_salt.engine.requests import SegmentRequest
from napari_salt.scale.settings import ClusterSettings


@dataclass(frozen=True, kw_only=True)
class ClusterSegmentRequest(SegmentRequest):
    """Predict ``slices`` on the workers of a cluster.

    ``store`` is a begun `io.mask_store.MaskStore` on a disk that all machines share; the workers write to it. ``image``
    is where they may open the image themselves, ``level``, ``series`` and ``at`` (``fixed`` there) as in
    `io.read.read_stack`; empty where it is in no file. With ``show`` the masks are read back and reported, and the
    store is made when the job begins and removed when it ends. Reports: ``StackPrepared``, and of each slice
    ``SlicePrediction`` with ``show``, else ``SliceStored``. Result: ``SegmentResult``.
    """

    store: Path
    image: str = ""
    level: int = 0
    series: str | None = None
    at: tuple[tuple[str, int], ...] = ()
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    show: bool = False

    task: ClassVar[str] = "napari_salt.scale.tasks:segment"
