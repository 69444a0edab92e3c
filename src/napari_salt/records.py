"""Frozen records that the rooms hand to each other: plain Python and numpy, picklable, no torch.

Conventions used everywhere
---------------------------
* A *stack* has one slice axis; a *plane* is one slice of it, ``(Y, X)`` or ``(Y, X, C)``.
* A *label image* holds label ids. In paint and targets ``UNLABELLED`` (0) means that nobody said what a pixel is, and
  ``BACKGROUND`` is an id like any other. In predictions and exported masks 0 means "none of the labels".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_salt.sparse_plane import SparsePlane

UNLABELLED = 0
"""Paint value of a pixel that nobody has labelled; it never counts in a loss."""

BACKGROUND = 255
"""Paint value of a pixel that is said to be none of the labels."""

BACKGROUND_NAME = "background"
"""Reserved name of ``BACKGROUND``; no label may carry it."""

AdapterKind = Literal["salt", "ssam", "lora", "full", "none"]
Color = tuple[float, float, float, float]
"""Red, green, blue, alpha in 0..1."""


@dataclass(frozen=True)
class Label:
    """What the user names: a stable id (1..254 or 256..65535), a name, and a colour."""

    label_id: int
    name: str
    color: Color = (1.0, 1.0, 1.0, 1.0)


Affine = tuple[tuple[float, float, float, float], ...]
"""Four rows of a 4 × 4 matrix."""


@dataclass(frozen=True)
class Origin:
    """Where a stack was read from, and how it lies in the world, for those who write masks beside it.

    Attributes
    ----------
    path
        The file or folder, absolute; empty where there is none.
    format
        ``"tiff"``, ``"nifti"``, ``"dicom"``, ``"ome-zarr"``, ``"hdf5"``, …; empty where unknown.
    affine
        Maps (slice, row, column, 1) to (x, y, z, 1) in millimetres, x to the patient's right, y to the front, z up
        (RAS+, as NIfTI has it); None where the format knows none.
    level
        Which level of a pyramid in that file the stack is; 0 is the finest.
    placed
        Whether the file itself says where it lies; else ``affine`` is what programs assume of such a file.
    offset
        Place of the middle of the first voxel along (slice axis, Y, X), in the stack's own units, for formats without
        an affine.
    cosines
        Of the angles that a viewer shows between (slices and rows, slices and columns, rows and columns), where it lays
        the image askew by itself; None where ``affine`` has them, or they are right.
    """

    path: str = ""
    format: str = ""
    affine: Affine | None = None
    level: int = 0
    placed: bool = True
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    cosines: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class StackInfo:
    """Geometry of a stack.

    Attributes
    ----------
    shape
        ``(N, Y, X)``: slices, rows, columns.
    channels
        Values per pixel: 1 for a grey plane ``(Y, X)``, else the C of ``(Y, X, C)``.
    rgb
        Whether three (or four, the last being alpha) channels are a colour image.
    dtype
        numpy name of the pixel type.
    spacing
        Physical size of a voxel along (slice axis, Y, X), in ``units``.
    units
        Unit of each spacing, e.g. ``"mm"``, ``"um"``, ``"s"``, or ``"pixel"``.
    origin
        The file it comes from, and its place in the world.
    """

    shape: tuple[int, int, int]
    channels: int = 1
    rgb: bool = False
    dtype: str = "uint8"
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    units: tuple[str, str, str] = ("pixel", "pixel", "pixel")
    name: str = ""
    origin: Origin = field(default_factory=Origin)


class Planes(Protocol):
    """Anything that hands out the planes of a stack one at a time."""

    @property
    def info(self) -> StackInfo:
        """Geometry of the stack."""
        ...

    def plane(self, index: int) -> NDArray[Any]:
        """Slice ``index`` as ``(Y, X)`` or ``(Y, X, C)``, in the stack's own dtype."""
        ...


@dataclass(frozen=True, eq=False)
class AnnotatedSlice:
    """A frozen copy of what the user painted on one slice.

    ``targets`` is ``(Y, X)`` unsigned integer: ``UNLABELLED``, ``BACKGROUND`` or a label id. On a slice that is
    ``complete`` the unlabelled pixels have been turned into background already. Paint of a large slice may be sparse.
    """

    index: int
    targets: NDArray[np.unsignedinteger[Any]] | SparsePlane
    complete: bool = False


@dataclass(frozen=True)
class IntensityChoice:
    """Which intensities the network is shown as black and white, one choice for a whole stack.

    As ``"percentile"`` ``low`` and ``high`` are percentiles, 0..100, measured anew on each stack; as ``"window"`` they
    are intensities, the same on every stack. `napari_salt.intensity` has windows by name, checks and words.
    """

    method: Literal["percentile", "window"] = "percentile"
    low: float = 0.5
    high: float = 99.5


