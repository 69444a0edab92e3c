"""How often something was tried, how often it went well, and what went wrong when it did not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Tally:
    """Counts of one kind of torture; ``facts`` are figures worth telling, by name."""

    kind: str
    tried: int = 0
    survived: int = 0
    lost: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    def count(self, what: str, problems: Sequence[str]) -> None:
        """One try, with what was wrong after it."""
        self.tried += 1
        if problems:
            self.lost.append(f"{what}: {'; '.join(problems)}")
        else:
            self.survived += 1

    def write(self, path: Path) -> None:
        """Keep it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1))

    @staticmethod
    def read(path: Path) -> Tally:
        """The inverse of `write`."""
        return Tally(**json.loads(path.read_text()))
