"""What the choice of intensities means on the open stack: measured beside, shown, never changed by itself."""

from __future__ import annotations

from concurrent.futures import wait
from unittest.mock import Mock, create_autospec

import numpy as np
import pytest

from napari_salt.control import intensity_controller
from napari_salt.control.desk import Desk
from napari_salt.control.intensity_controller import IntensityController
from napari_salt.intensity import AUTO, WINDOWS
from napari_salt.records import FitSettings, IntensityChoice
from napari_salt.session.session import Session
from napari_salt.session.stack import Stack
from napari_salt.viewer_link import ViewerLink
from napari_salt.views import DockView

CT = np.linspace(-1024, 3071, 2 * 40 * 40).astype(np.int16).reshape(2, 40, 40)


class Bench:
    def __init__(self, stack: Stack | None) -> None:
        self.desk = Desk(
            create_autospec(DockView, instance=True), create_autospec(ViewerLink, instance=True)
        )
        self.desk.session = None if stack is None else Session(stack)
        self.changed = Mock()
        self.intensities = IntensityController(self.desk, self.changed)

    def measured(self):
        """The state once the measurement is there."""
        self.intensities.state()
        wait([self.intensities._measuring])
        return self.intensities.state()

    def choose(self, choice):
        self.desk.session.settings = FitSettings(intensity=choice)


@pytest.fixture
def bench():
    benches = []

    def make(stack):
        benches.append(Bench(stack))
        return benches[-1]

    yield make
    for one in benches:
        one.intensities.close()


def test_the_numbers_follow_when_they_are_measured(bench):
    ct = bench(Stack(CT))
    state = ct.intensities.state()
    assert state.text.startswith("0.5 % .. 99.5 %")
    state = ct.measured()
    assert state.text == "0.5 % .. 99.5 % = -1003 .. 3050"
    assert state.shown == state.measured
    ct.intensities.tick()
    ct.intensities.tick()
    ct.changed.assert_called_once_with()


def test_a_ct_gets_a_proposal_and_keeps_its_choice(bench):
    ct = bench(Stack(CT))
    assert "CT (Hounsfield units)" in ct.measured().proposal
    assert ct.intensities.hint() == ct.measured().proposal
    assert ct.desk.session.settings.intensity == AUTO
    ct.desk.session.use_adapter("a.salt.safetensors")
    assert ct.intensities.hint() == ""
    ct.choose(WINDOWS["lung"])
    state = ct.intensities.state()
    assert (state.text, state.proposal) == ("-1350 .. 150 (lung), of -1024 .. 3071", "")
    assert state.shown == (-1350.0, 150.0)


def test_only_other_percentiles_are_measured_anew(bench, monkeypatch):
    measure = Mock(side_effect=intensity_controller.measure_limits)
    monkeypatch.setattr(intensity_controller, "measure_limits", measure)
    ct = bench(Stack(CT))
    for choice in (AUTO, WINDOWS["bone"], WINDOWS["lung"], AUTO):
        ct.choose(choice)
        ct.measured()
    assert measure.call_count == 1
    ct.choose(IntensityChoice("percentile", 10, 90))
    assert ct.measured().text == "10 % .. 90 % = -614.1 .. 2661.1"
    assert measure.call_count == 2


def test_the_layer_is_shown_like_this_when_asked(bench):
    ct = bench(Stack(CT))
    ct.measured()
    ct.choose(WINDOWS["brain"])
    ct.desk.link.set_contrast.assert_not_called()
    ct.intensities.show_like_this()
    ct.desk.link.set_contrast.assert_called_once_with(0.0, 80.0)


def test_a_colour_image_has_nothing_to_show(bench):
    colour = bench(Stack(np.zeros((2, 8, 8, 3), np.uint8), rgb=True))
    state = colour.measured()
    assert state.shown is None
    assert "colour" in state.why_not
    colour.intensities.show_like_this()
    colour.desk.link.set_contrast.assert_not_called()


def test_without_a_readable_image_nothing_is_measured(bench):
    assert bench(None).intensities.state().why_not == "Open or choose an image first."
    stack = Stack(CT)
    stack.plane = Mock(side_effect=OSError("gone"))
    state = bench(stack).measured()
    assert (state.text, state.shown) == ("0.5 % .. 99.5 %", None)


def test_huge_slices_are_not_read_before_they_are_asked_for(bench, monkeypatch):
    monkeypatch.setattr(intensity_controller, "LARGEST_PLANE", 100)
    stack = Stack(CT)
    stack.plane = Mock()
    huge = bench(stack)
    assert huge.intensities.state().shown is None
    assert huge.intensities._measuring is None
    stack.plane.assert_not_called()