@dataclass(frozen=True)
class FitSettings:
    """How to adapt. ``None`` means: the default that suits the backbone and the number of slices.

    ``rank`` counts the leading singular values that are scaled and shifted, ``low_rank`` is the rank of the update on
    the rest, ``steps`` the fine-tuning steps after the first fit, ``time_budget`` the wall time of fitting in
    seconds after loading, ``backbone`` a registry name or the path of a checkpoint, ``text_model`` a
    sentence-transformers name or path, ``device`` one of auto, cpu, cuda, cuda:i, mps, ``intensity`` what the network
    is shown as black and white, ``cluster`` the address of a scheduler whose workers segment whole stacks; empty for
    this computer, ``other_stacks`` whether to learn to find the labels on other stacks as well.
    """

    kind: AdapterKind = "salt"
    backbone: str = "lite-medsam"
    rank: int | None = None
    low_rank: int | None = None
    steps: int | None = None
    time_budget: float | None = None
    seed: int = 0
    device: str = "auto"
    text_model: str | None = None
    intensity: IntensityChoice = IntensityChoice()
    cluster: str = ""
    other_stacks: bool = True


Phase = Literal[
    "loading", "embedding", "first fit", "adapting", "scoring", "comparing", "segmenting"
]


@dataclass(frozen=True)
class StepReport:
    """Progress of a running fit; at least about one a second.

    ``seconds_left`` is an estimate or None; ``held_out_dice`` is the mean over labels on slices left out of the fit,
    None where too few slices are painted for an honest score.
    """

    phase: Phase
    step: int
    total: int
    loss: float | None = None
    seconds_left: float | None = None
    held_out_dice: float | None = None
    held_out_by_label: tuple[tuple[str, float], ...] = ()
    message: str = ""


@dataclass(frozen=True, eq=False)
class SliceSummary:
    """What the suggester needs to know of one predicted slice.

    ``areas`` and ``label_uncertainty`` map label id to pixels and to mean uncertainty (0..1) around that label;
    ``uncertainty`` is the mean over the slice; ``descriptor`` is a unit vector ``(D,)`` float32 of what the slice looks
    like to the backbone. ``blank`` says that it shows nothing, see `intensity.is_blank`; of large slices nobody knows.
    """

    index: int
    uncertainty: float
    areas: dict[int, int] = field(default_factory=dict)
    label_uncertainty: dict[int, float] = field(default_factory=dict)
    descriptor: NDArray[np.float32] | None = None
    blank: bool = False


@dataclass(frozen=True, eq=False)
class SlicePrediction:
    """Masks of one slice.

    ``labels`` is ``(Y, X)`` unsigned integer, 0 = none of the labels; ``uncertainty`` is ``(Y, X)`` float16, 0 = sure,
    1 = undecided. ``provisional`` marks the quick look after the first fit.
    """

    index: int
    labels: NDArray[np.unsignedinteger[Any]]
    uncertainty: NDArray[np.float16]
    summary: SliceSummary
    provisional: bool = False


@dataclass(frozen=True)
class FitRecord:
    """How an adapter came to be; kept in its file and shown in the rounds table.

    ``held_out_before`` / ``held_out_after`` are mean Dice over labels of slices left out of the fit,
    of the first fit and of the kept state; None where no honest score exists (``score_note``
    says why). ``kept`` tells which state won. ``trainable_parameters`` counts label queries and adapter.
    ``no_gain`` says of the last trial that found no gain in changing the backbone how many slices were painted, and
    its steps, rank and low rank (-1: the method's own); empty where no such trial counts. ``elsewhere_steps`` counts
    the steps kept of the adapter for other stacks; ``elsewhere_before`` / ``elsewhere_after`` are Dice without and with
    it, on a painted slice left out, as other instruments would show it (None: not tried), ``elsewhere_tried`` how many
    slices were painted then, and ``elsewhere_asked`` how many steps were asked for. ``mixed_at`` is how many slices
    were painted when the parts of queries and forest were chosen, ``looked_at`` how many when it was chosen whether
    forests look along the stack (0: they were not).
    """

    kind: AdapterKind
    backbone: str
    slices: tuple[int, ...]
    steps: int
    seconds: float
    trainable_parameters: int
    kept: Literal["first fit", "adapted"]
    held_out_before: float | None = None
    held_out_after: float | None = None
    held_out_by_label: tuple[tuple[str, float], ...] = ()
    score_note: str = ""
    seed: int = 0
    device: str = "cpu"
    no_gain: tuple[int, ...] = ()
    elsewhere_steps: int = 0
    elsewhere_before: float | None = None
    elsewhere_after: float | None = None
    elsewhere_tried: int = 0
    elsewhere_asked: int = 0
    mixed_at: int = 0
    looked_at: int = 0


@dataclass(frozen=True)
class Round:
    """One adapt cycle: its number, what it was trained on, what came out, and the adapter file that keeps it."""

    number: int
    record: FitRecord
    adapter_path: str
    size_bytes: int


@dataclass(frozen=True)
class Suggestion:
    """A slice worth correcting, with the reason in plain words."""

    index: int
    score: float
    reason: str
