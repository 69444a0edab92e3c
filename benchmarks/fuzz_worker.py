"""Opens files in a process of its own, under limits of time and memory, and says what came of it."""

from __future__ import annotations

import multiprocessing
import sys
import traceback
import warnings
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from napari_salt.errors import NapariSaltError
from napari_salt.io.probe import be_expendable

SECONDS = 5.0
ROOM = 2 * 1024**3
"""Bytes of address space that opening a small file may take."""
GROWTH = 512 * 1024**2
"""Bytes of memory that opening a small file may take in truth."""
START_SECONDS = 180.0

Ending = Literal["opened", "refused", "error", "hang", "memory", "crash"]
ALLOWED: tuple[Ending, ...] = ("opened", "refused")


@dataclass(frozen=True)
class Outcome:
    """How opening a file ended; ``text`` is the sentence, or the traceback."""

    ending: Ending
    text: str = ""


class Opener:
    """A process that opens files, started again after each that it does not survive.

    ``seconds`` is how long one file may take.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._context = multiprocessing.get_context("spawn")
        self._process: Any = None
        self._pipe: Connection | None = None

    def open(self, kind: str, path: Path) -> Outcome:
        """Open one file; what hangs or dies costs a new process."""
        pipe = self._started()
        try:
            pipe.send((kind, str(path)))
            if not pipe.poll(self.seconds):
                self.close()
                return Outcome("hang", f"no answer within {self.seconds:g} seconds")
            outcome: Outcome = pipe.recv()
        except (EOFError, OSError):
            code = self._process.exitcode
            self.close()
            return Outcome("crash", f"the process ended (code {code})")
        if outcome.ending == "memory":
            self.close()
        return outcome

    def close(self) -> None:
        """End the process."""
        if self._pipe is not None:
            self._pipe.close()
            self._process.kill()
            self._process.join()
            self._pipe = None

    def _started(self) -> Connection:
        if self._pipe is None:
            here, there = self._context.Pipe()
            self._process = self._context.Process(target=serve, args=(there,), daemon=True)
            self._process.start()
            there.close()
            if not here.poll(START_SECONDS):
                raise RuntimeError("the opening process did not start")
            here.recv()
            self._pipe = here
        return self._pipe


def serve(pipe: Connection) -> None:
    """Body of the process."""
    warnings.simplefilter("ignore")
    _import_readers()
    be_expendable()  # what is tried here are the parsers themselves
    start = _limit_memory()
    pipe.send(None)
    while True:
        try:
            kind, path = pipe.recv()
        except EOFError:
            return
        outcome = _outcome(kind, Path(path))
        grown = _peak() - start
        if grown > GROWTH:
            outcome = Outcome("memory", f"took {grown / 1024**2:.0f} MB; {outcome}")
        pipe.send(outcome)


def _outcome(kind: str, path: Path) -> Outcome:
    try:
        OPEN[kind](path)
    except NapariSaltError as error:
        sentence = str(error)
        plain = "\n" not in sentence and len(sentence) < 3000
        return Outcome("refused" if plain else "error", sentence)
    except BaseException:  # noqa: BLE001 - whatever escapes is what we look for
        return Outcome("error", traceback.format_exc())
    return Outcome("opened")


def _adapter(path: Path) -> None:
    from napari_salt.model.adapter_file import FOREST, HEAD, _group, load_adapter
    from napari_salt.model.forest import Forest

    adapter = load_adapter(path)
    adapter.framing()
    adapter.trained_intensity()
    Forest.from_tensors(_group(adapter, FOREST), adapter.info.directions + 30, 3)
    if HEAD + "embeddings" in adapter.tensors:
        adapter.layer_state()


def _session(path: Path) -> None:
    from napari_salt.io.session_folder import SessionFolder
    from napari_salt.session.labels import LabelTable
    from napari_salt.session.rounds import Rounds

    folder = SessionFolder.open_folder(path)
    try:
        state = folder.state()
        for index in folder.painted_slices():
            folder.paint(index)
        folder.agreed_paint()
        LabelTable(state.labels, next_id=state.next_id)
        Rounds(state.rounds, state.active)
    finally:
        folder.close()


def _image(path: Path) -> None:
    from napari_salt.io.read import read_labels, read_stack

    stack = read_stack(path)
    for index in {0, len(stack) - 1}:
        stack.plane(index)
    with suppress(NapariSaltError):  # few images are label images, and saying so is right
        read_labels(path).plane(0)


IMAGES = ("tiff", "npy", "png", "jpg", "nifti", "nrrd", "mha", "dicom", "hdf5", "zarr")
OPEN = {
    "adapter": _adapter,
    "session": _session,
    **dict.fromkeys(IMAGES, _image),
}
"""How a file of each kind is opened."""


def _import_readers() -> None:

    import napari_salt.io.read
    import napari_salt.io.session_folder
    import napari_salt.model.adapter_file
    import napari_salt.session.labels
    import napari_salt.session.rounds  # noqa: F401


def _limit_memory() -> int:
    """Set the limit where the system has one; returns the memory in use, in bytes."""
    if sys.platform == "linux":
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + ROOM
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return _peak()


def _peak() -> int:
    """Most memory that the process has had, in bytes; 0 where the system does not say."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
