"""The window of objects: what is chosen goes out with the button that is pressed."""

from __future__ import annotations

import pytest

from napari_salt.session.objects import ObjectsChoice
from napari_salt.session.readiness import Facts, readiness_of
from napari_salt.widgets.objects_window import ObjectsWindow

READY = Facts(has_stack=True, slice_count=3, predicted=3)


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
