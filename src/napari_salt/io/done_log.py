"""Which slices are done, and what is known of them: lines that are only ever added, in one file a writer.

A line is a checksum and JSON, and ends in a newline. A line that a crash has cut short or a power cut has filled with
zeros fails its checksum and counts as never written. Every writer has a file of its own, so that many processes on many
machines can write at once without locks, which network drives do not keep reliably.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from napari_salt.io.atomic import reach_disk
from napari_salt.records import SliceSummary

SUFFIX = ".log"
LONGEST_LINE = 1024**2
"""Bytes; a longer line is none of ours."""


class DoneLog:
    """The files of one folder, read together; ``add`` writes to a file of this object's own.

    Parameters
    ----------
    folder
        Where the files lie; it exists.
    writer
        Start of the name of this writer's file: letters, digits, dashes.
    """

    def __init__(self, folder: Path, writer: str = "log") -> None:
        self._folder = folder
        self._name = f"{writer}-{secrets.token_hex(6)}{SUFFIX}"
        self._file: Any = None

    def summaries(self, writer: str = "") -> Iterator[SliceSummary]:
        """What the files say, in any order; of writers whose name starts with ``writer``.

        A slice that was done twice comes twice.
        """
        for path in sorted(self._folder.glob(f"{writer}*{SUFFIX}")):
            with path.open("rb") as file:
                while line := file.readline(LONGEST_LINE):
                    summary = _summary(line)
                    if summary is not None:
                        yield summary

    def add(self, summary: SliceSummary) -> None:
        """Say that a slice is done; it is on the disk when this returns. OSError when the disk refuses."""
        if self._file is None:
            self._file = (self._folder / self._name).open("ab")
            reach_disk(self._folder)
        self._file.write(_line(summary))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close this writer's file; a line that the disk refused was told by ``add``, and is not written now either."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None


def _line(summary: SliceSummary) -> bytes:
    content: dict[str, Any] = {
        "index": summary.index,
        "uncertainty": summary.uncertainty,
        "areas": summary.areas,
        "label_uncertainty": summary.label_uncertainty,
    }
    if summary.blank:
        content["blank"] = True
    if summary.descriptor is not None:
        numbers = np.asarray(summary.descriptor, "<f4")
        content["descriptor"] = base64.b64encode(numbers.tobytes()).decode("ascii")
    text = json.dumps(content, separators=(",", ":")).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _summary(line: bytes) -> SliceSummary | None:
    """What a line says; None where it is damaged."""
    check, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or check != b"%08x" % zlib.crc32(text):
        return None
    try:
        content = json.loads(text)
        kept = content.get("descriptor")
        raw = None if kept is None else base64.b64decode(kept, validate=True)
        return SliceSummary(
            int(content["index"]),
            float(content["uncertainty"]),
            {int(key): int(value) for key, value in content["areas"].items()},
            {int(key): float(value) for key, value in content["label_uncertainty"].items()},
            None if raw is None else np.frombuffer(raw, "<f4").astype(np.float32),
            content.get("blank") is True,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
