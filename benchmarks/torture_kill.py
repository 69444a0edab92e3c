"""Kills the whole application at random moments, opens the work again each time, and looks whether it is whole.

    python benchmarks/torture_kill.py --count 6 --out told.json    what was tried, survived and lost, as JSON

The application paints step after step. Every step says its number in several places at once: in the paint of some
slices, in the name of a label, and in a tick; so what is restored shows which step it is of, and whether it is of one
step only. Every adapter makes masks that no other one makes (`torture_tasks.stamp`), so masks that were kept show whose
they are. Each application goes on where the last one was killed. Needs Linux: applications are forks of this process,
which has imported everything and started no thread.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from napari.components import ViewerModel

from napari_salt.engine.engine import Engine
from napari_salt.errors import NapariSaltError
from napari_salt.io import session_folder, session_predictions, session_state
from napari_salt.io.mask_store import MaskStore
from napari_salt.io.read import read_labels
from napari_salt.model.adapter_info import read_info
from tally import Tally
from torture_office import Office
from torture_tasks import stamp

SHAPE = (6, 24, 24)
PAINTED = (0, 1, 2, 3)
"""Slices that every step paints."""
LABELS = 7
MOST_LOST = 5.0
"""Seconds of paint that may be lost."""
PATIENCE = 60.0
"""Seconds after which an application that says nothing hangs."""
GONE = 5.0
"""Seconds after which no process of a killed application may be left."""
MOMENTS = {
    "painting": ("step", 3.0),
    "autosave": ("saving", 0.03),
    "adapt": ("adapt", 0.5),
    "segment": ("segment", 0.5),
    "export": ("export", 0.2),
    "migrate": ("saving", 0.03),
    "window": ("saving", 0.03),
}
"""By what the application does: after which of its messages to kill it, and how many seconds later at most."""


@dataclass
class Run:
    """What an application told before it was killed."""

    kind: str
    opened: dict[str, Any] = field(default_factory=dict)
    """What it found when it opened the work of the one before: the step, and what is wrong with it."""
    steps: dict[int, float] = field(default_factory=dict)
    """By the number of a step: when it was done."""
    killed: float = 0.0
    problem: str = ""


def run(count: int, seed: int, kinds: Sequence[str] = tuple(MOMENTS), first: int = 0) -> Tally:
    """Kill ``count`` applications, as many of each kind (of `MOMENTS`); each opens the work of the one before.

    One in seven has a real window, on the screen that is there. They are numbered from ``first`` on, and begin without
    any work.
    """
    tally, dice = Tally("kill -9"), random.Random(seed + first)
    most, masks = 0.0, 0
    ViewerModel().add_image(
        np.zeros((2, 2))
    )  # slow the first time, and every fork has it from here
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = None
        for number in range(count + 1):
            kind = kinds[number % len(kinds)]
            if kind == "migrate":
                _age(folder)
            ran = _kill_one(folder, kind, dice)
            if before is not None:
                problems = [before.problem] if before.problem else []
                problems += ran.opened.get("problems", [f"it did not open: {ran.problem}"])
                lost = _seconds_lost(before, ran.opened.get("step", 0))
                if lost > MOST_LOST:
                    problems.append(f"{lost:.1f} s of paint lost")
                most, masks = max(most, lost), masks + ran.opened.get("masks", 0)
                tally.count(f"{before.kind} (kill {first + number})", problems)
            before = ran
    tally.facts["most paint lost, s"] = f"{most:.1f}"
    tally.facts["kept masks compared"] = str(masks)
    return tally


def _seconds_lost(ran: Run, restored: int) -> float:
    """Age of the oldest step that did not come back."""
    return max(
        (ran.killed - when for step, when in ran.steps.items() if step > restored), default=0
    )


# ---- the application


def _live(folder: Path, kind: str, tell: Callable[[str], None]) -> None:
    """Work until killed."""
    _tell_of_saves(tell)
    unopened = list(_unopened(folder))
    office = _office(folder, window=kind == "window")
    step = _step_of(office)
    masks = list(_masks(folder))
    problems = [
        *unopened,
        *_mixed(office, step),
        *_torn(folder),
        *filter(None, masks),
        *_passed_off(office),
    ]
    tell(f"opened {json.dumps({'step': step, 'problems': problems, 'masks': len(masks)})}")
    office.runner.pause = 0.05
    if kind == "export":
        office.view.ask_save_as.return_value = (folder / "masks.tif", 0)
    if not len(office.session.labels):
        for number in range(LABELS):
            office.wishes.label_added.emit(f"label {number}")
    act = {"adapt": _adapt, "segment": _segment, "export": _export}.get(kind, lambda *_: None)
    while True:
        step += 1
        _do_step(office, step)
        tell(f"step {step}")
        act(office, tell)
        office.go_on()
        time.sleep(0.005)


def _do_step(office: Office, step: int) -> None:
    label = office.session.labels.ids[step % LABELS]
    for index in PAINTED:
        office.paint(index, label)
    office.wishes.label_renamed.emit(office.session.labels.ids[0], f"step {step}")
    office.session.annotations.set_complete(PAINTED[0], step % 2 == 0)


def _adapt(office: Office, tell: Callable[[str], None]) -> None:
    if not office.busy:
        office.controller.set_then_segment(False)
        office.wishes.adapt.emit()
        tell("adapt")


def _segment(office: Office, tell: Callable[[str], None]) -> None:
    """Segment with one adapter after the other: those of new rounds, and in turn that of the first round.

    Tells of it once masks of an adapter take the place of another one's.
    """
    rounds, job = office.session.rounds, office.controller.jobs.job
    if job is not None:
        if job.kind == "segment" and len(rounds) > 1 and office.session.fresh_slices():
            tell("segment")
        return
    if office.session.adapter_path is None:
        _adapt(office, lambda _: None)
    elif not office.session.fresh_slices():
        office.wishes.segment_all.emit()
    elif len(rounds) % 2 and rounds.active is not None and rounds.active.number > 1:
        office.wishes.restore_round.emit(1)
    else:
        _adapt(office, lambda _: None)


def _export(office: Office, tell: Callable[[str], None]) -> None:
    office.controller.exports.tick()
    if not office.controller.exports.busy:
        office.wishes.export_masks.emit()
        tell("export")


def _tell_of_saves(tell: Callable[[str], None]) -> None:
    save = session_folder.SessionFolder.save

    def told(*args: Any) -> None:
        tell("saving")
        save(*args)

    session_folder.SessionFolder.save = told  # type: ignore[method-assign]


def _office(folder: Path, *, window: bool) -> Office:
    """An application on the stack, with the work that it offers taken up."""
    pixels = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
    made: type[Office] = Office
    if window:
        import torture_window  # and with it Qt, which the other applications do without

        made = torture_window.WindowOffice
    office = made(folder / "sessions", pixels, Engine())
    office.until_known()
    if office.controller.desk.status.offer:
        office.wishes.offer_taken.emit()
        office.until_masks_are_back()
    return office


def _step_of(office: Office) -> int:
    """The step that the work is of, as the name of its first label says; 0 for none."""
    names = [label.name for label in office.session.labels]
    return int(names[0].removeprefix("step ")) if names and names[0].startswith("step ") else 0


# ---- killing it


def _kill_one(folder: Path, kind: str, dice: random.Random) -> Run:
    """Start an application, wait for the moment, kill it, and see that nothing of it is left."""
    moment, most = MOMENTS[kind]
    ran = Run(kind)
    process, pipe = _fork(lambda tell: _live(folder, kind, tell))
    with os.fdopen(pipe) as told:
        for _ in range(dice.randrange(1, 4)):
            if not _heard(told, moment, ran):
                break
        end = time.monotonic() + dice.uniform(0, most)
        while not ran.problem and (left := end - time.monotonic()) > 0:
            if select.select([told], [], [], left)[0]:
                _note(told.readline(), ran)
        os.kill(process, signal.SIGKILL)
        ran.killed = time.monotonic()
        os.waitpid(process, 0)
        for line in told:
            _note(line, ran)
    if not _all_gone(process):
        ran.problem = f"{ran.problem}; its engine outlived it".strip("; ")
    return ran


def _heard(told: Any, moment: str, ran: Run) -> bool:
    """Listen until a message comes; False where it does not."""
    while not ran.problem:
        if not select.select([told], [], [], PATIENCE)[0]:
            ran.problem = f"no {moment} in {PATIENCE:g} s"
        elif _note(told.readline(), ran) == moment:
            return True
    return False


def _note(line: str, ran: Run) -> str:
    """Take note of a message; returns its first word."""
    what, _, rest = line.strip().partition(" ")
    if what == "step":
        number, when = rest.split()
        ran.steps[int(number)] = float(when)
    elif what == "opened":
        ran.opened = json.loads(rest)
    elif what == "failed":
        ran.problem = rest
    elif not line:
        ran.problem = ran.problem or "it ended by itself"
    return what


def _fork(body: Callable[[Callable[[str], None]], None]) -> tuple[int, int]:
    """Run ``body(tell)`` in a fork; (its process, a pipe of the lines that it tells)."""
    ours, theirs = os.pipe()
    process = os.fork()
    if process:
        os.close(theirs)
        return process, ours

    def tell(line: str) -> None:
        when = f" {time.monotonic()}" if line.startswith("step") else ""
        os.write(theirs, f"{line}{when}\n".encode())

    try:
        os.close(ours)
        os.setsid()
        body(tell)
    except BaseException as error:  # noqa: BLE001
        # The edge of the process: whatever ended it is what the driver wants to know.
        tell(f"failed {_in_one_line(error)}")
    finally:
        os._exit(0)


def _in_one_line(error: BaseException) -> str:
    """What an error says, and the last calls that led to it."""
    calls = traceback.extract_tb(error.__traceback__)[-4:]
    places = " > ".join(f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in calls)
    return f"{type(error).__name__}: {' '.join(str(error).split())} ({places})"


def _all_gone(group: int) -> bool:
    """Whether every process of a process group ends in time."""
    end = time.monotonic() + GONE
    while any(_belongs(process, group) for process in psutil.process_iter()):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _belongs(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False


# ---- what the next one finds


def _unopened(folder: Path) -> Iterator[str]:
    for path in (folder / "sessions").glob("*.salt"):
        if not (path / session_folder.STATE).exists():
            continue  # killed while it was made, before anything was in it
        try:
            session_folder.SessionFolder.open_folder(path).close()
        except NapariSaltError as error:
            yield f"{path.name} does not open: {error}"


def _mixed(office: Office, step: int) -> Iterator[str]:
    """What is not of the one step."""
    session = office.session
    paint, complete = session.annotations.paint, session.annotations.complete
    if not step:
        if paint.any() or complete:
            yield "there is paint, but no step"
        return
    label = session.labels.ids[step % LABELS]
    for index in PAINTED:
        if not (paint[index] == label).all():
            yield f"slice {index} is not of step {step}"
    if (PAINTED[0] in complete) != (step % 2 == 0):
        yield f"the tick is not of step {step}"
    for round_ in session.rounds:
        if read_info(Path(round_.adapter_path)).record != round_.record:
            yield f"the adapter of round {round_.number} is another one"
    if session.rounds.active is not None:
        session.restore_round(session.rounds.active.number)


def _masks(folder: Path) -> Iterator[str]:
    """Every mask that was kept as done, in any session: what is wrong with it, empty where it is its adapter's."""
    for path in (folder / "sessions").glob(f"*.salt/{session_predictions.PREDICTIONS}"):
        if not MaskStore.is_store(path):
            continue  # killed while it was made, before anything was in it
        try:
            store = MaskStore.open_store(path)
        except NapariSaltError as error:
            yield f"the kept masks do not open: {error}"
            continue
        adapter, label = store.made_of.adapter, store.made_of.labels[0].label_id
        for summary in store.summaries():
            found = store.prediction(summary).labels
            right = np.array_equal(found, stamp(adapter, summary.index, found.shape, label))
            yield (
                ""
                if right
                else f"mask {summary.index} is not of the adapter that it is said to be of"
            )


