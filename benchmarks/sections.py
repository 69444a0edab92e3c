"""RESULTS.md is shared: each program rewrites the part between its own two marks and leaves the rest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path


def replace_section(path: Path, name: str, text: str) -> None:
    """Put ``text`` between the marks of this name; where they are missing they are added at the end of the file."""
    start, end = f"<!-- {name}: written by a program -->", f"<!-- end of {name} -->"
    old = path.read_text() if path.is_file() else "# Benchmark results\n"
    if start not in old:
        old = f"{old.rstrip()}\n\n{start}\n{end}\n"
    pattern = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
    path.write_text(pattern.sub(lambda _: f"{start}\n{text.strip()}\n{end}", old, count=1))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], text: int = 1) -> str:
    """A Markdown table whose first ``text`` columns are words and the others numbers."""
    lines = [head, ["---"] * text + ["---:"] * (len(head) - text), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
