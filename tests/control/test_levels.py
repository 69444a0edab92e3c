"""The dock at a level of a pyramid: choosing it, its own paint, masks at full resolution, and work that comes back."""

from __future__ import annotations

import numpy as np
import pytest

from level_desk import LEVELS, Desk, after_restart
from napari_salt.errors import InputError
from napari_salt.io.read import read_labels
from napari_salt.records import FitSettings, SlicePrediction, SliceSummary
from napari_salt.scale.requests import ClusterSegmentRequest
from napari_salt.viewer_link import images


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "LARGE", 24 * 24)
    made = Desk(tmp_path / "store")
    yield made
    made.controller.close()


def test_a_handy_level_is_worked_at_and_all_are_offered(desk):
    assert desk.session.stack.info.shape == (4, 24, 24)
    assert [entry.name for entry in desk.image.levels] == [
        "47 × 47 (full resolution)",
        "24 × 24 (level 1 of 2)",
        "12 × 12 (level 2 of 2)",
    ]
    assert desk.image.level == 1
    assert desk.image.facts == "4 slices · 24 × 24 · 2 × 1 × 1"


def test_an_image_without_levels_offers_none(desk):
    desk.viewer.add_image(LEVELS[1], name="flat")
    (key,) = (entry.key for entry in desk.image.entries if entry.name == "flat")
    desk.wishes.image_chosen.emit(key)
    assert (desk.image.levels, desk.image.level) == ((), 0)


def test_paint_labels_and_settings_come_along_to_another_level(desk, tmp_path):
    desk.paint()
    desk.session.annotations.set_complete(3, True)
    desk.wishes.settings_changed.emit(FitSettings(steps=7))
    desk.session.use_adapter(tmp_path / "a")
    coarse = desk.session
    desk.wishes.level_chosen.emit(0)
    assert desk.image.level == 0
    assert desk.session.stack.info.shape == (4, 47, 47)
    assert [label.name for label in desk.session.labels] == ["cell"]
    assert desk.session.settings.steps == 7
    assert desk.session.adapter_path == coarse.adapter_path
    paint = np.zeros((4, 47, 47), np.uint16)
    paint[1, 4:10, 4:10] = 1
    np.testing.assert_array_equal(desk.session.annotations.paint, paint)
    assert desk.session.annotations.complete == {3}
    assert desk.status == "your paint came along to 2 slices (Undo takes it back here)"
    desk.wishes.level_chosen.emit(1)
    assert desk.session is coarse
    assert coarse.annotations.painted_slices() == (1,)


def test_paint_keeps_its_detail_where_nothing_was_changed_at_another_level(desk):
    desk.wishes.level_chosen.emit(0)
    desk.paint(1, np.s_[3:20, 5:30])
    desk.paint(2, np.s_[11, 7:31])
    fine, kept = desk.session, desk.session.annotations.paint.copy()
    desk.wishes.level_chosen.emit(2)
    assert desk.status == (
        "your paint came along to 2 slices, as coarse as they are; at full resolution it stays as you painted it "
        "(Undo takes it back here)"
    )
    assert desk.session.annotations.painted_slices() == (1, 2)
    desk.paint(1, np.s_[11, 11])
    desk.wishes.level_chosen.emit(1)
    assert (desk.session.annotations.paint[1, 22:24, 22:24] == 1).all()
    desk.paint(3, np.s_[0, 0])
    desk.wishes.level_chosen.emit(0)
    assert desk.session is fine
    kept[1, 44:, 44:] = 1
    kept[3, 0:2, 0:2] = 1
    np.testing.assert_array_equal(fine.annotations.paint, kept)
    layer = next(one for one in desk.viewer.layers if one.name == "cells paint")
    np.testing.assert_array_equal(layer.data, kept)
    assert desk.status.startswith("your paint came along to 1 slice (")


