"""Pictures of the dock at every step of the loop, in a real window on a screen of its own.

    python scripts/screenshots.py                                 those of the documentation, into docs/images
    python scripts/screenshots.py --theme light --every 6 --out shots
    QT_SCALE_FACTOR=2 python scripts/screenshots.py --every 6 --out shots

Paint comes from the sample's reference, everything else from the real engine. ``--every`` takes fewer slices, for a
quick look; ``--only`` stops after a step.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("QT_API", "pyqt6")
IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
PAINTED = (0.3, 0.45, 0.6, 0.75)
"""Painted slices, as parts of the stack."""


class Desk:
    """A viewer with the dock on the sample brain."""

    def __init__(self, every: int, size: tuple[int, int], theme: str) -> None:
        import napari

        from napari_salt.samples import load_mni_brain
        from napari_salt.widgets.dock import Dock

        stack, self.reference, _ = load_mni_brain(every=every)
        self.viewer = napari.Viewer(show=True)
        self.viewer.theme = theme
        self.viewer.window.resize(*size)
        info = stack.info
        self.viewer.add_image(stack.data, name=info.name, scale=info.spacing, units=info.units)
        self.dock = Dock(self.viewer)
        self.viewer.window.add_dock_widget(self.dock, name="Few-shot segmentation")
        self.viewer.reset_view()
        self.count = info.shape[0]

    def rest(self, seconds: float = 0.5) -> None:
        """Let the event loop run."""
        from qtpy.QtCore import QEventLoop, QTimer

        loop = QEventLoop()
        QTimer.singleShot(round(seconds * 1000), loop.quit)
        loop.exec()

    def until(self, there: Callable[[], bool]) -> None:
        """Let the event loop run until something has come about."""
        while not there():
            self.rest(0.1)

    def steps(self) -> Iterator[str]:
        """Go through the loop; the name of each step once it is there to be seen."""
        dock, wishes = self.dock, self.dock.wishes
        jobs, session = dock.controller.jobs, dock.controller.desk.session
        assert session is not None
        yield "sample"
        for name in ("gray matter", "white matter"):
            wishes.label_added.emit(name)
        self.paint(PAINTED[1])
        yield "painted"
        for part in PAINTED:
            self.paint(part)
        wishes.adapt.emit()
        self.until(lambda: not jobs.busy or self.part_done() > 0.25)
        yield "adapting"
        self.until(lambda: not jobs.busy or (jobs.job is not None and jobs.job.kind == "segment"))
        self.until(lambda: not jobs.busy or (jobs.job is not None and jobs.job.predicted > 3))
        yield "segmenting"
        self.until(lambda: not jobs.busy)
        wishes.next_slice.emit()
        yield "next"
        wishes.accept.emit()
        yield "accepted"
        wishes.uncertainty_shown.emit(True)
        dock.adapt._fold.setValue(True)
        yield "rounds"
        dock.adapt._fold.setValue(False)
        dock.advanced.setValue(True)
        self.rest()
        bar = dock.area.verticalScrollBar()
        bar.setValue(bar.maximum())
        yield "advanced"

    def part_done(self) -> float:
        """How far the progress bar is, 0..1; short counts do not count."""
        state = self.dock.progress.state()
        return state.done / state.total if state.total > 10 else 0.0

    def paint(self, part: float) -> None:
        """Paint a whole slice from the reference and tick it."""
        link, index = self.dock.controller.desk.link, int(self.count * part)
        (layer,) = [one for one in self.viewer.layers if one.name.endswith("paint")]
        link.go_to(index)
        layer.data[index] = self.reference[index]
        link.signals.painted.emit((index,))
        link.refresh_paint()
        self.dock.wishes.complete_set.emit(True)

    def picture(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """The whole window, ``(Y, X, 4)`` uint8."""
        self.rest()
        return np.asarray(self.viewer.window.screenshot(flash=False, canvas_only=False))


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=IMAGES)
    parser.add_argument("--theme", default="dark", choices=("dark", "light"))
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 800))
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--only", help="the last step to take")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        os.environ["NAPARI_SALT_SESSIONS"] = folder
        if sys.platform == "linux" and shutil.which("Xvfb") is not None:
            from pyvirtualdisplay import Display

            os.environ["QT_QPA_PLATFORM"] = "xcb"
            scale = float(os.environ.get("QT_SCALE_FACTOR", "1"))
            room = tuple(round((length + 100) * scale) for length in options.size)
            stack.enter_context(Display(visible=False, size=room, color_depth=24))
        take(Desk(options.every, tuple(options.size), options.theme), options.out, options.only)


def take(desk: Desk, out: Path, last: str | None) -> None:
    """One file a step, ``step-2-painted.png``, with few colours so that it stays small."""
    from PIL import Image

    for number, step in enumerate(desk.steps(), 1):
        picture = Image.fromarray(desk.picture()[..., :3])
        few = picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(out / f"step-{number}-{step}.png", optimize=True)
        if step == last:
            break
    desk.dock.controller.close()
    desk.viewer.close()


if __name__ == "__main__":
    main()
