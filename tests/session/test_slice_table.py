"""Areas and uncertainty of every slice: from paint where complete, else from predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_salt.records import Origin, SliceSummary, StackInfo
from napari_salt.session.session import Session
from napari_salt.session.slice_table import NO_AREA, PaintedAreas, pixel_area, slice_table
from napari_salt.session.stack import Stack


@pytest.fixture
def session():
    stack = Stack(np.zeros((4, 8, 8), np.uint8), spacing=(3, 0.5, 0.5), units=("um",) * 3)
    session = Session(stack)
    session.labels.add("cell")
    session.labels.add("nucleus")
    return session


def test_areas_and_uncertainty(session):
    session.add_prediction(SliceSummary(1, 0.25, {1: 10, 2: 4}))
    session.add_prediction(SliceSummary(2, 0.5, {1: 9}))
    session.annotations.paint[2, :2, :3] = 2
    session.annotations.touched(2)
    painted = PaintedAreas(session)
    table = slice_table(session, painted)
    assert table.labels == ("cell", "nucleus")
    assert (table.pixel_area, table.unit) == (0.25, "um")
    assert table.areas.tolist() == [[NO_AREA] * 2, [10, 4], [9, 0], [NO_AREA] * 2]
    np.testing.assert_array_equal(table.uncertainty, [np.nan, 0.25, 0.5, np.nan])
    session.annotations.set_complete(2, True)
    assert slice_table(session, painted).areas[2].tolist() == [0, 6]


def test_paint_is_counted_anew_after_a_change(session):
    session.annotations.set_complete(0, True)
    painted = PaintedAreas(session)
    assert slice_table(session, painted).areas[0].tolist() == [0, 0]
    session.annotations.paint[0, 0, :] = 1
    session.annotations.touched(0)
    assert slice_table(session, painted).areas[0].tolist() == [8, 0]


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        (("mm",) * 3, (0.2, "mm")),
        (("s", "um", "um"), (0.2, "um")),
        (("pixel",) * 3, (1.0, "")),
        (("mm", "mm", "um"), (1.0, "")),
    ],
)
def test_a_pixel_has_an_area_where_rows_and_columns_share_a_unit(units, expected):
    area = pixel_area(StackInfo((1, 2, 2), spacing=(9.0, 0.5, 0.4), units=units))
    assert area == (pytest.approx(expected[0]), expected[1])


def test_a_pixel_with_askew_edges_has_the_area_of_a_parallelogram():
    affine = ((0, 0, 0.4, 0), (0, 0.3, 0, 0), (1, 0.4, 0, 0), (0, 0, 0, 1))
    right = StackInfo(
        (1, 2, 2), spacing=(1.0, 0.5, 0.4), units=("mm",) * 3, origin=Origin(affine=affine)
    )
    assert pixel_area(right) == (pytest.approx(0.2), "mm")
    affine = ((0, 0, 0.4, 0), (0, 0.3, 0, 0), (1, 0, 0.3, 0), (0, 0, 0, 1))
    askew = replace(right, spacing=(1.0, 0.3, 0.5), origin=Origin(affine=affine))
    assert pixel_area(askew) == (pytest.approx(0.15), "mm")
    affine = ((0, 0, 0.4, 0), (0, 0.3, 0.3, 0), (1, 0, 0, 0), (0, 0, 0, 1))
    askew = replace(right, spacing=(1.0, 0.3, 0.5), origin=Origin(affine=affine))
    assert pixel_area(askew) == (pytest.approx(0.12, rel=1e-4), "mm")