def test_undo_takes_back_what_came_along_and_nothing_at_the_other_level(desk):
    desk.paint()
    coarse = desk.session
    desk.wishes.level_chosen.emit(0)
    desk.wishes.undo_accept.emit()
    assert "paint from another level" in desk.status
    assert desk.session.annotations.painted_slices() == ()
    desk.wishes.level_chosen.emit(1)
    assert coarse.annotations.painted_slices() == (1,)
    desk.wishes.level_chosen.emit(0)
    assert desk.session.annotations.painted_slices() == ()


def test_erasing_and_labels_follow_to_all_levels(desk):
    desk.paint(1, np.s_[:])
    coarse = desk.session
    desk.wishes.level_chosen.emit(0)
    fine = desk.session
    desk.wishes.level_chosen.emit(2)
    desk.wishes.label_added.emit("rim")
    desk.session.annotations.paint[1, 2] = 2
    desk.session.annotations.paint[1, 3] = 0
    desk.link.signals.painted.emit((1,))
    desk.viewer.add_image(LEVELS[1], name="flat")
    keys = {entry.name: entry.key for entry in desk.image.entries}
    desk.wishes.image_chosen.emit(keys["flat"])
    for session, step in ((coarse, 2), (fine, 4)):
        rows = session.annotations.paint[1, :, 0]
        assert rows[: 5 * step].tolist() == [1] * 2 * step + [2] * step + [0] * step + [1] * step
        assert [label.name for label in session.labels] == ["cell", "rim"]


def test_label_and_brush_stay_in_hand(desk):
    desk.wishes.label_added.emit("cell")
    desk.wishes.label_added.emit("rim")
    desk.wishes.level_chosen.emit(0)
    layer = next(one for one in desk.viewer.layers if one.name == "cells paint")
    assert desk.controller.desk.selected == layer.selected_label == 2
    assert layer.mode == "paint"
    layer.mode = "pan_zoom"
    desk.wishes.level_chosen.emit(2)
    layer = next(one for one in desk.viewer.layers if one.name == "cells paint · level 2")
    assert desk.controller.desk.selected == layer.selected_label == 2
    assert layer.mode == "pan_zoom"


def test_paint_at_every_level_is_kept_on_the_disk(desk, tmp_path):
    desk.paint()
    desk.tick()
    desk.wishes.level_chosen.emit(0)
    desk.paint(2, np.s_[10:12, 10:12])
    desk.tick()
    desk.wishes.level_chosen.emit(1)
    desk.tick()
    with after_restart(desk, tmp_path / "store") as again:
        assert again.session.annotations.painted_slices() == (1, 2)
        assert again.session.annotations.paint[2, 5, 5] == 1


def test_work_restored_at_a_level_is_not_painted_over_by_another_level(desk, tmp_path):
    desk.wishes.level_chosen.emit(0)
    desk.paint(1, np.s_[3:20, 5:30])
    kept = desk.session.annotations.paint.copy()
    desk.tick()
    desk.wishes.level_chosen.emit(1)
    desk.tick()
    with after_restart(desk, tmp_path / "store") as again:
        assert again.image.level == 1
        again.paint(3)
        again.wishes.level_chosen.emit(0)
        again.tick()
        again.wishes.offer_taken.emit()
        kept[3, 4:10, 4:10] = 1
        np.testing.assert_array_equal(again.session.annotations.paint, kept)
        again.wishes.level_chosen.emit(1)
        assert again.session.annotations.painted_slices() == (1, 3)
        again.wishes.level_chosen.emit(0)
        np.testing.assert_array_equal(again.session.annotations.paint, kept)


def test_the_level_worked_at_last_is_offered_first(desk, tmp_path):
    desk.paint()
    desk.tick()
    desk.wishes.level_chosen.emit(0)
    desk.paint(3)
    desk.tick()
    desk.controller.close()
    again = Desk(tmp_path / "store")
    try:
        again.tick()
        assert "Restore your work on “cells” at 47 × 47?" in again.status
        again.wishes.offer_taken.emit()
        assert again.session.annotations.painted_slices() == (1, 3)
    finally:
        again.controller.close()


