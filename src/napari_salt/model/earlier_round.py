"""What the round before tells the next one: choices that hold for a while, layers, trials that need no repeat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from napari_salt.errors import AdapterError
from napari_salt.model.input_checks import check_channels, check_start
from napari_salt.model.tuning import TRY_AGAIN

if TYPE_CHECKING:
    from torch import Tensor

    from napari_salt.model.adapter_file import AdapterFile
    from napari_salt.records import AdapterKind, FitRecord, FitSettings, Label, Planes


class EarlierRound:
    """The adapter that a fit starts from, or none, beside what is to be fitted now.

    Attributes
    ----------
    adapter
        Of the round before; None in a first one.
    score_waits
        Whether the score is left for later, because queries and forest are mixed as before. Not where steps are asked
        for, which are judged by the fits of the score, nor where layers were adapted; and not with a single slice,
        from which nothing is left out.
    look_holds
        Whether forests look along the stack, or do not, as before.
    """

    def __init__(
        self,
        adapter: AdapterFile | None,
        labels: Sequence[Label],
        count: int,
        settings: FitSettings,
        *,
        score_later: bool,
    ) -> None:
        self.adapter = adapter
        self._labels, self._count, self._settings = labels, count, settings
        asks_for_steps = bool(settings.steps) and settings.kind != "none"
        self.score_waits = (
            score_later
            and not (asks_for_steps or self.layers)
            and self._holds(lambda record: record.mixed_at)
        )
        self.look_holds = self.score_waits or self._holds(lambda record: record.looked_at)

    @property
    def mix(self) -> tuple[float, tuple[float, ...]]:
        """Part of the queries and scale of each row, where `score_waits`."""
        info = self._there.info
        return info.linear_share, info.row_scale

    @property
    def mixed_at(self) -> int:
        """How many painted slices that was chosen with, where `score_waits`."""
        return self._record.mixed_at

    @property
    def looks_along(self) -> bool:
        """Whether forests look along the stack because they did so before."""
        return self.look_holds and self._there.info.volume

    @property
    def looked_at(self) -> int:
        """With how many painted slices that was or is chosen."""
        return self._record.looked_at if self.look_holds else self._count

    @property
    def learned_from(self) -> tuple[int, ...]:
        """Slices that the layers have seen."""
        return () if self.adapter is None else self._record.slices

    @property
    def layers(self) -> dict[str, Tensor]:
        """State of its adapted layers."""
        return {} if self.adapter is None else self.adapter.layer_state()

    def layers_elsewhere(self) -> tuple[dict[str, Tensor], FitRecord | None]:
        """State of its layers for other stacks, if it is of this method, and what it tells of them if of this size."""
        if self.adapter is None or self.adapter.info.kind != self._settings.kind:
            return {}, None
        info, settings = self.adapter.info, self._settings
        same = (info.rank, info.low_rank) == (settings.rank, settings.low_rank)
        return self.adapter.layer_state(elsewhere=True), info.record if same else None

    @property
    def no_gain(self) -> tuple[int, ...]:
        """Its trial without gain, if that was with this method and these labels."""
        if self.adapter is None or self._record.kind != self._settings.kind:
            return ()
        names = {label.name for label in self.adapter.labels}
        same = names == {label.name for label in self._labels}
        return self._record.no_gain if same else ()

    def _holds(self, chosen_at: Callable[[FitRecord], int]) -> bool:
        """Whether what was chosen with so many painted slices of the same labels is good enough now."""
        if self.adapter is None:
            return False
        at = chosen_at(self._record)
        before, now = (
            [(label.label_id, label.name) for label in labels]
            for labels in (self.adapter.labels, self._labels)
        )
        return before == now and 2 <= at <= self._count < TRY_AGAIN * at

    @property
    def _there(self) -> AdapterFile:
        assert self.adapter is not None  # nothing holds without one
        return self.adapter

    @property
    def _record(self) -> FitRecord:
        return self._there.info.record


def check_init(planes: Planes, init: AdapterFile, settings: FitSettings) -> None:
    """Raise where an earlier round's adapter is none to go on from, on this stack and with these settings.

    InputError for a stack of other channels; AdapterError for another method, and for other intensities.
    """
    check_channels(planes, init.info)
    _check_kind(init, settings.kind)
    check_start(init.info, settings.intensity)


def _check_kind(adapter: AdapterFile, kind: AdapterKind) -> None:
    """AdapterError when layers adapted with one method would have to be continued with another."""
    before = adapter.info.kind
    if kind not in ("none", before) and adapter.layer_state():
        raise AdapterError(
            f"The adapter to start from was adapted with '{before}' and cannot be continued with '{kind}'; "
            f"choose '{before}', or start without it."
        )
