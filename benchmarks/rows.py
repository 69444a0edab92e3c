"""Measurements kept line by line in a folder of their own, so that an interrupted program goes on where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import results

STAMP = ("date", "commit", "machine", "load")
"""What is noted with each row besides what was measured."""


class Rows:
    """Rows of one program, in ``results/NAME/rows.jsonl``; those of the present commit count.

    Parameters
    ----------
    name
        Of the program.
    folder
        Where results lie.
    """

    def __init__(self, name: str, folder: Path = results.FOLDER) -> None:
        self._path = folder / name / "rows.jsonl"
        self._commit = results.commit()

    def find(self, **key: Any) -> dict[str, Any] | None:
        """The newest row of the present commit with these entries; None for none, or where sources have changed."""
        if self._commit.endswith("+"):
            return None
        wanted = {**key, "commit": self._commit}
        fitting = (
            row
            for row in reversed(self._rows())
            if all(row.get(name) == value for name, value in wanted.items())
        )
        return next(fitting, None)

    def stamp(self) -> str:
        """When it is, and which commit rows are kept for, in words."""
        return f"{results.now()}, at {self._commit}"

    def keep(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Add a row, with when and where it was measured and the load of the machine just now (of one minute)."""
        stamp = (results.now(), self._commit, results.machine(), round(os.getloadavg()[0], 1))
        whole = {**row, **dict(zip(STAMP, stamp, strict=True))}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(whole) + "\n")
        return whole

    def _rows(self) -> list[dict[str, Any]]:
        """All rows; a last line that was cut short is passed over."""
        text = self._path.read_text() if self._path.is_file() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
