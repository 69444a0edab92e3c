"""A column that scrolls up and down, and is always as wide as what is in it."""
# ruff: noqa: N802 - Qt's own style of names

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QWidget


class ScrolledColumn(QScrollArea):
    """Scroll area whose least width is that of its content beside the scroll bar, also in another theme or font."""

    def __init__(self, content: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def minimumSizeHint(self) -> QSize:
        """As wide as the content; how high is of no matter."""
        content, bar = self.widget(), self.verticalScrollBar()
        wide = 0 if content is None else content.minimumSizeHint().width()
        room = 2 * self.frameWidth() + (0 if bar is None else bar.sizeHint().width())
        return QSize(wide + room, super().minimumSizeHint().height())

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Pass on that the content wants another size."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)
