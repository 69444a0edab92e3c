"""What client and workers say to each other: plain values. Adapters are not among them, they lie in the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_salt.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_salt.model.conditions import Conditions
    from napari_salt.records import SliceSummary, StackInfo


@dataclass(frozen=True)
class Order:
    """What all tasks of one job have in common.

    Attributes
    ----------
    version
        Of napari-salt where the job was started.
    store
        Folder of the `io.mask_store.MaskStore` that the masks go to.
    image, level, series, at
        How `io.read.read_stack` opens the image, ``at`` being ``fixed`` there; an empty path where its planes are sent.
    identity, info
        `io.identity.closer_identity` and geometry of the stack.
    labels
        Names to segment; None = all.
    descriptors
        Whether what a slice looks like is wanted back.
    topic
        Under which workers tell of slices that are done, before their chunk is; empty = not at all.
    """

    version: str
    store: str
    image: str
    identity: str
    info: StackInfo
    labels: tuple[str, ...] | None
    device: str
    conditions: Conditions | None = None
    descriptors: bool = False
    level: int = 0
    series: str | None = None
    at: tuple[tuple[str, int], ...] = ()
    topic: str = ""


@dataclass(frozen=True, eq=False)
class SentPlanes:
    """Those planes of a stack that a task needs, where its worker cannot read the image."""

    info: StackInfo
    planes: Mapping[int, NDArray[Any]] = field(default_factory=dict)

    def plane(self, index: int) -> NDArray[Any]:
        """Slice ``index``; InputError when it was not sent."""
        if index not in self.planes:
            raise InputError(f"Slice {index} was not sent to this worker; please report this.")
        return self.planes[index]


@dataclass(frozen=True)
class Refused:
    """Answer: a sentence that says why this worker cannot do its part. Trying again would not help."""

    sentence: str


@dataclass(frozen=True)
class Ready:
    """Answer: this worker can work; ``torch`` is its release of PyTorch, ``sees_image`` whether the image is there."""

    torch: str
    sees_image: bool


@dataclass(frozen=True, eq=False)
class Prepared:
    """Answer: how the stack is to be seen, and what the user should know of it."""

    conditions: Conditions
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ChunkDone:
    """Answer: these slices lie in the store."""

    summaries: tuple[SliceSummary, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class UnderWay:
    """Told in between: these slices lie in the store, the rest of their chunk does not yet."""

    slices: tuple[int, ...]
