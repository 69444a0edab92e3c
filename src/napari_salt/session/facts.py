"""All that decides what can be done now, in plain values, read off a session and the running job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_salt.session.interpolate import nearest_painted, painted_around

if TYPE_CHECKING:
    from napari_salt.session.session import Session

JobKind = Literal["none", "adapt", "score", "extend", "segment", "compare", "export"]


@dataclass(frozen=True)
class JobState:
    """What the engine is doing; ``stopping``: a stop was asked for, and the job goes on still."""

    kind: JobKind = "none"
    stopping: bool = False


@dataclass(frozen=True)
class Offers:
    """What the dock offers with buttons of their own, beside its actions."""

    work_here: str = ""
    """Text of the button that goes on at the viewer's position, another time point say; empty for none."""
    restore: bool = False
    """Whether earlier work on this stack is offered."""


NO_OFFERS = Offers()


@dataclass(frozen=True)
class Facts:
    """All that readiness depends on, in plain values; the rules below read nothing else."""

    has_stack: bool = False
    slice_count: int = 0
    slice_index: int | None = None
    labels: tuple[str, ...] = ()
    painted_labels: tuple[str, ...] = ()
    usable: int = 0
    has_background: bool = False
    stray_slices: tuple[int, ...] = ()
    has_adapter: bool = False
    rounds: int = 0
    predicted: int = 0
    fresh: int = 0
    predicted_here: bool = False
    complete_here: bool = False
    painted_here: bool = False
    changed_since_round: int = 0
    can_undo: bool = False
    left_to_suggest: int = 0
    suggested_here: bool = False
    skipped: int = 0
    blank: int = 0
    """Slices that show nothing."""
    job: JobKind = "none"
    stopping: bool = False
    selected: str = ""
    """Name of the selected label; empty for background or none."""
    selected_here: bool = False
    nearest_painted: int | None = None
    around: tuple[int, int] | None = None
    offers: Offers = NO_OFFERS


def facts_of(
    session: Session | None,
    job: JobState,
    slice_index: int | None,
    selected: int | None = None,
    suggested: int | None = None,
    offers: Offers = NO_OFFERS,
) -> Facts:
    """Read the facts off a session.

    ``slice_index`` is the slice on screen, None for outside; ``selected`` the id that the brush
    paints; ``suggested`` the slice to correct next.
    """
    if session is None:
        return Facts(job=job.kind, stopping=job.stopping)
    annotations, count = session.annotations, len(session.stack)
    here = slice_index if slice_index is not None and 0 <= slice_index < count else None
    strays = annotations.stray_ids(session.labels.ids)
    usable = annotations.usable_slices()
    name = session.labels.names.get(selected, "") if selected is not None else ""
    return Facts(
        has_stack=True,
        slice_count=count,
        slice_index=here,
        labels=tuple(label.name for label in session.labels),
        painted_labels=tuple(label.name for label in session.painted_labels()),
        usable=len(usable),
        has_background=session.has_background(),
        stray_slices=tuple(sorted({index for slices in strays.values() for index in slices})),
        has_adapter=session.adapter_path is not None,
        rounds=len(session.rounds),
        predicted=session.predicted_count,
        fresh=session.fresh_count,
        predicted_here=session.has_prediction(here),
        complete_here=here is not None and annotations.is_complete(here),
        painted_here=here is not None and bool(annotations.ids(here)),
        changed_since_round=len(session.slices_since_round),
        can_undo=annotations.next_fill is not None,
        left_to_suggest=session.left_to_suggest,
        suggested_here=here is not None and here == suggested,
        skipped=len(session.skipped),
        blank=len(session.blank),
        job=job.kind,
        stopping=job.stopping,
        selected=name,
        selected_here=bool(name) and here is not None and selected in annotations.ids(here),
        nearest_painted=nearest_painted(annotations, session.labels.ids, here),
        around=painted_around(annotations, selected, here) if name and selected else None,
        offers=offers,
    )
