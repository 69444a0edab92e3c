"""What a job is asked to do and what it answers: frozen, picklable, and free of torch.

A *request* is a frozen copy of everything that a job needs, except the planes of the stack, which
the job asks for one at a time. Its class says by ``task`` which generator function does the work
(``"module:function"``), so a request carries no code and a fresh process finds the function by
importing it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_salt.intensity import AUTO
from napari_salt.model.conditions import Conditions
from napari_salt.records import (
    AnnotatedSlice,
    FitRecord,
    FitSettings,
    IntensityChoice,
    Label,
    Planes,
    SlicePrediction,
    SliceSummary,
    StepReport,
)


class Request(Protocol):
    """Anything that can be submitted: a picklable value whose class names its task.

    ``task`` is ``"module:function"``, a generator function ``(request, planes) -> report, ...,
    result``; ``title`` is the word of the button that starts it, used in messages ("press Adapt
    again").
    """

    task: ClassVar[str]
    title: ClassVar[str]


@dataclass(frozen=True, eq=False)
class AdaptRequest:
    """Fit an adapter to painted slices and write it to ``out``.

    ``init`` is the adapter of an earlier round to go on from; ``preview`` is the slice to predict
    as soon as the first fit stands; ``score_later`` leaves the score for a ``ScoreRequest`` where it
    can wait; ``first`` is where the first fit stands until the end, where that is not to be ``out``. Reports:
    ``StepReport``, ``SlicePrediction``, ``AdapterSaved``. Result: ``AdaptResult``.
    """

    annotated: tuple[AnnotatedSlice, ...]
    labels: tuple[Label, ...]
    settings: FitSettings
    out: Path
    init: Path | None = None
    preview: int | None = None
    score_later: bool = False
    first: Path | None = None

    task: ClassVar[str] = "napari_salt.engine.tasks:adapt"
    title: ClassVar[str] = "Adapt"


@dataclass(frozen=True, eq=False)
class ExtendRequest:
    """Fit what other stacks need for the ``adapter`` in a file, from paint of its stack, and write it to ``out``.

    ``record`` is what the file is to tell of its round; ``settings`` have their say in device and steps alone. Reports:
    ``StepReport``. Result: None.
    """

    adapter: Path
    annotated: tuple[AnnotatedSlice, ...]
    settings: FitSettings
    out: Path
    record: FitRecord

    task: ClassVar[str] = "napari_salt.engine.tasks:extend"
    title: ClassVar[str] = "Save adapter"


@dataclass(frozen=True, eq=False)
class ScoreRequest:
    """Score the ``adapter`` in a file, whose fit has left that out, on the paint that it was fitted to.

    ``settings`` have their say in the device alone. Reports: ``StepReport``. Result: ``ScoreResult``.
    """

    adapter: Path
    annotated: tuple[AnnotatedSlice, ...]
    settings: FitSettings

    task: ClassVar[str] = "napari_salt.engine.tasks:score"
    title: ClassVar[str] = "Adapt"


@dataclass(frozen=True)
class ScoreResult:
    """Result of a ``ScoreRequest``: the record of the adapter with its score."""

    record: FitRecord


@dataclass(frozen=True)
class SegmentRequest:
    """Predict ``slices`` in the given order with the adapter in a file.

    ``labels`` are exact trained names, None means all. ``conditions`` are those that a job which
    this one goes on with has reported. With ``leave_out`` slices that cannot be read are left out, else they end the
    job. Reports: ``StackPrepared``, ``SlicePrediction``. Result: ``SegmentResult``.
    """

    adapter: Path
    slices: tuple[int, ...]
    labels: tuple[str, ...] | None = None
    device: str = "auto"
    conditions: Conditions | None = None
    leave_out: bool = False

    task: ClassVar[str] = "napari_salt.engine.tasks:segment"
    title: ClassVar[str] = "Segment"


@dataclass(frozen=True)
class WarmUpRequest:
    """Load libraries and weights now, so that the next job starts at once. Result: None."""

    settings: FitSettings

    task: ClassVar[str] = "napari_salt.engine.tasks:warm_up"
    title: ClassVar[str] = "Adapt"


@dataclass(frozen=True, eq=False)
class LookAheadRequest:
    """See slice ``index`` through the frozen part of the network now, so that Adapt and Segment find that done.

    ``stack_key`` stands for the stack as long as the engine lives. ``zoom`` is how slices are framed, None where the
    whole slice is one frame; with ``painted`` it is chosen anew from those. ``frame`` is the first frame of the slice
    to see: a large slice takes several of these jobs. Result: ``LookAheadResult``.
    """

    stack_key: str
    index: int
    settings: FitSettings
    painted: tuple[AnnotatedSlice, ...] = ()
    zoom: float | None = None
    frame: int = 0

    task: ClassVar[str] = "napari_salt.engine.tasks:look_ahead"
    title: ClassVar[str] = "Adapt"


@dataclass(frozen=True)
class LookAheadResult:
    """Result of a ``LookAheadRequest``.

    ``zoom`` is the framing that was used, ``frame`` the first frame still to be seen (0: the slice is done), ``room``
    whether all slices of the stack fit into the cache, ``seconds`` what the look took once the network was loaded.
    """

    zoom: float | None
    frame: int
    room: bool
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class AdapterSaved:
    """Report: an adapter now stands at ``path``; ``provisional`` marks the first fit.

    From here on a job that is stopped or killed leaves something to segment with.
    """

    path: Path
    size_bytes: int
    provisional: bool


@dataclass(frozen=True)
class StackPrepared:
    """Report: how the stack will be seen; a later job on other slices of it is to be given the same."""

    conditions: Conditions


@dataclass(frozen=True, eq=False)
class SliceStored:
    """Report: a slice was segmented elsewhere, and its masks lie in the store of the job."""

    summary: SliceSummary


@dataclass(frozen=True)
class AdaptResult:
    """Result of an ``AdaptRequest``: how the adapter came to be, where it is, its size, and whether its score waits.

    ``left_out`` are slices that could not be read; none that was painted.
    """

    record: FitRecord
    adapter_path: Path
    size_bytes: int
    score_waits: bool = False
    left_out: tuple[int, ...] = ()


@dataclass(frozen=True)
class SegmentResult:
    """Result of a ``SegmentRequest``: slices predicted, the wall time in seconds, and slices that could not be read."""

    slices: int
    seconds: float
    left_out: tuple[int, ...] = ()


@dataclass(frozen=True)
class EmbedRequest:
    """Look at a slice with the box tool's network, so that a box on it is answered at once.

    ``stack_key`` stands for the stack as long as the engine lives; ``intensity`` is how it is seen. Result: None.
    """

    stack_key: str
    index: int
    backbone: str
    device: str = "auto"
    intensity: IntensityChoice = AUTO

    task: ClassVar[str] = "napari_salt.engine.assist_tasks:embed"
    title: ClassVar[str] = "Box → mask"


@dataclass(frozen=True)
class BoxRequest:
    """Find the object in ``box`` (y0, x0, y1, x1 in pixels) on a slice.

    Reports: ``AssistMask``, one or two, the last being the best. Result: None.
    """

    stack_key: str
    index: int
    box: tuple[float, float, float, float]
    backbone: str
    device: str = "auto"
    intensity: IntensityChoice = AUTO

    task: ClassVar[str] = "napari_salt.engine.assist_tasks:box_mask"
    title: ClassVar[str] = "Box → mask"


@dataclass(frozen=True, eq=False)
class AssistMask:
    """Report: the mask ``(Y, X)`` bool of the object in a box on slice ``index``."""

    index: int
    mask: NDArray[np.bool_]


Report: TypeAlias = (
    StepReport | SlicePrediction | AdapterSaved | AssistMask | StackPrepared | SliceStored
)
Result: TypeAlias = AdaptResult | ScoreResult | SegmentResult | LookAheadResult | None


class JobRunner(Protocol):
    """Runs one job at a time in the background and calls back on the caller's own thread.

    The controller needs no more than this; ``engine.worker.EngineRunner`` is the one for napari.
    """

    @property
    def running(self) -> bool:
        """Whether a job is under way."""
        ...

    def submit(
        self,
        request: Request,
        planes: Planes | None,
        *,
        on_report: Callable[[Report], None],
        on_done: Callable[[Result], None],
        on_failed: Callable[[str], None],
        on_stopped: Callable[[], None],
    ) -> int:
        """Start a job and return its number; exactly one of done, failed, stopped follows."""
        ...

    def stop(self) -> None:
        """Ask the running job to stop; ``on_stopped`` follows within about a second."""
        ...

    def close(self) -> None:
        """Stop what runs and end the engine; nothing is called back any more."""
        ...
