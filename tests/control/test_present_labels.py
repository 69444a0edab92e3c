"""What was predicted, once some of its labels are deleted."""

from __future__ import annotations

import numpy as np

from napari_salt.control.present_labels import only_present, table_of
from napari_salt.records import SlicePrediction, SliceSummary


def test_a_label_that_is_deleted_is_predicted_nowhere():
    labels = np.array([[0, 1, 2], [300, 2, 65535]], np.uint16)
    summary = SliceSummary(4, 0.3, {1: 1, 2: 2, 300: 1}, {1: 0.1, 2: 0.2, 300: 0.5})
    found = only_present(
        SlicePrediction(4, labels, labels.astype(np.float16), summary, provisional=True),
        (1, 300),
    )
    np.testing.assert_array_equal(found.labels, [[0, 1, 0], [300, 0, 0]])
    assert found.labels.dtype == np.uint16
    assert found.summary.areas == {1: 1, 300: 1}
    assert found.summary.label_uncertainty == {1: 0.1, 300: 0.5}
    assert (found.index, found.summary.uncertainty, found.provisional) == (4, 0.3, True)
    np.testing.assert_array_equal(
        labels, [[0, 1, 2], [300, 2, 65535]], "what came is left as it was"
    )


def test_without_labels_nothing_is_predicted():
    assert not table_of(()).any()
    assert table_of((65535,))[65535] == 65535
