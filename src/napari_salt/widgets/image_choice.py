"""Choice of the image to segment, its facts, and its slice axis and level where there is one to choose."""
# ruff: noqa: N802, N815 - Qt's own style of names

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QPushButton, QWidget

from napari_salt.views import ImageState
from napari_salt.widgets.caption import Caption
from napari_salt.widgets.no_wheel import NoWheel
from napari_salt.widgets.plain import PlainLabel, plain_text

_NONE = "none yet (File ▸ Open…)"
_NO_IMAGE = "Open an image first (File ▸ Open…)"
_TIP = "The image layer to segment"


class ImageChoice(QWidget):
    """Combo box of the viewer's images; ``value`` is the key of the chosen one."""

    valueChanged = Signal(str)
    axisChanged = Signal(int)
    levelChanged = Signal(int)
    offerTaken = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image = self._combo("image", _TIP)
        self._axis = self._combo("slice axis", "The axis along which slices are counted")
        self._axis_caption = PlainLabel("Slices along", self)
        self._level = self._combo(
            "level to work at",
            "The level of the image's pyramid to paint and segment: a coarser one is faster, a finer one shows\n"
            "more. Paint comes along to the level you choose; masks can be saved at full resolution from any.",
        )
        self._level_caption = PlainLabel("Work at", self)
        self._facts = PlainLabel(self)
        self._facts.setWordWrap(True)
        self._facts.setToolTip("Slices · size of one slice · size of a voxel")
        self._note = PlainLabel(self)
        self._note.setWordWrap(True)
        self._offer = QPushButton(self)
        self._offer.clicked.connect(lambda: self.offerTaken.emit())
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(Caption("Image", self), 0, 0)
        layout.addWidget(self._image, 0, 1)
        layout.addWidget(self._facts, 1, 0, 1, 2)
        layout.addWidget(self._axis_caption, 2, 0)
        layout.addWidget(self._axis, 2, 1)
        layout.addWidget(self._level_caption, 3, 0)
        layout.addWidget(self._level, 3, 1)
        layout.addWidget(self._note, 4, 0, 1, 2)
        layout.addWidget(self._offer, 5, 0, 1, 2)
        layout.setColumnStretch(1, 1)
        NoWheel(self).guard(self._image, self._axis, self._level)
        self._image.activated.connect(self._on_image)
        self._axis.activated.connect(self._on_axis)
        self._level.activated.connect(self._on_level)
        self._keys: tuple[str, ...] = ()
        self._axes: tuple[int, ...] = ()
        self._levels: tuple[int, ...] = ()
        self.setValue(ImageState())

    def value(self) -> str | None:
        """Key of the chosen image, or None."""
        place = self._image.currentIndex()
        return self._keys[place] if 0 <= place < len(self._keys) else None

    def setValue(self, state: ImageState) -> None:
        """Show the images, which one is chosen, and its facts."""
        self._keys = tuple(entry.key for entry in state.entries)
        names = [entry.name for entry in state.entries]
        self._fill(self._image, names or [_NONE])
        self._image.setEnabled(bool(names))
        self._image.setCurrentIndex(
            self._keys.index(state.key) if state.key in self._keys else (-1 if names else 0)
        )
        # a long name does not fit into the box
        whole = f"{self._image.currentText()}\n{_TIP}".strip()
        self._image.setToolTip(plain_text(whole) if names else f"{_NO_IMAGE}.\n({_TIP})")
        self._facts.setText(state.facts)
        self._facts.setVisible(bool(state.facts))
        self._axes = tuple(entry.axis for entry in state.axes)
        self._fill(self._axis, [entry.name for entry in state.axes])
        if state.axis in self._axes:
            self._axis.setCurrentIndex(self._axes.index(state.axis))
        self._levels = tuple(entry.level for entry in state.levels)
        self._fill(self._level, [entry.name for entry in state.levels])
        if state.level in self._levels:
            self._level.setCurrentIndex(self._levels.index(state.level))
        for widget in (self._axis, self._axis_caption):
            widget.setVisible(bool(state.axes))
        for widget in (self._level, self._level_caption):
            widget.setVisible(bool(state.levels))
        self._note.setText(state.note.text)
        self._note.setVisible(bool(state.note.text))
        self._offer.setText(state.note.offer)
        self._offer.setToolTip(plain_text(f"{state.note.text}\n{state.note.offer}".strip()))
        self._offer.setVisible(bool(state.note.offer))

    def facts(self) -> str:
        """The line of facts."""
        return self._facts.text()

    def note(self) -> str:
        """The line below the facts."""
        return self._note.text()

    def offer(self) -> str:
        """Text of the button below the note; empty where there is none."""
        return self._offer.text()

    def _combo(self, name: str, tip: str) -> QComboBox:
        combo = QComboBox(self)
        combo.setAccessibleName(name)
        combo.setToolTip(tip)
        combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        combo.setMinimumContentsLength(8)
        combo.setPlaceholderText("choose an image")
        return combo

    @staticmethod
    def _fill(combo: QComboBox, names: list[str]) -> None:
        was_blocked = combo.blockSignals(True)
        combo.clear()
        combo.addItems(names)
        for place, name in enumerate(names):
            combo.setItemData(place, plain_text(name), Qt.ItemDataRole.ToolTipRole)
        combo.blockSignals(was_blocked)

    def _on_image(self, place: int) -> None:
        if place < len(self._keys):
            self.valueChanged.emit(self._keys[place])

    def _on_level(self, place: int) -> None:
        self.levelChanged.emit(self._levels[place])

    def _on_axis(self, place: int) -> None:
        self.axisChanged.emit(self._axes[place])