def test_another_image_and_back_is_the_level_worked_at(desk):
    desk.wishes.level_chosen.emit(2)
    desk.viewer.add_image(LEVELS[1], name="flat")
    keys = {entry.name: entry.key for entry in desk.image.entries}
    desk.wishes.image_chosen.emit(keys["flat"])
    desk.wishes.image_chosen.emit(keys["cells"])
    assert desk.image.level == 2


def test_masks_are_saved_at_full_resolution_or_at_the_level(desk, tmp_path):
    desk.paint(1, np.s_[2:5, 3])
    labels = np.zeros((24, 24), np.uint16)
    labels[20:, 20:] = 1
    doubt = np.zeros((24, 24), np.float16)
    desk.link.write_prediction(SlicePrediction(2, labels, doubt, SliceSummary(2, 0.0)))
    desk.session.add_prediction(SliceSummary(2, 0.0))
    assert "masks saved" in desk.export(tmp_path / "fine.tif")
    fine = read_labels(tmp_path / "fine.tif")
    assert fine.labels.shape == (4, 47, 47)
    assert fine.spacing == (2, 0.5, 0.5)
    assert fine.labels[1, 4:10, 6:8].all()
    assert (fine.labels[1].sum(), fine.labels[2].sum()) == (12, 7 * 7)
    desk.wishes.full_resolution_set.emit(False)
    assert "masks saved" in desk.export(tmp_path / "coarse.tif")
    coarse = read_labels(tmp_path / "coarse.tif")
    assert (coarse.labels.shape, coarse.spacing) == ((4, 24, 24), (2, 1, 1))
    np.testing.assert_array_equal(coarse.labels[2], labels)


def test_levels_that_do_not_fit_on_each_other_are_refused_in_words(desk):
    finer_along_z = [LEVELS[0], np.zeros((9, 24, 24), np.uint8)]
    desk.viewer.add_image(finer_along_z, name="odd", multiscale=True)
    (key,) = (entry.key for entry in desk.image.entries if entry.name == "odd")
    desk.wishes.image_chosen.emit(key)
    desk.paint()
    desk.wishes.export_masks.emit()
    assert "do not shrink along the same axes" in desk.status


def test_work_at_another_level_is_offered_and_comes_back_there(desk, tmp_path):
    desk.wishes.level_chosen.emit(0)
    desk.paint(3)
    desk.tick()
    desk.controller.close()
    again = Desk(tmp_path / "store")
    try:
        assert again.image.level == 1
        again.tick()
        assert "Restore your work on “cells” at 47 × 47?" in again.status
        again.wishes.offer_taken.emit()
        assert again.status.startswith("your work is back")
        assert again.image.level == 0
        assert again.session.annotations.painted_slices() == (3,)
        assert again.session.annotations.paint[3, 2:5, 2:5].all()
    finally:
        again.controller.close()


def test_work_on_another_image_of_a_levels_shape_is_not_offered(desk, tmp_path):
    desk.wishes.level_chosen.emit(0)
    desk.paint(3)
    desk.tick()
    desk.controller.close()
    again = Desk(tmp_path / "store", [LEVELS[0] + 1, LEVELS[1]])
    try:
        again.tick()
        assert "Restore" not in again.status
    finally:
        again.controller.close()


def test_a_level_that_has_gone_is_a_sentence(desk):
    with pytest.raises(InputError, match="no level 7"):
        desk.link.images.at_level(desk.controller.desk.place, 7)
    desk.wishes.level_chosen.emit(7)
    assert "no level 7" in desk.status
    assert desk.image.level == 1


def test_a_cluster_is_told_the_level(desk, tmp_path):
    desk.wishes.settings_changed.emit(FitSettings(cluster="tls://head:8786"))
    loop = desk.controller.loop
    request = loop._segment_request(desk.session, tmp_path / "a", (0, 1))
    assert isinstance(request, ClusterSegmentRequest)
    assert request.level == 1
