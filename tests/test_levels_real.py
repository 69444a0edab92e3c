"""A pyramid in a real window: the brush, the engine and the exported file meet on the same pixels."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from hands import LONG, stroke, wait_idle
from napari_salt.io.read import read_labels
from napari_salt.viewer_link import images
from napari_salt.widgets.dock import Dock
from tiny import shapes

FACTOR = 4


@pytest.fixture
def slide(tmp_path):
    """Five slices whose level 2 is what the tiny adapter was made for."""
    coarse, _ = shapes(5)
    group = zarr.open_group(str(tmp_path / "slide.ome.zarr"), mode="w", zarr_format=3)
    datasets = []
    for level, factor in enumerate((FACTOR, 2, 1)):
        group.create_array(str(level), data=coarse.repeat(factor, axis=1).repeat(factor, axis=2))
        scale = {"type": "scale", "scale": [2.0, 1.0 / factor, 1.0 / factor]}
        datasets.append({"path": str(level), "coordinateTransformations": [scale]})
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    return tmp_path / "slide.ome.zarr"


@pytest.fixture
def dock(make_napari_viewer, qtbot, slide, monkeypatch):
    monkeypatch.setattr(images, "LARGE", 48 * 48)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 800)
    viewer.open(str(slide), plugin="napari-salt")
    widget = Dock(viewer)
    viewer.window.add_dock_widget(widget, name="Few-shot segmentation")
    viewer.reset_view()
    yield widget, viewer
    widget.controller.close()


def test_paint_masks_and_file_of_a_level_lie_on_the_image(
    dock, slide, tiny_work, qtbot, tmp_path, monkeypatch
):
    widget, viewer = dock
    level = widget.image._level
    assert level.isVisible()
    assert [level.itemText(at) for at in range(level.count())] == [
        "96 × 96 (full resolution)",
        "48 × 48 (level 1 of 2)",
        "24 × 24 (level 2 of 2)",
    ]
    assert level.currentIndex() == 1
    level.setCurrentIndex(2)
    level.activated.emit(2)
    session = widget.controller.desk.session
    assert session.stack.info.shape == (5, 24, 24)

    widget.labels.addRequested.emit("disk")
    widget.labels.addRequested.emit("box")
    widget.controller._link.go_to(2)
    stroke((0, 0), (60, 0))
    (rows, columns) = np.nonzero(session.annotations.paint[2])
    image = viewer.layers["slide"]
    centre = image.world_to_data((4.0, *viewer.scene.camera.center[-2:]))[-2:]
    assert abs((rows.mean() + 0.5) * FACTOR - 0.5 - centre[0]) < FACTOR
    assert abs((columns.min() + 0.5) * FACTOR - 0.5 - centre[1]) < 12 * FACTOR

    monkeypatch.setattr(widget, "ask_open", lambda *_: tiny_work / "a.salt.safetensors")
    widget.export.loadRequested.emit()
    widget.segment.allRequested.emit()
    wait_idle(widget, qtbot)
    assert widget.status.value().text == "5 slices segmented"
    predicted = viewer.layers["slide prediction · level 2"]
    assert predicted.data.shape == (5, 24, 24)
    for row, column in ((20, 20), (60, 57), (70, 50), (5, 90)):
        world = image.data_to_world((2, row, column))
        seen = predicted.get_value(world, world=True)
        assert seen == predicted.data[2, row // FACTOR, column // FACTOR]

    assert widget.export._full.isVisible()
    widget.export._full.setChecked(True)
    monkeypatch.setattr(widget, "ask_save_as", lambda *_: (tmp_path / "masks.tif", 0))
    widget.export.masksRequested.emit()
    qtbot.waitUntil(lambda: "masks saved" in widget.status.value().text, timeout=LONG)
    saved = read_labels(tmp_path / "masks.tif")
    merged = np.where(session.annotations.paint > 0, session.annotations.paint, predicted.data)
    enlarged = merged.repeat(FACTOR, axis=1).repeat(FACTOR, axis=2)
    np.testing.assert_array_equal(saved.labels, enlarged)
    assert saved.spacing == (2, 0.25, 0.25)
    assert np.unique(saved.labels).size == 3


def test_a_stroke_comes_along_to_the_level_that_is_chosen(dock):
    widget, viewer = dock
    level = widget.image._level
    level.activated.emit(2)
    widget.labels.addRequested.emit("disk")
    widget.controller._link.go_to(2)
    stroke((0, 0), (60, 0))
    coarse = widget.controller.desk.session.annotations.paint[2].copy()
    assert coarse.any()
    level.activated.emit(0)
    assert level.currentIndex() == 0
    assert "came along to 1 slice" in widget.status.value().text
    paint, image = viewer.layers["slide paint"], viewer.layers["slide"]
    for row, column in zip(*np.nonzero(coarse), strict=True):
        world = image.data_to_world((2, FACTOR * row + 1, FACTOR * column + 2))
        assert paint.get_value(world, world=True) == 1
    assert np.count_nonzero(paint._slice.image.raw) == FACTOR**2 * np.count_nonzero(coarse)

    assert widget.slice._undo.isEnabled()
    widget.slice._undo.click()
    assert not paint._slice.image.raw.any()
    level.activated.emit(2)
    np.testing.assert_array_equal(widget.controller.desk.session.annotations.paint[2], coarse)
