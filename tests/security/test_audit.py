"""make audit fails on a known vulnerability, and only on that."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "audit.py"


@pytest.fixture(scope="module")
def audit():
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entry(name, *ids):
    vulns = [{"id": each, "fix_versions": ["2.0"]} for each in ids]
    return {"name": name, "version": "1.0", "vulns": vulns}


def test_it_looks_at_what_users_install_and_not_at_our_tools(audit):
    found = audit.installed()
    assert {"numpy", "torch", "napari", "zarr", "safetensors"} <= set(found)
    assert not {"pytest", "ruff", "napari-salt"} & set(found)


def test_a_known_vulnerability_fails(audit):
    lines, well = audit.report([entry("numpy"), entry("pillow", "PYSEC-1")])
    assert not well
    assert "pillow 1.0: PYSEC-1, fixed in 2.0" in lines[0]


def test_one_that_nobody_has_fixed_is_told_and_passes(audit):
    one = entry("pillow", "PYSEC-1")
    one["vulns"][0]["fix_versions"] = []
    lines, well = audit.report([one])
    assert well
    assert "PYSEC-1, fixed in no version yet" in lines[0]


def test_what_does_not_concern_us_passes(audit, monkeypatch):
    monkeypatch.setitem(audit.ACCEPTED, "PYSEC-1", "we never call it")
    assert audit.report([entry("pillow", "PYSEC-1")]) == (
        ["audit: 1 packages, 0 vulnerabilities"],
        True,
    )


def test_a_service_that_is_not_there_is_told_in_one_line(audit, monkeypatch):
    def hang(command, **options):
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(audit.subprocess, "run", hang)
    (line,), well = audit.report(audit.ask({"numpy": "2.0"}))
    assert well
    assert line.startswith("audit: skipped")
    assert audit.ALL <= 60


def test_a_tool_that_fails_is_told_in_one_line(audit, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "ERROR: Connection refused\n")
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: failed)
    (line,), well = audit.report(audit.ask({"numpy": "2.0"}))
    assert well
    assert "Connection refused" in line


def test_an_index_without_advisories_is_told_in_one_line(audit):
    lines, well = audit.report([{"name": "numpy", "skip_reason": "not found"}])
    assert well
    assert lines == ["audit: skipped, the package index here has no advisories"]


FIXED = {"id": "PYSEC-1", "fix_versions": ["2.0"]}
NOT_FIXED = {"id": "PYSEC-2", "fix_versions": []}


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ([{"name": "numpy", "version": "1.0", "vulns": []}], 0, "1 packages, 0 vulnerabilities"),
        ([{"name": "numpy", "version": "1.0", "vulns": [FIXED]}], 1, "PYSEC-1, fixed in 2.0"),
        ([{"name": "numpy", "version": "1.0", "vulns": [NOT_FIXED]}], 0, "in no version yet"),
        ([{"name": "numpy", "version": "1.0", "vulns": [NOT_FIXED, FIXED]}], 1, "2 vulnerab"),
        (
            [
                {"name": "numpy", "version": "1.0", "vulns": []},
                {"name": "torch", "skip_reason": "Dependency not found on PyPI"},
            ],
            0,
            "1 packages, 0 vulnerabilities, 1 unknown to the service",
        ),
        (
            [
                {"name": "numpy", "version": "1.0", "vulns": [FIXED]},
                {"name": "torch", "skip_reason": "Dependency not found on PyPI"},
            ],
            1,
            "1 packages, 1 vulnerabilities, 1 unknown",
        ),
        (
            [{"name": name, "skip_reason": "not found"} for name in ("numpy", "torch")],
            0,
            "audit: skipped, the package index here has no advisories\n",
        ),
        ([], 0, "audit: skipped, the package index here has no advisories\n"),
        (None, 0, "audit: skipped, the advisory service cannot be reached (pip-audit gave no"),
    ],
)
def test_the_exit_code_and_the_last_line_follow_from_what_pip_audit_writes(
    audit, monkeypatch, capsys, answer, code, said
):
    """Only pip-audit itself is played here: its answer is read from the file that it was told to write."""

    def play(command, **_):
        if answer is not None:
            Path(command[command.index("--output") + 1]).write_text(
                json.dumps({"dependencies": answer})
            )
        return subprocess.CompletedProcess(command, bool(code), "", "")

    monkeypatch.setattr(audit.subprocess, "run", play)
    assert audit.main() == code
    assert said in capsys.readouterr().out


def test_make_check_ends_with_the_audit_and_takes_its_exit_code():
    makefile = (SCRIPT.parents[1] / "Makefile").read_text()
    recipe = makefile.partition("\ncheck: ")[2].partition("\n\n")[0]
    (line,) = [line for line in recipe.splitlines() if "audit.py" in line]
    assert (
        line == "\t$(BIN)/python scripts/audit.py"
    )  # a leading "-" or "|| true" would let all pass
