"""Paint that came without a stroke: a script has written into the array of the paint layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_salt.session.annotations import Annotations

MOST_BYTES = 2**28
"""Of paint that is looked through, which takes some hundredths of a second; of more nobody looks."""


def notice(annotations: Annotations) -> None:
    """Have all slices counted that carry paint and were taken to have none."""
    paint, known = annotations.paint, set(annotations.painted_slices())
    if paint.nbytes > MOST_BYTES:
        return
    for index, plane in enumerate(paint):
        if index not in known and plane.any():
            annotations.touched(index)
