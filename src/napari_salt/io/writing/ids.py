"""The ids in a label image, and the smallest type that holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_salt.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_salt.session.stack import ArrayLike

UNSIGNED = ("uint8", "uint16", "uint32")


def largest_id(labels: ArrayLike) -> int:
    """Largest id of a label image ``(N, Y, X)``, read one slice at a time; 0 where there is none.

    Raises
    ------
    InputError
        When values are negative, fractions, or beyond 32 bits: a cast to unsigned would change them.
    """
    largest = 0
    for index in range(labels.shape[0] if labels.shape else 0):
        plane = np.asarray(labels[index])
        if plane.size == 0:
            continue
        low, high = plane.min(), plane.max()
        whole = plane.dtype.kind in "bui" or bool(np.array_equal(plane, np.trunc(plane)))
        if not whole or low < 0 or high >= 2**32:
            raise InputError(
                f"Slice {index} holds values from {low} to {high}, but label ids are whole numbers "
                "from 0 up."
            )
        largest = max(largest, int(high))
    return largest


def smallest_type(largest: int, types: Sequence[str] = UNSIGNED) -> np.dtype[Any]:
    """The first of ``types``, smallest first, that holds ids up to ``largest``.

    Raises
    ------
    InputError
        When none does.
    """
    for name in types:
        if largest <= np.iinfo(name).max:
            return np.dtype(name)
    raise InputError(
        f"Ids go up to {largest}, more than this format holds ({np.iinfo(types[-1]).max}); choose "
        "another format."
    )
