"""What parent and child say to each other over the pipe; nothing of torch gets through."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_salt.engine.requests import Request
from napari_salt.records import StackInfo


@dataclass(frozen=True)
class RunJob:
    """Parent: run this request; planes are asked for by ``NeedPlane``."""

    job: int
    request: Request
    info: StackInfo | None


@dataclass(frozen=True, eq=False)
class HerePlane:
    """Parent: the plane or part of it that was asked for, or the sentence that says why it cannot be read."""

    job: int
    plane: NDArray[Any] | None
    problem: str = ""


@dataclass(frozen=True)
class StopJob:
    """Parent: stop this job."""

    job: int


@dataclass(frozen=True)
class NeedPlane:
    """Child: send slice ``index``, or the part of it inside ``part`` (rows, columns)."""

    job: int
    index: int
    part: tuple[slice, slice] | None = None


@dataclass(frozen=True, eq=False)
class JobReport:
    """Child: one report of the task."""

    job: int
    report: Any


@dataclass(frozen=True, eq=False)
class JobDone:
    """Child: the task ended with this result."""

    job: int
    result: Any


@dataclass(frozen=True)
class JobError:
    """Child: the task ended with an error; ``details`` is the traceback of an unexpected one."""

    job: int
    sentence: str
    details: str = ""


@dataclass(frozen=True)
class JobEnded:
    """Child: the task was stopped as asked."""

    job: int


ToChild = RunJob | HerePlane | StopJob
ToParent = NeedPlane | JobReport | JobDone | JobError | JobEnded


class _TorchFreeUnpickler(pickle.Unpickler):
    """Refuses whatever would import torch here, where a viewer runs."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        if module_name.partition(".")[0] == "torch":
            raise pickle.UnpicklingError(f"{module_name}.{global_name} must not cross the pipe")
        return super().find_class(module_name, global_name)


def receive(connection: Connection) -> ToParent:
    """Next message of the child, unpickled without ever importing torch.

    Raises ``EOFError`` or ``OSError`` when the child is gone, ``pickle.UnpicklingError`` when a
    reply holds a torch object.
    """
    message: ToParent = _TorchFreeUnpickler(io.BytesIO(connection.recv_bytes())).load()
    return message


def as_plane(plane: NDArray[Any]) -> NDArray[Any]:
    """A contiguous array of plain numpy, whatever lazy or subclassed array it was."""
    return np.ascontiguousarray(np.asarray(plane))
