"""How long the window keeps people waiting while the engine works; in a real window on a screen of its own.

    python benchmarks/latency.py            everything; some fifteen minutes on two cores
    python benchmarks/latency.py --quick    short stacks and scenes; writes nothing
    python benchmarks/latency.py --only dock dock-large

Run it on a machine that does nothing else. Each sitting is a process of its own (see `sitting.py`), on the screen of
an Xvfb where there is one, else on yours: then keep your hands off. What is measured is told in `heartbeat.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import results
from heartbeat import WATCH, Pulse
from sections import replace_section, table
from sitting import LARGE, QUICK, SIDE, SITTINGS, Scene, write_large

HERE = Path(__file__).resolve().parent
MOST_95, MOST_WORST = 0.050, 0.250
"""Bars: seconds that the 95th percentile and the longest stall must stay below."""
METHOD = (
    "A timer of the event loop ticks every 5 ms; what it comes late by is a stall, in which no click, key or redraw is "
    "handled. Percentiles are of the time that a click at a random moment waits until the loop is free; *worst* is "
    "the longest stall of all. Every scene runs in a real window of 1280 × 800 under Xvfb with software GL, where "
    "napari's own redraws are dearer than on a graphics card; the lines without the dock show what napari itself costs "
    "with the same layers, also while as many idle-priority processes compute as there are cores. Painting: a mouse "
    "event every 16 ms; scrolling: ten slices a second."
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a short look; writes nothing")
    parser.add_argument("--only", nargs="*", choices=SITTINGS, default=list(SITTINGS))
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, screen():
        stack = Path(folder) / "large.zarr"
        if any(name.endswith("large") for name in options.only):
            write_large(stack, QUICK.large if options.quick else LARGE)
        scenes = [scene for name in options.only for scene in sit(name, stack, quick=options.quick)]
    text = section(scenes, [name for name in SITTINGS if name not in options.only])
    print(text)
    if not options.quick:
        replace_section(options.out, "latency", text)


def sit(name: str, stack: Path, *, quick: bool) -> Iterator[Scene]:
    """Run one sitting; its scenes as they come."""
    command = [sys.executable, str(HERE / "sitting.py"), name, "--stack", str(stack)]
    command += ["--quick"] if quick else []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment(stack.parent / name)
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                scene = read_scene(line)
                print(*cells(scene), sep=" | ", flush=True)
                for length, cause in scene.pulse.causes[:4]:
                    print(f"    {length * 1000:.0f} ms: {cause}", flush=True)
                yield scene
    if process.returncode:
        raise SystemExit(f"The sitting {name} ended with {process.returncode}; see above.")


def environment(folder: Path) -> dict[str, str]:
    """The user's own sessions and settings are neither offered nor touched."""
    settings = str(folder / "settings.yaml")
    return {**os.environ, "NAPARI_SALT_SESSIONS": str(folder), "NAPARI_CONFIG": settings}


def read_scene(line: str) -> Scene:
    """A scene from its JSON line."""
    known = json.loads(line)
    pulse = known.pop("pulse")
    causes = tuple((length, cause) for length, cause in pulse["causes"])
    return Scene(pulse=Pulse(pulse["seconds"], tuple(pulse["stalls"]), causes), **known)


@contextmanager
def screen() -> Iterator[None]:
    """A screen of our own where Xvfb is installed; as pytest-xvfb does it."""
    if sys.platform != "linux" or shutil.which("Xvfb") is None:
        yield
        return
    from pyvirtualdisplay import Display

    os.environ["QT_QPA_PLATFORM"] = "xcb"
    with Display(visible=False, size=(1600, 1000), color_depth=24):
        yield


def reached(scene: Scene) -> bool:
    """Whether a scene stays below both bars."""
    return scene.pulse.wait(95) < MOST_95 and scene.pulse.worst < MOST_WORST


def cells(scene: Scene) -> list[str]:
    """A line of the table."""
    pulse = scene.pulse
    waits = [f"{pulse.wait(percent) * 1000:.0f}" for percent in (50, 95, 99)]
    many = sum(stall > WATCH for stall in pulse.stalls)
    verdict = ("yes" if reached(scene) else "**no**") if scene.dock else "–"
    who = "dock" if scene.dock else "napari alone"
    worst = f"{pulse.worst * 1000:.0f}"
    return [scene.name, who, verdict, *waits, worst, str(many), f"{pulse.seconds:.0f}"]


def section(scenes: Sequence[Scene], missing: Sequence[str] = ()) -> str:
    """The part of RESULTS.md; ``missing`` are sittings that were not held."""
    ours = [scene for scene in scenes if scene.dock]
    lost = [scene.name for scene in ours if not reached(scene)]
    verdict = "Every scene of the dock stays below both." if ours else "The dock was not measured."
    if lost:
        verdict = f"Not reached: {'; '.join(lost)}."
    bars = f"Bars: 95th percentile < {MOST_95 * 1000:.0f} ms, worst < {MOST_WORST * 1000:.0f} ms. {verdict}"
    head = ["scene", "who", "reached", "50th", "95th", "99th", "worst", "> 100 ms", "s"]
    parts = [
        "### Latency",
        f"{results.now()}, at {results.commit()}, on {results.machine()}. {bars}",
        METHOD,
        table(head, [cells(scene) for scene in scenes], text=3),
        "Times in milliseconds; *> 100 ms*: how many stalls were longer; *s*: how long the scene was. The lazy stack "
        f"is {LARGE} × {SIDE} × {SIDE} uint16, zarr with one chunk a slice.",
    ]
    if missing:
        parts.append(f"Not run: {', '.join(missing)}.")
    causes = list(_causes(ours))
    if causes:
        parts += [
            "Where the main thread was in the longest stalls of the dock's scenes (outermost and innermost line of "
            "ours, if any, and the innermost of all):",
            table(["scene", "at", "ms"], causes, text=2),
        ]
    notes = [f"{scene.name}: {scene.note}" for scene in ours if scene.note]
    return "\n\n".join(
        [*parts, f"At the end of each scene: {'; '.join(notes)}."] if notes else parts
    )


def _causes(scenes: Iterable[Scene]) -> Iterator[list[str]]:
    for scene in scenes:
        for length, cause in scene.pulse.causes[:2]:
            yield [scene.name, f"`{cause}`", f"{length * 1000:.0f}"]


if __name__ == "__main__":
    main()
