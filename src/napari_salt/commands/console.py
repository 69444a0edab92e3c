"""What a command says: its answer on standard output, all else on standard error."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any, TextIO

from napari_salt import wording
from napari_salt.checked import shown
from napari_salt.engine.quiet import quiet_libraries
from napari_salt.errors import OutputError
from napari_salt.records import StepReport

SECONDS_BETWEEN_LINES = 5.0
_STEERING = re.compile("[\x7f-\x9f]")
"""Signs that steer some terminals, and that JSON does not write as numbers by itself."""


class Console:
    """Where a command speaks.

    Parameters
    ----------
    as_json
        Answer with one JSON object instead of text.
    out
        Stream of the answer.
    err
        Stream of everything else.
    """

    def __init__(self, *, as_json: bool, out: TextIO, err: TextIO) -> None:
        self.as_json = as_json
        self._out = out
        self._err = err
        self._phase = ""
        self._next_line = 0.0
        self._line = False

    def note(self, sentence: str) -> None:
        """A sentence on standard error."""
        self._end_line()
        self._aside(shown(sentence) + "\n")

    def progress(self, step: StepReport, prefix: str = "") -> None:
        """One line that is rewritten in a terminal; else a line now and then."""
        text = shown(prefix + wording.report(step))
        if self._err.isatty():
            self._aside(f"\r\x1b[K{text}")
            self._line = True
            return
        now = time.monotonic()
        if prefix + step.phase != self._phase or now >= self._next_line:
            self._phase, self._next_line = prefix + step.phase, now + SECONDS_BETWEEN_LINES
            self.note(text)

    def answer(self, text: str, data: dict[str, Any]) -> None:
        """The result: ``text`` for people, ``data`` for programs.

        Raises
        ------
        OutputError
            When standard output takes nothing more, as a file on a full disk.
        """
        self._end_line()
        try:
            self._out.write((self._json(data) if self.as_json else shown(text, "\n\t")) + "\n")
            self._out.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(
                f"The answer cannot be written ({error.strerror}); send standard output to a disk with room."
            ) from error

    def text(self, text: str) -> None:
        """A part of a long answer for people; nothing where JSON is wanted."""
        if not self.as_json:
            self.answer(text, {})

    def _json(self, data: dict[str, Any]) -> str:
        """Letters as they are where the stream has all of them; a pipe on Windows, for one, has 256."""
        has_all = (self._out.encoding or "utf-8").lower().startswith("utf")
        written = json.dumps(_plain(data), ensure_ascii=not has_all, allow_nan=False)
        return _STEERING.sub(lambda sign: f"\\u{ord(sign[0]):04x}", written)

    def _end_line(self) -> None:
        if self._line:
            self._aside("\n")
            self._line = False

    def _aside(self, text: str) -> None:
        """Text on standard error, which ends no job where nobody reads it any more or its disk is full."""
        with suppress(OSError, ValueError):
            self._err.write(text)
            self._err.flush()


@contextmanager
def open_console(*, as_json: bool) -> Iterator[Console]:
    """A console on the real streams, while whatever libraries print goes to standard error."""
    quiet_libraries()
    with _own_stdout() as out, redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield Console(as_json=as_json, out=out, err=sys.stderr)


@contextmanager
def _own_stdout() -> Iterator[TextIO]:
    """Standard output for us alone: file descriptor 1 leads to standard error meanwhile.

    Libraries in C write to the descriptor, which no redirection in Python reaches.
    """
    if sys.stdout is not sys.__stdout__ or sys.stdout is None:
        # Somebody has put another stream there already, in a test for instance.
        yield sys.stdout
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    # A letter that the stream does not have, or half of a file name that is no text, ends no command.
    out = open(  # noqa: SIM115 - closed below, where a full disk has been told already
        kept, "w", encoding=sys.stdout.encoding, errors="backslashreplace", closefd=False
    )
    try:
        yield out
    finally:
        with suppress(OSError):
            out.close()
        os.dup2(kept, 1)
        os.close(kept)


def _plain(value: Any) -> Any:
    """Numbers that JSON does not know (not a number, infinite) become null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
