"""What installing and importing the package promises."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]
GUI = {"napari", "qtpy", "PyQt6", "PySide6", "superqt", "pyqtgraph", "vispy"}
TORCH = {"torch", "torchvision", "timm", "sentence_transformers", "transformers"}

IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", ()), name + "."):
        importlib.import_module(found.name)
print(*{name.partition(".")[0] for name in sys.modules})
"""


def imported_by(*modules: str) -> set[str]:
    """Top-level packages that a fresh interpreter holds after importing all of these modules."""
    command = [sys.executable, "-c", IMPORT_ALL, *modules]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


def test_importing_the_package_pulls_in_neither_torch_nor_gui() -> None:
    code = "import sys, napari_salt; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "napari_salt" in run.stdout.split()
    assert not set(run.stdout.split()) & (TORCH | GUI | {"numpy"})


def test_importing_session_and_files_pulls_in_neither_torch_nor_gui() -> None:
    found = imported_by("napari_salt.records", "napari_salt.session", "napari_salt.io")
    assert not found & (TORCH | GUI)


def test_importing_the_model_pulls_in_no_gui() -> None:
    found = imported_by("napari_salt.model")
    assert "torch" in found
    assert not found & (GUI | {"psygnal"})


def test_the_import_check_sees_what_it_looks_for() -> None:
    assert "torch" in imported_by("safetensors.torch")


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    path = next(iter(WheelBuilder(str(ROOT)).build(directory=str(folder))))
    with zipfile.ZipFile(path) as wheel:
        return set(wheel.namelist())


@pytest.mark.parametrize("name", ["py.typed", "napari.yaml", "__init__.py", "records.py"])
def test_the_wheel_holds(wheel_names: set[str], name: str) -> None:
    assert f"napari_salt/{name}" in wheel_names


def test_the_wheel_holds_every_module_and_nothing_else(wheel_names: set[str]) -> None:
    modules = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    assert modules <= wheel_names
    assert {name.split("/")[0].split("-")[0] for name in wheel_names} == {"napari_salt"}


def test_napari_finds_the_manifest() -> None:
    (manifest,) = entry_points(group="napari.manifest", name="napari-salt")
    package, _, file = manifest.value.partition(":")
    assert package == "napari_salt"
    assert (ROOT / "src" / package / file).is_file()


def test_the_command_is_installed() -> None:
    (command,) = entry_points(group="console_scripts", name="napari-salt")
    assert command.value == "napari_salt.cli:main"
