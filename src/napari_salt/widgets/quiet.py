"""Text that steps back, and can be read still."""
# ruff: noqa: N802 - Qt's own style of names

from __future__ import annotations

from qtpy.QtCore import QModelIndex
from qtpy.QtGui import QColor, QPalette
from qtpy.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem

LEAST_CONTRAST = 4.5
"""Of small text on what lies below it (WCAG 2.2, 1.4.3)."""
_STEPS = 20


class QuietDelegate(QStyledItemDelegate):
    """Draws the text of cells quietly, in any theme; a selected row is drawn as it always is."""

    def initStyleOption(self, option: QStyleOptionViewItem | None, index: QModelIndex) -> None:
        """Take the colour from the palette, which changes with the theme."""
        super().initStyleOption(option, index)
        if option is not None:
            option.palette.setColor(QPalette.ColorRole.Text, quiet(option.palette))


def quiet(palette: QPalette) -> QColor:
    """The colour between that of text and what is below it that is nearest to the latter and can be read."""
    below = palette.color(QPalette.ColorRole.Base)
    text = palette.color(QPalette.ColorRole.Text)
    mixed = (_mixed(below, text, step / _STEPS) for step in range(_STEPS // 2, _STEPS))
    return next((color for color in mixed if contrast(color, below) >= LEAST_CONTRAST), text)


def contrast(one: QColor, other: QColor) -> float:
    """Contrast of two colours, 1..21 (WCAG 2.2, "contrast ratio")."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: QColor) -> float:
    """Relative luminance, 0..1 (WCAG 2.2)."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (color.redF(), color.greenF(), color.blueF())
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _mixed(one: QColor, other: QColor, share: float) -> QColor:
    """A colour on the way from ``one`` to ``other``."""
    pairs = zip(one.getRgbF()[:3], other.getRgbF()[:3], strict=True)
    return QColor.fromRgbF(*(first + share * (second - first) for first, second in pairs))
