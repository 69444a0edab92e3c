"""One person at one window: opens napari, works, and measures the event loop. A process of its own.

    python benchmarks/sitting.py alone|dock|alone-large|dock-large [--quick] [--stack ZARR]

Needs a screen; `latency.py` makes one and reads the JSON lines that come out here.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_API", "pyqt6")

import napari
import numpy as np
import zarr
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import QEventLoop, QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from heartbeat import Heartbeat, Pulse
from napari_salt.engine.worker import EngineRunner
from napari_salt.records import FitSettings
from napari_salt.samples import load_mni_brain
from napari_salt.widgets.dock import Dock

SLICES, LARGE, SIDE = 152, 512, 1024
MOVE = 0.016
"""Seconds between two moves of the mouse."""
STEP = 0.1
"""Seconds between two slices of somebody who looks through a stack."""
LONG = 900.0
_LOAD = "import os\nif hasattr(os, 'nice'): os.nice(10)\nwhile True: sum(range(10**6))"


@dataclass(frozen=True)
class Scene:
    """A pulse with its name; ``note`` says what else there is to know."""

    name: str
    dock: bool
    pulse: Pulse
    note: str = ""


@dataclass(frozen=True)
class Plan:
    """How long each scene lasts, in seconds at most, and how large the stacks are."""

    calm: float = 15.0
    working: float = 60.0
    whole: float = LONG
    slices: int = SLICES
    large: int = LARGE
    steps: int | None = None

    @property
    def settings(self) -> FitSettings:
        return FitSettings(device="cpu", steps=self.steps)


QUICK = Plan(4.0, 10.0, 240.0, 24, 48, steps=2)


class Window:
    """A viewer with one image, and hands that paint and scroll."""

    def __init__(self, image: Any, reference: NDArray[np.uint8] | None, **of_image: Any) -> None:
        self.viewer = napari.Viewer(show=True)
        self.viewer.window.resize(1280, 800)
        self.viewer.add_image(image, **of_image)
        self.reference = reference
        self.runner = EngineRunner()
        self.dock: Dock | None = None
        self.seconds_to_open = 0.0

    def add_labels(self) -> None:
        """What the dock would add, without the dock: paint and predictions on every slice."""
        image = self.viewer.layers[0]
        for name in ("prediction", "paint"):
            data = np.zeros(image.data.shape, np.uint16)
            if self.reference is not None and name == "prediction":
                data[:] = self.reference
            self.viewer.add_labels(data, name=name, scale=image.scale, units=image.units)
        self.viewer.layers[-1].selected_label = 1
        self.viewer.layers[-1].mode = "paint"
        self.rest(1.0)

    def add_dock(self, settings: FitSettings) -> Dock:
        start = time.perf_counter()
        self.dock = Dock(self.viewer, self.runner)
        self.viewer.window.add_dock_widget(self.dock, name="Few-shot segmentation")
        self.seconds_to_open = time.perf_counter() - start
        for name in ("gray matter", "white matter"):
            self.dock.wishes.label_added.emit(name)
        self.dock.wishes.settings_changed.emit(settings)
        self.dock.wishes.then_segment_set.emit(False)
        self.rest(1.0)
        return self.dock

    def paint_from(self, labels: Callable[[int], NDArray[np.integer]], slices: list[int]) -> None:
        """Paint whole slices at once, as if somebody had spent the morning on them."""
        assert self.dock is not None
        link = self.dock.controller.desk.link
        for index in slices:
            link.go_to(index)
            self.paint_layer.data[index] = labels(index)
            link.signals.painted.emit((index,))
            self.dock.wishes.complete_set.emit(True)
        link.refresh_paint()

    @property
    def paint_layer(self) -> Labels:
        (layer,) = [one for one in self.viewer.layers if one.name.endswith("paint")]
        return layer

    @property
    def busy(self) -> bool:
        return self.dock is not None and self.dock.controller.jobs.busy

    @staticmethod
    def rest(seconds: float) -> None:
        """Let the event loop run."""
        loop = QEventLoop()
        QTimer.singleShot(round(seconds * 1000), loop.quit)
        loop.exec()

    def wait_until_idle(self) -> None:
        """Until no job runs, not even one that warms the engine up."""
        while self.busy or self.runner.running:
            self.rest(0.05)

    def measure(
        self,
        seconds: float,
        work: Iterator[None] | None = None,
        pause: float = MOVE,
        over: Callable[[], bool] = lambda: False,
    ) -> Pulse:
        """The pulse of at most ``seconds``, while ``work`` goes on by one step every ``pause``."""
        loop, hand, clock = QEventLoop(), QTimer(), QTimer()
        end = time.perf_counter() + seconds
        clock.timeout.connect(lambda: loop.quit() if over() or time.perf_counter() > end else None)
        hand.timeout.connect(lambda: next(work) if work is not None else None)
        heart = Heartbeat()
        heart.start()
        clock.start(100)
        if work is not None:
            hand.start(round(pause * 1000))
        loop.exec()
        hand.stop()
        clock.stop()
        return heart.stop()

    # ---- hands

    def strokes(self) -> Iterator[None]:
        """Brush strokes by the mouse, for ever, each step one event; another slice now and then."""
        (native,) = [
            w for w in QApplication.allWidgets() if type(w).__name__ == "CanvasBackendDesktop"
        ]
        assert isinstance(native, QWidget)
        rng = np.random.default_rng(0)
        left, count = Qt.MouseButton.LeftButton, self.viewer.layers[0].data.shape[0]
        for number in itertools.count():
            if number % 8 == 0:
                self.viewer.dims.set_current_step(0, int(rng.integers(count // 4, count * 3 // 4)))
                yield
            middle, place = native.rect().center(), rng.integers(-150, 150, 2)
            QTest.mouseMove(native, middle + QPoint(*map(int, place)))
            QTest.mousePress(native, left, pos=middle + QPoint(*map(int, place)))
            yield
            for _ in range(20):
                place = (place + rng.integers(-12, 13, 2)).clip(-200, 200)
                QTest.mouseMove(native, middle + QPoint(*map(int, place)))
                yield
            QTest.mouseRelease(native, left, pos=middle + QPoint(*map(int, place)))
            yield

    def steps(self) -> Iterator[None]:
        """Through the slices and back, for ever."""
        count = self.viewer.layers[0].data.shape[0]
        for index in itertools.cycle([*range(count), *range(count - 2, 0, -1)]):
            self.viewer.dims.set_current_step(0, index)
            yield


# --- sittings ------------------------------------------------------------------------------------


def alone(plan: Plan, stack: Path) -> Iterator[Scene]:
    """What napari itself costs, with the same layers and without our dock."""
    image, reference = brain(plan.slices)
    window = Window(image, reference, name="t1")
    window.add_labels()
    yield Scene("idle", False, window.measure(plan.calm))
    yield Scene("painting", False, window.measure(plan.calm, window.strokes()))
    with cores_busy():
        yield Scene("idle, all cores busy", False, window.measure(plan.calm))
        pulse = window.measure(plan.calm, window.strokes())
        yield Scene("painting, all cores busy", False, pulse)
    window.viewer.close()


def docked(plan: Plan, stack: Path) -> Iterator[Scene]:
    """The dock on the brain: idle, adapting, segmenting, each with and without painting."""
    image, reference = brain(plan.slices)
    window = Window(image, reference, name="t1")
    dock = window.add_dock(plan.settings)
    count = plan.slices
    window.paint_from(lambda z: reference[z], [count * part // 8 for part in (2, 3, 4, 5, 6)])
    window.wait_until_idle()
    opened = f"opened in {window.seconds_to_open:.1f} s"
    yield Scene("idle", True, window.measure(plan.calm), opened)
    yield Scene("painting", True, window.measure(plan.calm, window.strokes()))
    for wish, name, most in (
        (dock.wishes.adapt, "adapting", plan.working),
        (dock.wishes.segment_all, f"segmenting {count} slices", plan.whole),
    ):
        for painting in (False, True):
            wish.emit()
            work = window.strokes() if painting else None
            seconds = min(most, plan.working) if painting else plan.whole
            pulse = window.measure(seconds, work, over=lambda: not window.busy)
            note = said(window)
            end(window)
            yield Scene(f"{name}, painting" if painting else name, True, pulse, note)
    window.viewer.close()


def alone_large(plan: Plan, stack: Path) -> Iterator[Scene]:
    """Looking through a stack on disk, without our dock."""
    window = Window(
        zarr.open_array(stack, mode="r"), None, name="large", contrast_limits=(0, 65535)
    )
    window.add_labels()
    yield Scene("scrolling", False, window.measure(plan.calm, window.steps(), STEP))
    with cores_busy():
        pulse = window.measure(plan.calm, window.steps(), STEP)
        yield Scene("scrolling, all cores busy", False, pulse)
    window.viewer.close()


def docked_large(plan: Plan, stack: Path) -> Iterator[Scene]:
    """Looking through a stack on disk with the dock, also while it is being segmented."""
    image = zarr.open_array(stack, mode="r")
    count = image.shape[0]
    window = Window(image, None, name="large", contrast_limits=(0, 65535))
    dock = window.add_dock(FitSettings(device="cpu", steps=1, kind="none"))
    window.paint_from(large_labels, [count // 3, count // 2])
    opened = f"opened in {window.seconds_to_open:.1f} s"
    yield Scene("scrolling", True, window.measure(plan.calm, window.steps(), STEP), opened)
    dock.wishes.adapt.emit()
    window.wait_until_idle()
    dock.wishes.segment_all.emit()
    pulse = window.measure(plan.working, window.steps(), STEP, over=lambda: not window.busy)
    note = said(window)
    end(window)
    yield Scene("scrolling while it is segmented", True, pulse, note)
    window.viewer.close()


SITTINGS = {"alone": alone, "dock": docked, "alone-large": alone_large, "dock-large": docked_large}


def said(window: Window) -> str:
    """What the dock says of its job now."""
    assert window.dock is not None
    return window.dock.status.value().text


def end(window: Window) -> None:
    """Stop what runs, and wait for it."""
    assert window.dock is not None
    if window.busy:
        window.dock.wishes.stop.emit()
    window.wait_until_idle()


@contextmanager
def cores_busy() -> Iterator[None]:
    """As many other processes as there are cores, as polite as the engine is, compute all the time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    others = [subprocess.Popen([sys.executable, "-c", _LOAD]) for _ in range(cores or 1)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


# --- data ----------------------------------------------------------------------------------------


def brain(count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """``count`` slices around the middle of the MNI brain, with its tissues; ``(N, Y, X)`` each."""
    stack, labels, _ = load_mni_brain()
    image = np.asarray(stack.data)
    first = max(0, (len(image) - count) // 2)
    where = np.arange(first, first + count) % len(image)
    return image[where], labels[where]


def write_large(path: Path, count: int) -> None:
    """The brain four times enlarged on a plane of 1024 x 1024, uint16, chunk by chunk into a zarr array."""
    image, _ = brain(SLICES)
    kind = {"shape": (count, SIDE, SIDE), "chunks": (1, SIDE, SIDE), "dtype": "uint16"}
    array = zarr.create_array(path, **kind)
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), np.uint16)
    for index in range(count):
        array[index] = _enlarged(image[index % SLICES]).astype(np.uint16) * 255 + noise


def large_labels(index: int) -> NDArray[np.uint8]:
    """Reference of a slice of the large stack, ``(1024, 1024)``."""
    _, labels = brain(SLICES)
    return _enlarged(labels[index % SLICES])


def _enlarged(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    large = np.zeros((SIDE, SIDE), plane.dtype)
    big = plane.repeat(4, 0).repeat(4, 1)[:SIDE, :SIDE]
    large[: big.shape[0], : big.shape[1]] = big
    return large


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sitting", choices=SITTINGS)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--stack", type=Path, default=Path("large.zarr"))
    options = parser.parse_args()
    for scene in SITTINGS[options.sitting](QUICK if options.quick else Plan(), options.stack):
        print(json.dumps(asdict(scene)), flush=True)


if __name__ == "__main__":
    main()
