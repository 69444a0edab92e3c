"""The manifest: valid, found by napari, and everything it names exists."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from npe2 import PluginManifest

from napari_salt.io import meta_image_read, nrrd_read, tiff_read

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


def test_what_can_be_dropped_saved_and_found_in_menus(manifest):
    contributions = manifest.contributions
    readers = {reader.command: reader for reader in contributions.readers}
    assert {"*.nii.gz", "*.dcm", "*.h5"} <= set(readers["napari-salt.read_image"].filename_patterns)
    slides = {f"*{ending}" for ending in tiff_read.SUFFIXES} - {"*.tif", "*.tiff"}
    assert slides <= set(readers["napari-salt.read_image"].filename_patterns)
    medical = {f"*{ending}" for ending in (*nrrd_read.SUFFIXES, *meta_image_read.SUFFIXES)}
    assert medical <= set(readers["napari-salt.read_image"].filename_patterns)
    assert readers["napari-salt.read_folder"].accepts_directories
    assert readers["napari-salt.read_folder"].filename_patterns == []
    assert readers["napari-salt.read_adapter"].filename_patterns == ["*.salt.safetensors"]
    assert not readers["napari-salt.read_adapter"].accepts_directories
    (writer,) = contributions.writers
    assert writer.layer_types == ["labels"]
    assert set(writer.filename_extensions) >= {".tif", ".tiff"}
    assert set(contributions.menus) == {
        "napari/layers/segment",
        "napari/layers/data",
        "napari/file/io_utilities",
    }
    placed = {item.command for items in contributions.menus.values() for item in items}
    assert placed >= {
        "napari-salt.dock",
        "napari-salt.stack_images",
        "napari-salt.open_image_folder",
        "napari-salt.open_image_file",
    }


def test_every_contribution_names_a_command(manifest):
    contributions = manifest.contributions
    known = {command.id for command in contributions.commands}
    used = {x.command for x in (*contributions.readers, *contributions.writers)}
    used |= {item.command for items in contributions.menus.values() for item in items}
    used |= {widget.command for widget in contributions.widgets}
    assert used <= known