def _passed_off(office: Office) -> Iterator[str]:
    """Masks shown as those of the adapter in use that are not; restored work must not be called up to date wrongly."""
    session, shown = office.session, office.link.predictions()
    fresh = session.fresh_slices()
    if not fresh:
        return
    if shown is None or session.adapter_path is None:
        yield "masks are called up to date where there are none"
        return
    adapter = session_predictions.adapter_sha256(Path(session.adapter_path))
    label = read_info(Path(session.adapter_path)).labels[0].label_id
    for index in fresh:
        if not np.array_equal(shown[index], stamp(adapter, index, shown[index].shape, label)):
            yield f"mask {index} is not of the adapter in use, and called up to date"


def _torn(folder: Path) -> Iterator[str]:
    """Whether the exported masks are those of one moment."""
    masks = folder / "masks.tif"
    if not masks.exists():
        return
    labels = read_labels(masks)
    values = {int(value) for index in PAINTED for value in np.unique(labels.plane(index))}
    if len(values) != 1:
        yield f"the exported masks are of several steps: {sorted(values)}"


def _age(folder: Path) -> None:
    """Make session folders those of an earlier version, which the next application brings up to date."""
    before = session_state.VERSION - 1
    session_state.MIGRATIONS[before] = _renewed
    for file in (folder / "sessions").glob(f"*.salt/{session_folder.STATE}"):
        content = json.loads(file.read_text())
        if content["version"] == session_state.VERSION:
            content["passed_over"] = content.pop("skipped")
            content["version"] = before
            file.write_text(json.dumps(content))


def _renewed(content: dict[str, Any]) -> dict[str, Any]:
    content["skipped"] = content.pop("passed_over")
    return content


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--kinds", nargs="*", choices=list(MOMENTS), default=list(MOMENTS))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with screen():
        run(options.count, options.seed, options.kinds, options.first).write(options.out)


@contextmanager
def screen() -> Iterator[None]:
    """A screen of our own where Xvfb is installed, else yours."""
    if shutil.which("Xvfb") is None:
        yield
        return
    from pyvirtualdisplay import Display

    os.environ["QT_QPA_PLATFORM"] = "xcb"
    with Display(visible=False, size=(1280, 800), color_depth=24):
        yield


if __name__ == "__main__":
    main()
