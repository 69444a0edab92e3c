"""What the user has said about pixels: paint, and which slices are complete."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_salt.errors import InputError
from napari_salt.records import BACKGROUND, UNLABELLED, AnnotatedSlice
from napari_salt.regions import LARGE
from napari_salt.session.accepting import accepted
from napari_salt.session.undo import PaintHistory, PaintStep, PaintSteps, Step
from napari_salt.sparse_plane import SparsePlane
from napari_salt.zeros import untouched_zeros

_IDS = np.iinfo(np.uint16).max + 1


class Annotations:
    """Paint of a stack, in three pixel states: unlabelled, background, or a label.

    The viewer edits ``paint`` in place and then calls ``touched``; everything else here keeps its
    books itself. Which ids a slice carries is remembered for each painted slice, so that counting
    scans neither pixels nor the unpainted slices, of which there may be thousands.

    Parameters
    ----------
    shape
        ``(N, Y, X)`` of the stack.
    paint
        ``(N, Y, X)`` uint16 to go on with; kept, not copied. Zeros when omitted.
    complete
        Slices that are complete from the start.

    Raises
    ------
    InputError
        When ``paint`` has another shape or type, or there is no room for a new one.
    """

    changed = Signal(int)
    """Paint of this slice has changed."""
    completed = Signal(int, bool)
    """The complete tick of this slice has changed."""
    replaced = Signal()
    """All paint is other paint now; what one of its steps would take back is forgotten."""
    stepped = Signal(object, bool)
    """A step was made (True) or taken back (False)."""

    def __init__(
        self,
        shape: Sequence[int],
        paint: NDArray[np.uint16] | None = None,
        complete: Iterable[int] = (),
    ) -> None:
        wanted = tuple(int(length) for length in shape)
        fresh = paint is None
        if paint is None:
            paint = untouched_zeros(wanted, np.uint16)
        if paint.shape != wanted or paint.dtype != np.uint16:
            raise InputError(
                f"The paint is {paint.dtype} of shape {paint.shape}, but the stack needs uint16 of "
                f"shape {wanted}; it belongs to another image."
            )
        self._paint = paint
        # Zeros that nobody has touched take no memory yet; to look through them would, and seconds.
        self._ids: dict[int, frozenset[int]] = {}
        for index, plane in enumerate(() if fresh else paint):
            self._note(index, plane)
        self._complete: set[int] = set()
        self._history = PaintHistory()
        for index in complete:
            self._complete.add(self._checked(index))

    # ---- asking

    @property
    def paint(self) -> NDArray[np.uint16]:
        """``(N, Y, X)`` uint16 ids, the array itself: edit in place, then call ``touched``."""
        return self._paint

    @property
    def complete(self) -> frozenset[int]:
        """Slices whose unlabelled pixels are background."""
        return frozenset(self._complete)

    def is_complete(self, index: int) -> bool:
        """Whether the unlabelled pixels of a slice are background."""
        return index in self._complete

    def ids(self, index: int) -> frozenset[int]:
        """Ids painted on a slice, background among them, unlabelled not."""
        return self._ids.get(self._checked(index), frozenset())

    def painted_slices(self, label_id: int | None = None) -> tuple[int, ...]:
        """Slices that carry paint of ``label_id``, or any paint at all; rising."""
        if label_id is None:
            return tuple(sorted(self._ids))
        return tuple(sorted(index for index, ids in self._ids.items() if label_id in ids))

    def usable_slices(self) -> tuple[int, ...]:
        """Slices that say something: painted or complete; rising."""
        return tuple(sorted(self._complete.union(self._ids)))

    def stray_ids(self, label_ids: Collection[int]) -> dict[int, tuple[int, ...]]:
        """Painted ids that are neither background nor in ``label_ids``, with their slices."""
        painted: set[int] = set().union(*self._ids.values())
        strays = sorted(painted - set(label_ids) - {BACKGROUND})
        return {stray: self.painted_slices(stray) for stray in strays}

    def slice_targets(
        self, index: int, label_ids: Collection[int] | None = None
    ) -> NDArray[np.uint16]:
        """Copy of a slice's paint ``(Y, X)``; on a complete slice what is unlabelled is background.

        With ``label_ids`` paint of any other id says nothing and becomes unlabelled, also on a
        complete slice: somebody painted there, so it is not background.
        """
        targets: NDArray[np.uint16] = self._paint[self._checked(index)].copy()
        if index in self._complete:
            targets[targets == UNLABELLED] = BACKGROUND
        if label_ids is not None and not self.ids(index) <= {BACKGROUND, *label_ids}:
            known = np.array([UNLABELLED, BACKGROUND, *label_ids])
            targets[~np.isin(targets, known)] = UNLABELLED
        return targets

    def snapshot(
        self, slices: Iterable[int] | None = None, label_ids: Collection[int] | None = None
    ) -> tuple[AnnotatedSlice, ...]:
        """Frozen copies of ``slices`` (all usable ones when None), for a job to work on.

        Arrays are read-only and share no memory with ``paint``; those of large slices are sparse.
        ``label_ids`` as in ``slice_targets``.
        """
        wanted = self.usable_slices() if slices is None else slices
        _, height, width = self._paint.shape
        frozen = []
        for index in wanted:
            if height * width > LARGE:
                frozen.append(self._sparse(int(index), label_ids))
                continue
            targets = self.slice_targets(index, label_ids)
            targets.flags.writeable = False
            frozen.append(AnnotatedSlice(int(index), targets, index in self._complete))
        return tuple(frozen)

    def _sparse(self, index: int, label_ids: Collection[int] | None) -> AnnotatedSlice:
        """A frozen copy of a large slice that holds only what is painted."""
        complete = index in self._complete
        plane = self._paint[self._checked(index)]
        known = None if label_ids is None else {UNLABELLED, BACKGROUND, *label_ids}
        targets = SparsePlane.of(plane, BACKGROUND if complete else UNLABELLED, known)
        return AnnotatedSlice(index, targets, complete)

    # ---- changing

    def touched(self, index: int) -> None:
        """Take note that the paint of a slice was edited from outside."""
        self._checked(index)
        self._note(index, self._paint[index])
        self.changed.emit(index)

    def set_complete(self, index: int, complete: bool) -> None:
        """Say whether unlabelled pixels of a slice are background; silent when it is so already."""
        if complete == (self._checked(index) in self._complete):
            return
        if complete:
            self._complete.add(index)
        else:
            self._complete.discard(index)
        self.completed.emit(index, complete)

    def accept(
        self,
        index: int,
        prediction: NDArray[np.unsignedinteger],
        label_ids: Collection[int] | None = None,
        *,
        complete: bool = False,
        what: str = "prediction",
    ) -> int:
        """Copy a prediction into the paint of a slice, as one step that can be undone.

        Nothing the user has painted is overwritten by accident: a painted pixel, background
        included, stays as it is, and only unlabelled pixels take the label predicted there. That
        holds on a complete slice too, whose tick then speaks of what is left unlabelled. Where the
        prediction is 0 (none of the labels) paint stays as it is; the tick is the way to make it
        background.

        Parameters
        ----------
        index
            The slice.
        prediction
            ``(Y, X)`` unsigned ids, 0 where none of the labels.
        label_ids
            Labels to take over; all when None.
        complete
            Also tick the slice as complete, in the same step: what is now unlabelled is background.
        what
            What the step is called where it is taken back.

        Returns
        -------
        int
            Pixels that changed; 0 with no tick changed makes no step.

        Raises
        ------
        InputError
            When the prediction has another shape than the slice.
        """
        plane = self._paint[self._checked(index)]
        if prediction.shape != plane.shape:
            raise InputError(
                f"The prediction has shape {prediction.shape}, but slice {index} has "
                f"{plane.shape}; segment this slice again."
            )
        after = accepted(plane, prediction, label_ids)
        pixels = np.flatnonzero(after != plane)
        ticks = complete and index not in self._complete
        before = plane.ravel()[pixels]
        self.do(PaintStep(index, pixels, before, after.ravel()[pixels], ticks, what))
        return int(pixels.size)

    def fill(
        self, label_id: int, masks: Mapping[int, NDArray[np.bool_]], *, index: int, what: str
    ) -> tuple[int, ...]:
        """Give unlabelled pixels of several slices a label, as one step that can be undone.

        Parameters
        ----------
        label_id
            The label.
        masks
            ``(Y, X)`` of each slice: where the label goes, if nothing is painted there.
        index
            Slice to show when the step is taken back.
        what
            What the step is called where it is taken back.

        Returns
        -------
        tuple of int
            Slices that changed, rising; none of them makes no step.
        """
        parts = []
        for place, mask in sorted(masks.items()):
            plane = self._paint[self._checked(place)]
            pixels = np.flatnonzero(mask & (plane == UNLABELLED))
            if pixels.size:
                before = np.zeros(pixels.size, np.uint16)
                parts.append(
                    PaintStep(place, pixels, before, np.full_like(before, label_id), what=what)
                )
        if parts:
            self.do(PaintSteps(index, tuple(parts), what))
        return tuple(part.index for part in parts)

    def stroke(self, step: Step) -> None:
        """Remember a brush stroke that the viewer has made, to take back in its turn."""
        if step.says_something:
            self._history.did(step)

    def do(self, step: Step) -> None:
        """Change paint and ticks by a step that can be taken back; one that says nothing is not made."""
        if step.says_something:
            self._history.did(step)
            self._make(step)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone step to make again."""
        return self._history.can_redo

    @property
    def next_undo(self) -> Step | None:
        """What ``undo`` would take back; None for nothing."""
        return self._history.next_undo

    @property
    def next_redo(self) -> Step | None:
        """What ``redo`` would make again; None for nothing."""
        return self._history.next_redo

    @property
    def next_fill(self) -> Step | None:
        """What ``undo_fill`` would take back; None for nothing."""
        return self._history.next_fill

    def undo(self) -> int | None:
        """Take the newest step back and return its slice; None when there is none.

        Pixels painted over since then are the user's newer word and stay.
        """
        return self._take_back(self._history.undo())

    def undo_fill(self) -> int | None:
        """Take the newest step back that is no brush stroke; strokes made since then stay.

        Returns
        -------
        int or None
            Its slice; None when there is none.
        """
        return self._take_back(self._history.undo_fill())

    def redo(self) -> int | None:
        """Make the last undone step again and return its slice; None when there is none."""
        step = self._history.redo()
        if step is None:
            return None
        self._make(step)
        return step.index

    def replace(self, planes: Mapping[int, NDArray[np.uint16]], complete: Iterable[int]) -> None:
        """Hold other paint ``(Y, X)`` by slice, and other ticks, in the same array; no step goes back behind it."""
        self._history = PaintHistory()
        before = set(self.usable_slices())
        for index in before - planes.keys():
            self._paint[index] = UNLABELLED
        for index, plane in planes.items():
            self._paint[self._checked(index)] = plane
        self._complete = {self._checked(index) for index in complete}
        for index in sorted(before | planes.keys() | self._complete):
            self.touched(index)
        self.replaced.emit()

    def erase_label(self, label_id: int) -> tuple[int, ...]:
        """Make all paint of a label unlabelled, for good; returns the slices that carried it."""
        slices = self.painted_slices(label_id)
        self._history.forget_label(label_id)
        for index in slices:
            plane = self._paint[index]
            plane[plane == label_id] = UNLABELLED
            self.touched(index)
        return slices

    def _make(self, step: Step) -> None:
        for part in step.parts:
            part.make_again(self._paint[part.index])
            self._tell(part, ticked=True)
        self.stepped.emit(step, True)

    def _take_back(self, step: Step | None) -> int | None:
        if step is None:
            return None
        for part in step.parts:
            part.take_back(self._paint[part.index])
            self._tell(part, ticked=False)
        self.stepped.emit(step, False)
        return step.index

    def _tell(self, step: PaintStep, *, ticked: bool) -> None:
        if step.pixels.size:
            self.touched(step.index)
        if step.completed:
            self.set_complete(step.index, ticked)

    def _note(self, index: int, plane: NDArray[np.uint16]) -> None:
        """Remember which ids a slice carries; nothing for one without paint."""
        ids = _ids_of(plane)
        if ids:
            self._ids[index] = ids
        else:
            self._ids.pop(index, None)

    def _checked(self, index: int) -> int:
        count = len(self._paint)
        if not 0 <= index < count:
            raise InputError(
                f"Slice {index} does not exist; the stack has slices 0 to {count - 1}."
            )
        return index


def _ids_of(plane: NDArray[np.uint16]) -> frozenset[int]:
    """Ids on a plane, unlabelled left out; a lookup table, since sorting a large plane is slow."""
    seen = np.zeros(_IDS, np.bool_)
    seen[plane] = True
    seen[UNLABELLED] = False
    return frozenset(np.flatnonzero(seen).tolist())
