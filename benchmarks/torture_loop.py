"""Random runs of the loop: hypothesis paints, names, adapts, stops, undoes, saves and opens again, and looks each time.

The whole application without a window (`torture_office`); one engine for all runs, as a long day has.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from napari_salt.engine.engine import Engine
from napari_salt.errors import InputError
from napari_salt.model.adapter_info import read_info
from napari_salt.records import BACKGROUND
from tally import Tally
from torture_faults import PATIENT_SECONDS, engine_processes
from torture_office import Office
from torture_tasks import FAULTS, STAGES, Fault

SHAPE = (4, 8, 8)
STEPS = 12
"""Operations of one run at most."""
INDEX = st.integers(0, SHAPE[0] - 1)
PLACE = st.integers(0, 9)
NAMES = st.text("ab é<&", min_size=0, max_size=3)
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - looked at, never written
_engine = Engine(hang_seconds=PATIENT_SECONDS)


class Loop(RuleBasedStateMachine):
    """One person, one image; ``paint`` and ``ids`` are what must be, kept beside the application."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="torture-"))
        self.pixels = np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8)
        self.office = self._open()
        self.paint = np.zeros(SHAPE, np.uint16)
        self.ids: dict[int, str] = {}

    def _open(self) -> Office:
        office = Office(self.folder / "sessions", self.pixels, _engine)
        office.controller.set_then_segment(False)
        office.until_known()
        return office

    def _label(self, place: int) -> int:
        """One of the labels, or background."""
        known = [*self.office.session.labels.ids, BACKGROUND]
        return known[place % len(known)]

    @initialize()
    def first_label(self) -> None:
        self.office.wishes.label_added.emit("cell")
        self._learn()

    @rule(index=INDEX, place=PLACE, row=st.integers(0, 7))
    def paint_a_row(self, index: int, place: int, row: int) -> None:
        label = self._label(place)
        self.office.link.go_to(index)
        layer = next(one for one in self.office.viewer.layers if one.name == "t1 paint")
        layer.mode, layer.brush_size, layer.selected_label = "paint", 1, label
        layer.paint((index, row, 3), label)
        assert self.office.session.annotations.paint[index, row, 3] == label
        self._learn()

    @rule(index=INDEX, complete=st.booleans())
    def tick(self, index: int, complete: bool) -> None:
        self.office.link.go_to(index)
        self.office.wishes.complete_set.emit(complete)
        assert self.office.session.annotations.is_complete(index) == complete

    @rule(back=st.booleans())
    def undo_or_redo(self, back: bool) -> None:
        signals = self.office.link.signals
        (signals.undo_pressed if back else signals.redo_pressed).emit()
        self._learn()

    @rule(index=INDEX)
    def accept(self, index: int) -> None:
        self.office.link.go_to(index)
        self.office.wishes.accept.emit()
        after = self.office.session.annotations.paint
        painted = self.paint != 0
        assert np.array_equal(after[painted], self.paint[painted]), "accepting overwrote paint"
        self._learn()

    @rule(name=NAMES)
    def add_label(self, name: str) -> None:
        self.office.wishes.label_added.emit(name)
        self._learn()

    @rule(place=PLACE, name=NAMES)
    def rename_label(self, place: int, name: str) -> None:
        if self.office.session.labels.ids:
            label = self.office.session.labels.ids[place % len(self.office.session.labels.ids)]
            self.office.wishes.label_renamed.emit(label, name)
            self._learn()

    @rule(place=PLACE)
    def remove_label(self, place: int) -> None:
        if len(self.office.session.labels.ids) > 1:
            label = self.office.session.labels.ids[place % len(self.office.session.labels.ids)]
            self.office.wishes.label_removed.emit(label)
            assert not (self.office.session.annotations.paint == label).any()
            del self.ids[label]
            self._learn()

    @precondition(lambda self: self.office.session.annotations.usable_slices())
    @rule(fault=st.none() | st.builds(Fault, st.sampled_from([*FAULTS]), st.sampled_from(STAGES)))
    def adapt(self, fault: Fault | None) -> None:
        if fault is not None and fault.name == "hangs":
            fault = None  # a second each; the fault tests have them
        rounds = len(self.office.session.rounds)
        self.office.runner.fault = fault
        self.office.wishes.adapt.emit()
        self.office.until_idle()
        self.office.runner.fault = None
        if fault is None or fault.stage == "segmenting":
            assert len(self.office.session.rounds) == rounds + 1, self.office.said

    @precondition(lambda self: self.office.session.annotations.usable_slices())
    @rule()
    def adapt_and_stop(self) -> None:
        self.office.runner.pause = 0.02
        self.office.wishes.adapt.emit()
        self.office.wishes.stop.emit()
        self.office.until_idle()
        self.office.runner.pause = 0.0

    @precondition(lambda self: self.office.session.adapter_path is not None)
    @rule(whole=st.booleans())
    def segment(self, whole: bool) -> None:
        wishes = self.office.wishes
        (wishes.segment_all if whole else wishes.segment_slice).emit()
        self.office.until_idle()
        assert self.office.controller.desk.status.level != "error", self.office.said

    @precondition(lambda self: len(self.office.session.rounds))
    @rule(place=PLACE)
    def restore_round(self, place: int) -> None:
        numbers = [one.number for one in self.office.session.rounds]
        number = numbers[place % len(numbers)]
        self.office.wishes.restore_round.emit(number)
        active = self.office.session.rounds.active
        assert active is not None
        assert active.number == number

    @rule()
    def save(self) -> None:
        self.office.until_saved()

    @rule()
    def close_and_open_again(self) -> None:
        before = self.office.session
        self.office.close()
        self.office = self._open()
        if before.annotations.usable_slices() or len(before.rounds):
            self._compare(before)
        else:
            self.office.wishes.label_added.emit("cell")
            self.ids = {}
        self._learn()

    def _compare(self, before: object) -> None:
        if not self.office.controller.desk.status.offer:
            # Rounds without any paint are kept, but not worth asking for.
            assert not self.paint.any()
            self.office.wishes.label_added.emit("cell")
            self.ids = {}
            return
        self.office.wishes.offer_taken.emit()
        session = self.office.session
        assert np.array_equal(session.annotations.paint, self.paint), "paint was lost"
        assert dict(self._names()) == self.ids
        assert session.annotations.complete == before.annotations.complete  # type: ignore[attr-defined]
        assert [one.number for one in session.rounds] == [one.number for one in before.rounds]  # type: ignore[attr-defined]

    def _names(self) -> dict[int, str]:
        return {label.label_id: label.name for label in self.office.session.labels}

    def _learn(self) -> None:
        """What the user has just done is what must be from now on; an id never changes hands."""
        names = self._names()
        assert self.ids.keys() <= names.keys()
        self.ids = names
        self.paint = self.office.session.annotations.paint.copy()

    # ---- what always holds

    @invariant()
    def paint_is_what_was_painted(self) -> None:
        assert np.array_equal(self.office.session.annotations.paint, self.paint)

    @invariant()
    def labels_are_unique_and_keep_their_ids(self) -> None:
        names = self._names()
        assert names == self.ids
        assert len({name.casefold() for name in names.values()}) == len(names)
        assert self.office.session.labels.next_id not in names

    @invariant()
    def rounds_can_be_restored(self) -> None:
        for round_ in self.office.session.rounds:
            assert read_info(Path(round_.adapter_path)).record == round_.record

    @invariant()
    def nothing_runs_on(self) -> None:
        assert not self.office.busy
        assert engine_processes() <= 1

    def teardown(self) -> None:
        self.office.close()
        shutil.rmtree(self.folder)
        left = open_files(self.folder)
        assert not left, f"open files: {left}"


