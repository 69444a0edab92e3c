"""Engine faults at every stage of a job: each costs that job, is told in one sentence, and the next job works."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from napari_salt.engine.engine import Engine
from tally import Tally
from torture_office import Office, StillWaitingError
from torture_tasks import FAULTS, STAGES, Fault

SHAPE = (5, 16, 16)
HANG_SECONDS, PATIENT_SECONDS = 1.0, 50.0
"""How long the engine's watchdog waits for a job that hangs, and for any other; five minutes in earnest. A process that
is new to a machine full of others may well be given nothing to do for some seconds, which is no hang."""


def every_fault() -> list[Fault]:
    """Each fault at each stage."""
    return [Fault(name, stage) for name in FAULTS for stage in STAGES]


def run(faults: list[Fault], folder: Path) -> Tally:
    """Strike a working application with faults, one after the other."""
    tally = Tally("engine faults")
    office = working_office(folder)
    for fault in faults:
        problems = list(strike(office, fault))
        tally.count(f"{fault.name} while {fault.stage}", problems)
    office.close()
    office.runner.engine.close()
    return tally


def working_office(folder: Path) -> Office:
    """Somebody has painted two slices and has a first round."""
    pixels = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
    office = Office(folder, pixels, Engine(hang_seconds=PATIENT_SECONDS))
    office.wishes.label_added.emit("cell")
    office.controller.set_then_segment(False)
    office.paint(1, 1, np.s_[2:8])
    office.until_idle()
    adapt(office)
    return office


def adapt(office: Office) -> None:
    """Press Adapt and wait."""
    office.wishes.adapt.emit()
    office.until_idle()


def strike(office: Office, fault: Fault) -> Iterator[str]:
    """Run the job that a fault strikes, then one that it does not; what was wrong, in words."""
    before = office.session.annotations.paint.copy()
    rounds = len(office.session.rounds)
    segmenting = fault.stage in ("comparing", "segmenting")
    try:
        office.runner.fault = fault
        office.runner.engine._hang_seconds = (
            HANG_SECONDS if fault.name == "hangs" else PATIENT_SECONDS
        )
        wish = office.wishes.segment_all if segmenting else office.wishes.adapt
        wish.emit()
        office.until_idle()
        told = office.said
        _no_more_faults(office)
        if office.controller.desk.status.level != "error" or not told.endswith("."):
            yield f"no sentence: {told}"
        if "\n" in told or len(told) > 400:
            yield f"no sentence: {told}"
        if len(office.session.rounds) != rounds:
            yield "a job that failed made a round"
        adapt(office)
        if len(office.session.rounds) != rounds + 1:
            yield f"the next job made no round: {office.said}"
        office.wishes.segment_slice.emit()
        office.until_idle()
        if office.controller.desk.status.level == "error":
            yield f"the next job failed: {office.said}"
    except StillWaitingError as error:
        yield f"the panel waits for {error}"
    finally:
        _no_more_faults(office)
    if not np.array_equal(office.session.annotations.paint, before):
        yield "the paint has changed"
    children = engine_processes()
    if children > 1:
        yield f"{children} engine processes"


def _no_more_faults(office: Office) -> None:
    office.runner.fault = None
    office.runner.engine._hang_seconds = PATIENT_SECONDS


def engine_processes() -> int:
    """Processes of ours that run an engine."""
    found = 0
    for child in psutil.Process(os.getpid()).children(recursive=True):
        try:
            found += "spawn_main" in " ".join(child.cmdline())
        except psutil.Error:
            continue
    return found
