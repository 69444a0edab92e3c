"""Ask which of several images at one path is to be opened."""

from __future__ import annotations

from collections.abc import Sequence

from napari_salt.errors import Choice


def choose(name: str, choices: Sequence[Choice]) -> Choice | None:
    """The choice that the user takes in a dialog; None when it is cancelled."""
    # Reading goes without Qt unless there is something to ask.
    from qtpy.QtWidgets import QApplication, QInputDialog

    texts = [choice.text for choice in choices]
    text, taken = QInputDialog.getItem(
        QApplication.activeWindow(),
        "Choose an image",
        f"{name} holds {len(choices)} images. Open:",
        texts,
        0,
        False,
    )
    return choices[texts.index(text)] if taken and text in texts else None