def run(count: int, with_seed: int, first: int = 0) -> Tally:
    """``count`` random runs, numbered from ``first``, in parts with a seed of their own; a failure is told once."""
    tally = Tally("random loops")
    before = (shared_memory(), handles())
    part = min(count, 50)
    for start in range(first, first + count, part):
        many = min(part, first + count - start)
        problem = _problem_of(lambda many=many, start=start: play(many, with_seed + start))
        for number in range(many):
            tally.count(
                f"loops {start + 1} to {start + many}", [problem] if problem and not number else []
            )
    _engine.close()
    gc.collect()
    after = (shared_memory(), handles())
    tally.facts["shared memory left"] = str(len(after[0] - before[0]))
    tally.facts["handles more than at the start"] = str(after[1] - before[1])
    tally.facts["engine processes left"] = str(engine_processes())
    return tally


def play(count: int, with_seed: int) -> None:
    """``count`` random runs; raises what breaks."""
    machine = seed(with_seed)(type("Seeded", (Loop,), {}))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=count,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )


def _problem_of(work: Callable[[], None]) -> str:
    try:
        work()
    except (AssertionError, HypothesisException, InputError) as error:
        return " ".join(str(error).split())[:300] or type(error).__name__
    return ""


def shared_memory() -> set[str]:
    """Names of shared memory, but for what other processes than this one and its children have in use."""
    if not SHARED_MEMORY.is_dir():
        return set()
    names = {one.name for one in SHARED_MEMORY.iterdir()}
    here = psutil.Process(os.getpid())
    ours = {one.pid for one in (here, *here.children(recursive=True))}
    others: set[str] = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        if int(maps.parent.name) not in ours:
            with contextlib.suppress(OSError):  # ended meanwhile, or somebody else's
                lines = maps.read_text().splitlines()
                others |= {Path(line).name for line in lines if f"{SHARED_MEMORY}/" in line}
    return {name for name in names - others if (SHARED_MEMORY / name).exists()}


def open_files(folder: Path) -> list[str]:
    """Files under a folder that this process has open."""
    opened = psutil.Process(os.getpid()).open_files()
    return [one.path for one in opened if Path(one.path).is_relative_to(folder)]


def handles() -> int:
    """Files, pipes and sockets that this process has open."""
    process = psutil.Process(os.getpid())
    return process.num_fds() if hasattr(process, "num_fds") else process.num_handles()
