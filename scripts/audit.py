"""Known vulnerabilities in what napari-salt depends on, all its extras included, as installed here.

    python scripts/audit.py

Asks PyPI's advisories through pip-audit. Ends with 1 where a vulnerability is known that a newer version has fixed;
where the service cannot be reached, or does not know the packages (some mirrors), it says so in one line and ends with
0, within a minute.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGE = "napari-salt"
EXTRAS = ("all", "bench")
"""What users install, and what benchmarks add; tools for developers stay on their machines."""
ANSWER, ALL = 10, 50
"""Seconds for one answer of the service, and for all of them."""
ACCEPTED: dict[str, str] = {}
"""Advisories that do not concern us, by their id, with the reason."""


def installed(name: str = PACKAGE, extras: tuple[str, ...] = EXTRAS) -> dict[str, str]:
    """Version by name of everything that a package needs, and that is installed."""
    found: dict[str, str] = {}
    done: set[tuple[str, str]] = set()
    waiting = [(name, extra) for extra in ("", *extras)]
    while waiting:
        current, extra = waiting.pop()
        if (current, extra) in done:
            continue
        done.add((current, extra))
        for needed in _needs(current, extra):
            try:
                found[canonicalize_name(needed.name)] = distribution(needed.name).version
            except PackageNotFoundError:
                continue
            waiting += [(needed.name, inner) for inner in ("", *needed.extras)]
    found.pop(PACKAGE, None)
    return found


def _needs(name: str, extra: str) -> Iterator[Requirement]:
    try:
        lines = distribution(name).requires or []
    except PackageNotFoundError:
        return
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def ask(packages: dict[str, str]) -> list[dict[str, Any]] | str:
    """What pip-audit says of each package, or why it could not say anything."""
    with TemporaryDirectory() as folder:
        pins, answer = Path(folder) / "pins.txt", Path(folder) / "answer.json"
        pins.write_text(
            "".join(f"{name}=={version.partition('+')[0]}\n" for name, version in packages.items())
        )
        command = [
            *(sys.executable, "-m", "pip_audit", "--requirement", str(pins), "--no-deps"),
            *("--disable-pip", "--progress-spinner", "off", "--timeout", str(ANSWER)),
            *("--format", "json", "--output", str(answer)),
        ]
        try:
            # The command is ours; names and versions come from the installed packages, in a file.
            run = subprocess.run(  # noqa: S603
                command, capture_output=True, text=True, timeout=ALL, check=False
            )
            told: list[dict[str, Any]] = json.loads(answer.read_text())["dependencies"]
        except subprocess.TimeoutExpired:
            return f"no answer within {ALL} seconds"
        except (OSError, ValueError, KeyError):
            return (run.stderr.strip().splitlines() or ["pip-audit gave no answer"])[-1][:200]
        return told


def report(told: list[dict[str, Any]] | str) -> tuple[list[str], bool]:
    """Lines to print, and whether all is well."""
    if isinstance(told, str):
        return [f"audit: skipped, the advisory service cannot be reached ({told})"], True
    known = [one for one in told if "skip_reason" not in one]
    found = [
        (f"audit: {one['name']} {one['version']}: {each['id']}", each.get("fix_versions") or [])
        for one in known
        for each in one.get("vulns", ())
        if each["id"] not in ACCEPTED
    ]
    told_of = [f"{what}, fixed in {', '.join(fixes) or 'no version yet'}" for what, fixes in found]
    if not known:
        return ["audit: skipped, the package index here has no advisories"], True
    unknown = f", {len(told) - len(known)} unknown to the service" if len(told) > len(known) else ""
    # Of one that nobody has fixed yet people must know, but no change of ours could make the check pass.
    well = not any(fixes for _, fixes in found)
    return [*told_of, f"audit: {len(known)} packages, {len(found)} vulnerabilities{unknown}"], well


def main() -> int:
    """Ask and tell."""
    lines, well = report(ask(installed()))
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
