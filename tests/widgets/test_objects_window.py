"""The window of objects: what is chosen goes out with the button that is pressed."""

from __future__ import annotations

from pathlib import Path

import pytest
from qtpy.QtWidgets import QFileDialog

from napari_salt.session.facts import Facts
from napari_salt.session.objects import ObjectsChoice
from napari_salt.session.readiness import readiness_of
from napari_salt.widgets.objects_window import ObjectsWindow
from napari_salt.widgets.panel import Panel

READY = Facts(has_stack=True, slice_count=3, predicted=3, labels=("cell",))


@pytest.fixture
def window(qtbot):
    made = ObjectsWindow()
    qtbot.addWidget(made)
    made.setReadiness(readiness_of(READY))
    return made


def test_pieces_in_each_slice_are_the_default(window):
    assert window.value() == ObjectsChoice("components", False)


@pytest.mark.parametrize("button", ["_table", "_masks"])
def test_a_button_sends_what_is_chosen(window, button):
    said = []
    window.tableRequested.connect(lambda choice: said.append(("_table", choice)))
    window.masksRequested.connect(lambda choice: said.append(("_masks", choice)))
    choice = ObjectsChoice("watershed", True)
    window.setValue(choice)
    getattr(window, button).click()
    assert said == [(button, choice)]


def test_without_masks_the_buttons_say_why(window):
    window.setReadiness(readiness_of(Facts(has_stack=True)))
    for button in (window._table, window._masks):
        assert not button.isEnabled()
        assert button.toolTip().startswith("No masks yet; press Segment all first.")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (("/x/m.nii", "NIfTI (*.nii)"), (Path("/x/m.nii"), 1)),
        (("/x/m", ""), (Path("/x/m"), 0)),
        (("", ""), None),
    ],
)
def test_the_file_dialog_tells_the_name_and_the_pattern(qtbot, monkeypatch, answer, expected):
    panel = Panel()
    qtbot.addWidget(panel)
    asked = []
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *arguments: asked.append(arguments) or answer
    )
    patterns = ["TIFF (*.tif)", "NIfTI (*.nii)"]
    assert panel.ask_save_as("Save masks", "m.tif", patterns) == expected
    assert asked[0][1:] == ("Save masks", "m.tif", "TIFF (*.tif);;NIfTI (*.nii)")


def test_the_dock_opens_the_window_and_passes_its_wishes_on(qtbot):
    panel = Panel()
    qtbot.addWidget(panel)
    panel.set_readiness(readiness_of(READY))
    said = []
    panel.wishes.export_table.connect(said.append)
    panel.wishes.export_objects.connect(said.append)
    panel.export._objects.click()
    assert panel.objects.isVisible()
    panel.objects._table.click()
    panel.objects._masks.click()
    assert said == [ObjectsChoice(), ObjectsChoice()]
    panel.objects.close()
