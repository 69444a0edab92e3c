"""Advanced: how the next fit is done. A first-time user needs nothing in here."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from typing import get_args

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QLineEdit, QSpinBox, QWidget

from napari_salt.records import AdapterKind, FitSettings
from napari_salt.widgets.intensity_field import IntensityField
from napari_salt.widgets.no_wheel import NoWheel

BACKBONES = ("lite-medsam", "sam-vit-b", "sam-vit-l", "sam-vit-h")
DEVICES = ("auto", "cpu", "cuda", "mps")
_KIND_TIPS = {
    "salt": "Scale and shift the leading singular values, low-rank update on the rest (default)",
    "ssam": "Scale and shift every singular value",
    "lora": "Low-rank update only",
    "full": "All weights of the adapted layers; large files",
    "none": "Only the label queries on the frozen backbone",
}
_AUTO = -1


class SettingsPanel(QWidget):
    """Form of the settings; ``value`` is a frozen `FitSettings`."""

    valueChanged = Signal(object)
    lookingAheadChanged = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._base = FitSettings()
        self._backbone = self._combo(BACKBONES, editable=True)
        self._backbone.setToolTip(
            "Name of a SAM backbone, or the path of a checkpoint of its shape"
        )
        self._kind = self._combo(get_args(AdapterKind))
        self._kind.setToolTip("How the backbone is adapted; each entry says more")
        for place, kind in enumerate(get_args(AdapterKind)):
            self._kind.setItemData(place, _KIND_TIPS[kind], 3)
        self._rank = self._spin(4096, "Leading singular values that are scaled and shifted")
        self._low_rank = self._spin(1024, "Rank of the update on the rest")
        self._steps = self._spin(100_000, "")
        self._steps.setToolTip(
            "Steps of fine-tuning; a number tries them on this stack as well, auto for other stacks alone"
        )
        self._seed = self._spin(2**31 - 1, "")
        self._seed.setMinimum(0)
        self._seed.setSpecialValueText("")
        self._seed.setToolTip("Same seed, same paint, same settings: same result")
        self._device = self._combo(DEVICES, editable=True)
        self._device.setToolTip("Where to compute: auto, cpu, cuda, cuda:1, mps")
        self.intensity = IntensityField(self)
        self._cluster = QLineEdit(self)
        self._cluster.setPlaceholderText("this computer")
        self._cluster.setToolTip(
            "Segment all on the workers of a Dask scheduler at tls://host:8786; see docs/cluster.md. "
            "Empty: on this computer"
        )
        self._other_stacks = QCheckBox("as well", self)
        self._other_stacks.setToolTip(
            "An adapter that is saved learns to find its labels on stacks of other contrast, noise or resolution too, "
            "which takes a minute or two; the file is there at once"
        )
        self._looking_ahead = QCheckBox("in pauses", self)
        self._looking_ahead.setToolTip(
            "While nobody paints, run slices through the frozen part of the network: Adapt and Segment are sooner done"
        )
        self._looking_ahead.setChecked(True)
        self._looking_ahead.toggled.connect(self.lookingAheadChanged)
        self._lay_out()
        self.setValue(self._base)
        self._listen()

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(8, 2, 0, 2)
        form.setSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Intensity", self.intensity.name)  # first: the one that CT wants
        form.addRow(self.intensity)
        for caption, field in (
            ("Backbone", self._backbone),
            ("Adapter", self._kind),
            ("Rank", self._rank),
            ("Low rank", self._low_rank),
            ("Steps", self._steps),
            ("Seed", self._seed),
            ("Device", self._device),
            ("Other stacks", self._other_stacks),
            ("Look ahead", self._looking_ahead),
            ("Cluster", self._cluster),
        ):
            form.addRow(caption, field)
            field.setAccessibleName(caption)

    def _listen(self) -> None:
        guard = NoWheel(self)
        for combo in (self._backbone, self._kind, self._device):
            guard.guard(combo)
            combo.currentIndexChanged.connect(self._emit)
            line = combo.lineEdit()
            if line is not None:
                line.editingFinished.connect(self._emit)
        self._cluster.editingFinished.connect(self._emit)
        for spin in (self._rank, self._low_rank, self._steps, self._seed):
            guard.guard(spin)
            spin.valueChanged.connect(self._emit)

        self._other_stacks.toggled.connect(self._emit)
        self.intensity.valueChanged.connect(self._emit)

    def value(self) -> FitSettings:
        """The settings of the next fit."""

        def number(spin: QSpinBox) -> int | None:
            return None if spin.value() == _AUTO else spin.value()

        kinds = get_args(AdapterKind)
        return FitSettings(
            kind=kinds[self._kind.currentIndex()],
            backbone=self._backbone.currentText().strip() or BACKBONES[0],
            rank=number(self._rank),
            low_rank=number(self._low_rank),
            steps=number(self._steps),
            time_budget=self._base.time_budget,
            seed=self._seed.value(),
            device=self._device.currentText().strip() or DEVICES[0],
            text_model=self._base.text_model,
            intensity=self.intensity.value(),
            cluster=self._cluster.text().strip(),
            other_stacks=self._other_stacks.isChecked(),
        )

    def setValue(self, settings: FitSettings) -> None:
        """Show other settings without telling anyone."""
        was_blocked = self.blockSignals(True)
        self._base = settings
        self._backbone.setCurrentText(settings.backbone)
        self._kind.setCurrentText(settings.kind)
        for spin, number in (
            (self._rank, settings.rank),
            (self._low_rank, settings.low_rank),
            (self._steps, settings.steps),
        ):
            spin.setValue(_AUTO if number is None else number)
        self._seed.setValue(settings.seed)
        self._device.setCurrentText(settings.device)
        self.intensity.setValue(settings.intensity)
        self._cluster.setText(settings.cluster)
        self._other_stacks.setChecked(settings.other_stacks)
        self.blockSignals(was_blocked)

    def _combo(self, names: tuple[str, ...], *, editable: bool = False) -> QComboBox:
        combo = QComboBox(self)
        combo.addItems(names)
        combo.setEditable(editable)
        combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        combo.setMinimumContentsLength(8)
        return combo

    def _spin(self, most: int, tip: str) -> QSpinBox:
        spin = QSpinBox(self)
        spin.setRange(_AUTO, most)
        spin.setSpecialValueText("auto")
        spin.setKeyboardTracking(False)
        spin.setToolTip(f"{tip}; auto suits the backbone and the number of slices")
        return spin

    def _emit(self) -> None:
        self.valueChanged.emit(self.value())
