"""The manifest: valid, found by napari, and everything it names exists."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from npe2 import PluginManifest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def manifest():
    return PluginManifest.from_file(ROOT / "src/napari_salt/napari.yaml")


def test_it_is_valid_and_the_installed_one(manifest):
    manifest.validate_imports()
    installed = PluginManifest.from_distribution("napari-salt")
    assert installed.contributions == manifest.contributions


def test_the_root_link_is_the_same_file():
    assert (ROOT / "napari.yaml").resolve() == (ROOT / "src/napari_salt/napari.yaml").resolve()


def test_every_command_can_be_imported(manifest):
    for command in manifest.contributions.commands:
        module, _, name = command.python_name.partition(":")
        assert callable(getattr(importlib.import_module(module), name)), command.id


def test_the_dock_and_two_samples(manifest):
    widgets = manifest.contributions.widgets
    assert [widget.display_name for widget in widgets] == ["Few-shot segmentation"]
    keys = [sample.key for sample in manifest.contributions.sample_data]
    assert keys == ["mni_brain", "colour_image"]
