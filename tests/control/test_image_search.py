"""The image of a session is found again after both have moved: in the viewer, on disk, beside it, or by asking."""

from __future__ import annotations

from unittest.mock import create_autospec

import numpy as np
import pytest
import tifffile
import zarr
from napari.components import ViewerModel

from napari_salt.control.controller import Controller
from napari_salt.engine.requests import JobRunner
from napari_salt.io.identity import identity
from napari_salt.io.session_folder import SessionFolder
from napari_salt.io.session_state import SessionState
from napari_salt.records import Label, Origin
from napari_salt.session.stack import Stack
from napari_salt.viewer_link import ViewerLink
from napari_salt.views import DockView, Wishes

PIXELS = np.random.default_rng(0).integers(0, 255, (4, 8, 8), np.uint8)


class Bench:
    """A controller on a viewer model without any image."""

    def __init__(self) -> None:
        self.viewer = ViewerModel()
        self.view = create_autospec(DockView, instance=True)
        self.view.wishes = self.wishes = Wishes()
        self.view.ask_open.return_value = None
        runner = create_autospec(JobRunner, instance=True)
        self.controller = Controller(self.view, ViewerLink(self.viewer), runner)

    def open(self, path) -> str:
        """What the status line says after the session was asked for."""
        self.view.ask_folder.return_value = path
        self.wishes.open_session.emit()
        return self.controller.desk.status.text

    @property
    def images(self) -> list[str]:
        return [layer.name for layer in self.viewer.layers if "paint" not in layer.name]


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.controller.close()


@pytest.fixture
def kept(tmp_path):
    """A session of one painted slice; its image was read from ``old/t1.tif``, which is not there."""
    origin = Origin(str(tmp_path / "old" / "t1.tif"), "tiff")
    stack = Stack(PIXELS, name="t1", origin=origin)
    state = SessionState(stack.info, identity(stack), (Label(1, "cell"),), 2, painted=(2,))
    (tmp_path / "here").mkdir()
    folder = SessionFolder.create(tmp_path / "here" / "mine.salt", state)
    folder.save(state, {2: np.ones((8, 8), np.uint16)})
    folder.close()
    return folder.path


def write(path, pixels=PIXELS):
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, pixels, metadata={"axes": "ZYX"}, ome=True)
    return path


def painted(bench) -> tuple[int, ...]:
    return bench.controller.desk.session.annotations.painted_slices()


def test_an_image_of_the_viewer_is_known_by_its_pixels_whatever_its_name(bench, kept):
    bench.viewer.add_image(PIXELS, name="renamed")
    bench.viewer.add_image(PIXELS + 1, name="t1")
    assert bench.open(kept).startswith("your work is back")
    assert bench.controller.desk.session.stack.info.name == "renamed"
    assert painted(bench) == (2,)


@pytest.mark.parametrize("place", ["old", "here"])
def test_a_file_is_found_where_it_was_and_beside_the_session(bench, kept, tmp_path, place):
    write(tmp_path / place / "t1.tif")
    assert bench.open(kept).startswith("your work is back")
    assert len(bench.images) == 1
    assert painted(bench) == (2,)
    bench.view.ask_open.assert_not_called()


def test_a_file_of_that_name_with_other_pixels_is_passed_over(bench, kept, tmp_path):
    write(tmp_path / "here" / "t1.tif", PIXELS + 1)
    assert "open that image first" in bench.open(kept)
    assert bench.images == []


def test_a_session_on_a_coarser_level_finds_that_level(bench, kept, tmp_path):
    group = zarr.open_group(str(tmp_path / "old" / "t1.tif"), mode="w", zarr_format=3)
    group.create_array("0", data=PIXELS.repeat(2, axis=1).repeat(2, axis=2))
    group.create_array("1", data=PIXELS)
    axes = [{"name": name} for name in "zyx"]
    image = {"axes": axes, "datasets": [{"path": "0"}, {"path": "1"}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    assert bench.open(kept).startswith("your work is back")
    assert bench.images == ["t1.tif"]
    assert bench.viewer.layers[0].multiscale
    assert bench.controller.desk.place.level == 1
    assert bench.controller.desk.session.stack.info.origin.level == 1
    assert painted(bench) == (2,)


def test_a_session_on_a_level_of_a_tiff_finds_that_level(bench, kept, tmp_path):
    (tmp_path / "old").mkdir()
    options = {"tile": (16, 16), "photometric": "minisblack"}
    with tifffile.TiffWriter(tmp_path / "old" / "t1.tif", ome=True) as tif:
        fine = PIXELS.repeat(2, axis=1).repeat(2, axis=2)
        tif.write(fine, subifds=1, metadata={"axes": "ZYX"}, **options)
        tif.write(PIXELS, subfiletype=1, **options)
    assert bench.open(kept).startswith("your work is back")
    assert [level.shape for level in bench.viewer.layers[0].data] == [fine.shape, PIXELS.shape]
    assert bench.controller.desk.place.level == 1
    assert painted(bench) == (2,)


def test_what_is_found_nowhere_is_asked_for(bench, kept, tmp_path):
    bench.view.ask_open.return_value = write(tmp_path / "new place" / "other name.tif")
    assert bench.open(kept).startswith("your work is back")
    assert bench.view.ask_open.call_args.args[0] == "Where is the image “t1” (4 slices · 8 × 8)?"
    assert painted(bench) == (2,)


@pytest.mark.parametrize(
    ("pixels", "difference"),
    [
        (PIXELS + 1, "holds other pixels"),
        (PIXELS[:3], "has 3 slices · 8 × 8"),
        (PIXELS[:, ::2], "has 4 slices · 4 × 8"),
        (PIXELS.astype(np.uint16), "holds uint16 instead of uint8"),
    ],
)
def test_a_file_that_was_chosen_wrongly_is_refused(bench, kept, tmp_path, pixels, difference):
    bench.view.ask_open.return_value = write(tmp_path / "new place" / "other.tif", pixels)
    assert bench.open(kept) == (
        f"other.tif is not “t1” (4 slices · 8 × 8): it {difference}; choose another file."
    )
    assert bench.images == []
