"""A long day: rounds of painting, adapting, segmenting, accepting and saving, with memory and handles watched."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import psutil

from napari_salt.engine.engine import Engine
from tally import Tally
from torture_faults import engine_processes
from torture_loop import handles
from torture_office import Office

SHAPE = (8, 256, 256)
WARM = 0.2
"""Part of the rounds after which everything is there that stays."""
MOST_GROWTH = 64 * 1024**2
"""Bytes that a process may grow by from then on; a plane that leaks in every round is more in a few hundred."""
MOST_HANDLES = 4


def run(rounds: int, folder: Path) -> Tally:
    """Work for ``rounds`` rounds; each is a try, and what has grown at the end counts as one more."""
    tally = Tally("soak")
    engine = Engine()
    office = Office(folder, np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8), engine)
    office.controller.set_then_segment(False)
    office.wishes.label_added.emit("cell")
    warm = _held(engine)
    for number in range(rounds):
        tally.count(f"round {number + 1}", _work(office, number))
        if number == int(rounds * WARM):
            warm = _held(engine)
    held = _held(engine)
    grown = {name: held[name] - warm[name] for name in held}
    tally.count("what was held at the end", _too_much(grown))
    for name, more in grown.items():
        tally.facts[f"{name} more after {rounds} rounds"] = (
            f"{more / 1024**2:.1f} MiB" if "memory" in name else str(more)
        )
    office.close()
    engine.close()
    if engine_processes():
        tally.count("the engine after closing", ["its process is still there"])
    return tally


def _work(office: Office, number: int) -> list[str]:
    """One round; what went wrong, in words."""
    index = number % SHAPE[0]
    office.link.go_to(index)
    office.paint(index, 1, np.s_[number % 200 : number % 200 + 20])
    office.wishes.adapt.emit()
    office.until_idle()
    if len(office.session.rounds) != number + 1:
        return [f"no round: {office.said}"]
    office.wishes.segment_all.emit()
    office.until_idle()
    office.wishes.accept.emit()
    office.link.signals.undo_pressed.emit()
    office.until_saved()
    return [office.said] if office.controller.desk.status.level == "error" else []


def _held(engine: Engine) -> dict[str, int]:
    gc.collect()
    return {
        "memory of the viewer": psutil.Process(os.getpid()).memory_info().rss,
        "memory of the engine": psutil.Process(engine.pid).memory_info().rss if engine.pid else 0,
        "handles": handles(),
    }


def _too_much(grown: dict[str, int]) -> list[str]:
    return [
        f"{name} grew by {more}"
        for name, more in grown.items()
        if more > (MOST_GROWTH if "memory" in name else MOST_HANDLES)
    ]
