"""Readers of files that do what hostile files make a library do; run in the child that tries files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from napari_salt.errors import InputError
from napari_salt.io.opened import Opened


class Planes:
    """Counts the planes that are read into a file of marks, and does something at one of them."""

    def __init__(self, marks: Path, shape: tuple[int, ...] = (9, 4, 4), act=lambda index: None):
        self.shape, self.dtype, self._marks, self._act = shape, np.dtype(np.uint8), marks, act

    def __getitem__(self, key):
        with self._marks.open("a") as file:
            file.write(f"{key[0]} ")
        self._act(key[0])
        return np.zeros(self.shape, self.dtype)[key]


def well(path: Path, dataset: str | None = None) -> Opened:
    return Opened(Planes(marks(path)), "ZYX", "well")


def refused(path: Path) -> Opened:
    raise InputError("No.")


def crash(path: Path) -> Opened:
    os.abort()


def crash_at_the_middle(path: Path) -> Opened:
    return Opened(Planes(marks(path), act=lambda index: index == 4 and os.abort()), "ZYX", "crash")


def hang(path: Path) -> Opened:
    """With the interpreter in its grip, as a library in a circle has it."""
    return sum(1 for _ in iter(int, 1))


def flood(path: Path) -> Opened:
    return np.ones(2**46, np.uint8)


def leave(path: Path) -> Opened:
    os._exit(77)


def marks(path: Path) -> Path:
    return path.with_name("marks")
