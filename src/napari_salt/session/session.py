"""The user's open work on one stack; ignorant of viewer and engine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_salt.errors import InputError
from napari_salt.intensity import is_blank
from napari_salt.records import (
    BACKGROUND,
    AnnotatedSlice,
    FitRecord,
    FitSettings,
    Label,
    Round,
    SliceSummary,
    Suggestion,
)
from napari_salt.regions import is_large
from napari_salt.session.annotations import Annotations
from napari_salt.session.labels import LabelTable
from napari_salt.session.rounds import Rounds
from napari_salt.session.stack import Stack
from napari_salt.session.suggest import suggest
from napari_salt.session.unnoticed import notice

if TYPE_CHECKING:
    from napari_salt.session.agreement import Agreement

MOST_LOOKS = 12
"""How often a suggestion that shows nothing is replaced: the window waits for the slices that are read."""


class Session:
    """A stack with its labels, paint, rounds, and what is known of its predictions.

    Parts may be given to go on with earlier work; new ones are made for those omitted. Removing a
    label erases its paint.

    Raises
    ------
    InputError
        When the annotations belong to a stack of another shape.
    """

    settings_changed = Signal(FitSettings)
    adapter_changed = Signal(object)
    """Path of the adapter in use as str, or None."""
    predicted = Signal(int)
    """A slice has got a (newer) prediction."""
    predictions_outdated = Signal()
    """Another adapter is in use: predictions made so far are those of an older one."""
    skipped_changed = Signal()
    scored = Signal(int)
    """A round was scored after it was made."""
    resumed = Signal()
    """Kept work has taken the place of what was here."""

    def __init__(
        self,
        stack: Stack,
        *,
        labels: LabelTable | None = None,
        annotations: Annotations | None = None,
        rounds: Rounds | None = None,
        settings: FitSettings | None = None,
        adapter_path: str | os.PathLike[str] | None = None,
        skipped: Iterable[int] = (),
    ) -> None:
        shape = stack.info.shape
        if annotations is not None and annotations.paint.shape != shape:
            raise InputError(
                f"The paint has shape {annotations.paint.shape}, but the stack has {shape}; "
                "open the image that it was painted on."
            )
        self.stack = stack
        self.labels = LabelTable() if labels is None else labels
        self.annotations = Annotations(shape) if annotations is None else annotations
        self.rounds = Rounds() if rounds is None else rounds
        self._settings = FitSettings() if settings is None else settings
        self._adapter_path = None if adapter_path is None else os.fspath(adapter_path)
        if self._adapter_path is None and self.rounds.active is not None:
            self._adapter_path = self.rounds.active.adapter_path
        self._summaries: dict[int, SliceSummary] = {}
        self._outdated: set[int] = set()
        self._skipped = set(skipped)
        self._blank: set[int] = set()
        self._looked_at: set[int] = set()
        """Slices of which is known whether they are blank."""
        self._since_round: set[int] = set()
        self._since_snapshot: set[int] = set()
        self.agreement: Agreement | None = None
        """With sessions at other levels of the image, if there are any."""
        self.earlier_agreement: Agreement | None = None
        """With folders that have not been opened since they agreed with the folder of this session."""
        self.labels.removed.connect(self._on_label_removed)
        self.annotations.changed.connect(self._on_paint)
        self.annotations.completed.connect(self._on_paint)

    # ---- the stack

    def replace_stack(self, stack: Stack, *, other_pixels: bool = False) -> None:
        """Go on with the same image opened anew; with ``other_pixels`` all masks are out of date.

        Raises
        ------
        InputError
            When the stack has another shape than the paint.
        """
        if stack.info.shape != self.annotations.paint.shape:
            raise InputError(
                f"The image now has the shape {stack.info.shape}, but its paint has "
                f"{self.annotations.paint.shape}; open it as another image."
            )
        self.stack = stack
        if other_pixels:
            self._blank.clear()
            self._looked_at.clear()
            self._summaries = {i: replace(x, blank=False) for i, x in self._summaries.items()}
            self._outdated = set(self._summaries)
            self.predictions_outdated.emit()

    # ---- settings and adapter

    @property
    def settings(self) -> FitSettings:
        """How the next round adapts."""
        return self._settings

    @settings.setter
    def settings(self, settings: FitSettings) -> None:
        if settings != self._settings:
            self._settings = settings
            self.settings_changed.emit(settings)

    @property
    def adapter_path(self) -> str | None:
        """File of the adapter in use; None before the first."""
        return self._adapter_path

    def use_adapter(self, path: str | os.PathLike[str] | None) -> None:
        """Use an adapter that no round of this session has made (a file, a first fit), or none."""
        self.rounds.deactivate()
        self._use(None if path is None else os.fspath(path))

    # ---- rounds

    def add_round(
        self, record: FitRecord, adapter_path: str | os.PathLike[str], size_bytes: int
    ) -> Round:
        """Keep a finished round and use its adapter (file of ``size_bytes``)."""
        round_ = self.rounds.add(record, os.fspath(adapter_path), size_bytes)
        self._since_round = set(self._since_snapshot)
        self._use(round_.adapter_path)
        return round_

    def restore_round(self, number: int) -> Round:
        """Use the adapter of an earlier round again; InputError when there is no such round."""
        before = self.rounds.active
        round_ = self.rounds.restore(number)
        if round_ != before:
            self._use(round_.adapter_path)
        return round_

    def score_round(self, number: int, record: FitRecord) -> None:
        """Keep the ``record`` of a round with the score that came later; InputError when there is no such round."""
        self.rounds.score(number, record)
        self.scored.emit(number)

    def use_round(self) -> None:
        """Use the adapter of the active round, after the rounds were replaced."""
        active = self.rounds.active
        self._use(None if active is None else active.adapter_path)

    @property
    def slices_since_round(self) -> tuple[int, ...]:
        """Slices whose paint or tick changed after the newest round had taken its copy; rising."""
        return tuple(sorted(self._since_round))

    def changed_since_round(self, slices: Iterable[int]) -> None:
        """Take it that these ``slices``, and no others, have changed since the newest round."""
        self._since_round = set(slices)

    # ---- annotations

    def snapshot(self) -> tuple[AnnotatedSlice, ...]:
        """Frozen copy of all that can be learned from, for one round.

        Paint of an id that is no label is left out. What is painted from now on counts as new, see
        ``slices_since_round``.
        """
        notice(self.annotations)
        self._since_snapshot.clear()
        return self.annotations.snapshot(label_ids=self.labels.ids)

    def painted_labels(self) -> tuple[Label, ...]:
        """Labels that carry paint somewhere, in the order of the table."""
        return tuple(x for x in self.labels if self.annotations.painted_slices(x.label_id))

    def has_background(self) -> bool:
        """Whether anything says what is *not* a label: a complete slice, or background paint."""
        annotations = self.annotations
        return bool(annotations.complete) or bool(annotations.painted_slices(BACKGROUND))

    # ---- predictions

    @property
    def summaries(self) -> dict[int, SliceSummary]:
        """Copy of what is known of predicted slices, by index."""
        return dict(self._summaries)

    def add_prediction(self, summary: SliceSummary, *, provisional: bool = False) -> None:
        """Take note that a slice was predicted; a provisional one counts as out of date at once."""
        self._summaries[summary.index] = summary
        self._tell_blank(summary.index, summary.blank)
        if provisional:
            self._outdated.add(summary.index)
        else:
            self._outdated.discard(summary.index)
        self.predicted.emit(summary.index)

    def has_prediction(self, index: int | None) -> bool:
        """Whether a slice has a prediction, by whatever adapter."""
        return index in self._summaries

    def predicted_slices(self) -> tuple[int, ...]:
        """Slices that have a prediction, by whatever adapter; rising."""
        return tuple(sorted(self._summaries))

    @property
    def predicted_count(self) -> int:
        """How many slices have a prediction, by whatever adapter."""
        return len(self._summaries)

    @property
    def fresh_count(self) -> int:
        """How many slices are predicted with the adapter now in use."""
        return len(self._summaries) - len(self._outdated)

    def fresh_slices(self) -> tuple[int, ...]:
        """Slices predicted with the adapter now in use; rising."""
        return tuple(sorted(set(self._summaries) - self._outdated))

    @property
    def outdated(self) -> frozenset[int]:
        """Predicted slices whose prediction an earlier adapter made, or is a first look."""
        return frozenset(self._outdated)

    # ---- suggestions

    @property
    def skipped(self) -> frozenset[int]:
        """Slices that the user does not want to be sent to."""
        return frozenset(self._skipped)

    def skip(self, index: int) -> None:
        """Do not suggest a slice again."""
        if index not in self._skipped:
            self._skipped.add(index)
            self.skipped_changed.emit()

    def clear_skipped(self) -> None:
        """Suggest skipped slices again."""
        if self._skipped:
            self._skipped.clear()
            self.skipped_changed.emit()

    @property
    def blank(self) -> frozenset[int]:
        """Slices that are known to show nothing."""
        return frozenset(self._blank)

    @property
    def left_to_suggest(self) -> int:
        """How many slices may be suggested still."""
        closed = self._skipped.union(self.annotations.usable_slices(), self._blank)
        return len(self.stack) - len(closed)

    def suggest(self, k: int = 1) -> list[Suggestion]:
        """At most ``k`` slices where a correction helps most, best first.

        Slices without a prediction are looked at before they are suggested: nobody is sent to one that shows nothing.
        """
        for _ in range(MOST_LOOKS):
            found = suggest(
                list(self._summaries.values()),
                self.annotations.usable_slices(),
                tuple(self.labels),
                k=k,
                skipped=tuple(self._skipped),
                blank=tuple(self._blank),
                count=len(self.stack),
            )
            for one in found:
                self._look_at(one.index)
            if self._blank.isdisjoint(one.index for one in found):
                break
        return found

    def _look_at(self, index: int) -> None:
        """Learn whether a slice shows nothing; large ones are not read for that."""
        if index in self._looked_at or is_large(self.stack.info):
            return
        try:
            self._tell_blank(index, is_blank(self.stack.plane(index)))
        except Exception:  # noqa: BLE001
            return  # an image can raise anything when it is read

    def _tell_blank(self, index: int, blank: bool) -> None:
        self._looked_at.add(index)
        if blank:
            self._blank.add(index)
        else:
            self._blank.discard(index)

    # ---- keeping the books

    def _use(self, path: str | None) -> None:
        # The same path may hold another adapter now: the first fit, then the finished one.
        self._adapter_path = path
        self._outdated = set(self._summaries)
        self.adapter_changed.emit(path)
        self.predictions_outdated.emit()

    def _on_paint(self, index: int) -> None:
        self._since_round.add(index)
        self._since_snapshot.add(index)

    def _on_label_removed(self, label: Label) -> None:
        self.annotations.erase_label(label.label_id)
