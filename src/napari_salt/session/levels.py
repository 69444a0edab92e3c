"""Paint, ticks and labels of one level of a pyramid, brought to the session of another level of the same image.

What is brought is what was said here since both levels last agreed: pixels that nobody has touched keep the detail
that they have there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from napari_salt.session.agreement import CARRIED
from napari_salt.session.level_grid import NOTHING, LevelGrid, Plane, Said
from napari_salt.session.undo import PaintStep, PaintSteps

if TYPE_CHECKING:
    from napari_salt.session.agreement import Watch
    from napari_salt.session.annotations import Annotations
    from napari_salt.session.labels import LabelTable
    from napari_salt.session.session import Session


@dataclass(frozen=True)
class Brought:
    """Slices that have changed there, and whether all labels have the same ids on both levels from now on."""

    slices: tuple[int, ...]
    same_ids: bool = True


def bring_changes(source: Session, watch: Watch, target: Session) -> Brought:
    """Change at ``target`` what has changed at ``source`` since ``watch``, as one step that can be taken back.

    Both agreed then. Names, colours and removals of labels are brought as well.
    """
    _follow(source.labels, target.labels)
    now, grid = Said.by(source.annotations), LevelGrid(source.stack.info, target.stack.info)
    return Brought(_carry(now, watch.before(), target.annotations, grid, watch.changed))


def bring_all(source: Session, target: Session) -> Brought:
    """Bring all that is said at ``source``, as one step that can be taken back; what ``target`` says itself stays.

    A label goes to the one of its name there, and keeps its id where it can. Finer paint that looks from here as
    what is painted here is left as it is.
    """
    ids = _matched(source.labels, target.labels)
    same = all(one == other for one, other in ids.items())
    now, there = Said.by(source.annotations), Said.by(target.annotations)
    grid = LevelGrid(source.stack.info, target.stack.info)
    before = NOTHING
    if there.usable and not grid.coarsens:
        back = LevelGrid(target.stack.info, source.stack.info)
        before = Said(lru_cache(2)(lambda index: back.seen(there, index, back.whole)), (), ())
    said = now if same else Said(_renumbered(now.plane, ids), now.usable, now.complete)
    slices = _carry(said, before, target.annotations, grid, now.usable, only_new=bool(there.usable))
    return Brought(slices, same)


def _carry(
    now: Said,
    before: Said,
    target: Annotations,
    grid: LevelGrid,
    slices: Iterable[int],
    *,
    only_new: bool = False,
) -> tuple[int, ...]:
    """Change paint and ticks where ``now`` differs from ``before``; with ``only_new`` nothing that is said there."""
    parts, unticked = [], []
    for place in grid.slices_there(slices):
        is_complete, was_complete = grid.complete(now, place), grid.complete(before, place)
        ticks = is_complete and not was_complete and place not in target.complete
        ticks &= not (only_new and target.ids(place))
        part = _part(now, before, target.paint[place], grid, place, ticks, only_new)
        if part.says_something:
            parts.append(part)
        if was_complete and not is_complete and place in target.complete:
            unticked.append(place)
    if parts:
        target.do(PaintSteps(parts[0].index, tuple(parts), CARRIED))
    for place in unticked:
        target.set_complete(place, False)
    return tuple(sorted({part.index for part in parts}.union(unticked)))


def _part(
    now: Said,
    before: Said,
    plane: Plane,
    grid: LevelGrid,
    place: int,
    ticks: bool,
    only_new: bool,
) -> PaintStep:
    """What changes on one slice there."""
    box = grid.reach((now,) if only_new else (now, before), place)
    if box is None:
        nothing = np.zeros(0, np.uint16)
        return PaintStep(place, np.zeros(0, np.intp), nothing, nothing, ticks, CARRIED)
    wanted, there = grid.seen(now, place, box), plane[box]
    changes = (wanted != grid.seen(before, place, box)) & (wanted != there)
    if only_new:
        changes &= (there == 0) & (wanted != 0)
    rows, columns = np.nonzero(changes)
    pixels = (rows + box[0].start) * plane.shape[1] + columns + box[1].start
    return PaintStep(place, pixels, there[rows, columns], wanted[rows, columns], ticks, CARRIED)


def _follow(labels: LabelTable, others: LabelTable) -> None:
    """Make ``others`` the same; a label that was removed goes there with its paint."""
    for label_id in others.ids:
        if label_id not in labels:
            others.remove(label_id)
    if tuple(labels) != tuple(others):
        others.replace(labels, next_id=max(labels.next_id, others.next_id))


def _matched(labels: LabelTable, others: LabelTable) -> dict[int, int]:
    """For each of ``labels`` the id there: of its name, else a new label's, with the same id where that is free."""
    ids = {}
    for label in labels:
        known = others.by_name(label.name)
        if known is None:
            free = label.label_id >= others.next_id
            same = label.label_id if free else None
            known = others.add(label.name, label.color, label_id=same)
        ids[label.label_id] = known.label_id
    return ids


def _renumbered(
    plane: Callable[[int], Plane | None], ids: Mapping[int, int]
) -> Callable[[int], Plane | None]:
    table = np.arange(np.iinfo(np.uint16).max + 1, dtype=np.uint16)
    for label_id, other in ids.items():
        table[label_id] = other

    def renumbered(index: int) -> Plane | None:
        found = plane(index)
        return None if found is None else table[found]

    return renumbered
