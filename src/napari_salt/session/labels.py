"""The labels of a session: ids that never change, names, colours."""

from __future__ import annotations

import colorsys
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace

from psygnal import Signal

from napari_salt.checked import is_plain, name_key
from napari_salt.errors import InputError
from napari_salt.records import BACKGROUND, BACKGROUND_NAME, UNLABELLED, Color, Label

MAX_LABEL_ID = 65535
"""Largest id that paint (uint16) can hold."""

LONGEST_NAME = 200
"""Characters; longer ones are a mistake, and fit no table and no file name."""

LONGEST_IN_SENTENCE = 40
"""Characters of a name in a hint or a reason."""

_UNSEEN = ("Cf", "Mn", "Zs")
"""Unicode categories of what shows nothing by itself: spaces without width, marks that turn the direction of text."""

OKABE_ITO: tuple[Color, ...] = (
    (0.902, 0.624, 0.000, 1.0),  # orange
    (0.337, 0.706, 0.914, 1.0),  # sky blue
    (0.000, 0.620, 0.451, 1.0),  # bluish green
    (0.941, 0.894, 0.259, 1.0),  # yellow
    (0.800, 0.475, 0.655, 1.0),  # reddish purple
    (0.835, 0.369, 0.000, 1.0),  # vermillion
    (0.000, 0.447, 0.698, 1.0),  # blue
)
"""Okabe and Ito's palette for colour-blind readers (Wong, Nature Methods 8:441, 2011), without its
black, which cannot be seen on a dark image; bright colours first."""

TOL_WINE: Color = (0.533, 0.133, 0.333, 1.0)
"""Of Paul Tol's "muted" scheme (SRON/EPS/TN/09-002, 2021): dark where the others are bright."""

PALETTE: tuple[Color, ...] = (*OKABE_ITO, TOL_WINE)
"""Colours of the first labels: any two stay apart for colour-blind eyes too."""

_GOLDEN = 0.61803398875
"""Steps of the golden ratio spread hues evenly however many there are."""


class LabelTable:
    """Ordered table of labels; every change is told by a signal of its own, then by ``changed``.

    Parameters
    ----------
    labels
        Labels to start with; their ids and names must be usable and distinct.
    next_id
        Lowest id that was never given away, so that a table that is read back does not reuse the id
        of a label removed earlier.
    """

    added = Signal(Label)
    renamed = Signal(Label)
    recoloured = Signal(Label)
    removed = Signal(Label)
    changed = Signal()

    def __init__(self, labels: Iterable[Label] = (), *, next_id: int = 1) -> None:
        self._labels: dict[int, Label] = {}
        self._next_id = _skip_reserved(next_id)
        for label in labels:
            self._insert(label.label_id, self._usable_name(label.name), label.color)

    @property
    def next_id(self) -> int:
        """Id that the next label gets; ids are never given away twice."""
        return self._next_id

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids in the order of the table."""
        return tuple(self._labels)

    @property
    def names(self) -> dict[int, str]:
        """Name of every id."""
        return {label.label_id: label.name for label in self}

    def __len__(self) -> int:
        """Number of labels; background is not one."""
        return len(self._labels)

    def __iter__(self) -> Iterator[Label]:
        """Labels in the order they were added."""
        return iter(tuple(self._labels.values()))

    def __contains__(self, label_id: object) -> bool:
        """Whether an id is that of a label."""
        return label_id in self._labels

    def __getitem__(self, label_id: int) -> Label:
        """The label of an id; InputError when there is none."""
        try:
            return self._labels[label_id]
        except KeyError:
            raise InputError(
                f"There is no label with id {label_id}; {self._known_ids()}."
            ) from None

    def by_name(self, name: str) -> Label | None:
        """The label of a name, ignoring case and outer blanks; None when there is none."""
        key = name_key(name)
        return next((label for label in self if name_key(label.name) == key), None)

    def add(self, name: str, color: Color | None = None, *, label_id: int | None = None) -> Label:
        """Add a label with the next free id, or with ``label_id`` (of an adapter, say).

        Raises
        ------
        InputError
            When the name is empty, reserved, or taken, or the id is taken or reserved.
        """
        usable = self._usable_name(name)
        label = self._insert(
            self._next_id if label_id is None else label_id,
            usable,
            self._free_color() if color is None else color,
        )
        self.added.emit(label)
        self.changed.emit()
        return label

    def rename(self, label_id: int, name: str) -> Label:
        """Give a label another name; silent when it is the same."""
        before = self[label_id]
        after = replace(before, name=self._usable_name(name, besides=label_id))
        if after == before:
            return before
        self._labels[label_id] = after
        self.renamed.emit(after)
        self.changed.emit()
        return after

    def recolour(self, label_id: int, color: Color) -> Label:
        """Give a label another colour; silent when it is the same."""
        before = self[label_id]
        after = replace(before, color=_usable_color(color))
        if after == before:
            return before
        self._labels[label_id] = after
        self.recoloured.emit(after)
        self.changed.emit()
        return after

    def remove(self, label_id: int) -> Label:
        """Take a label out; its id is never given to another one."""
        label = self[label_id]
        del self._labels[label_id]
        self.removed.emit(label)
        self.changed.emit()
        return label

    def replace(self, labels: Iterable[Label], *, next_id: int = 1) -> None:
        """Hold other labels instead; told by ``changed`` alone, since none of them was removed by the user.

        Raises ``InputError``, and keeps what was there, when they cannot be a table.
        """
        other = LabelTable(labels, next_id=next_id)
        self._labels, self._next_id = other._labels, other._next_id
        self.changed.emit()

    def _insert(self, label_id: int, name: str, color: Color) -> Label:
        if label_id in self._labels or label_id in (UNLABELLED, BACKGROUND):
            raise InputError(f"Label id {label_id} is taken; choose another one.")
        if not 1 <= label_id <= MAX_LABEL_ID:
            raise InputError(
                f"Label id {label_id} is out of range; ids go from 1 to {MAX_LABEL_ID}."
            )
        label = Label(label_id, name, _usable_color(color))
        self._labels[label_id] = label
        self._next_id = _skip_reserved(max(self._next_id, label_id + 1))
        return label

    def _usable_name(self, name: str, *, besides: int | None = None) -> str:
        usable = " ".join("".join(sign if is_plain(sign) else " " for sign in name).split())
        if all(unicodedata.category(sign) in _UNSEEN for sign in usable):
            raise InputError("A label needs a name; type what it is, like “nucleus”.")
        if len(usable) > LONGEST_NAME:
            raise InputError(
                f"A label's name has at most {LONGEST_NAME} characters; shorten “{shortened(usable)}”."
            )
        if name_key(usable) == BACKGROUND_NAME:
            raise InputError(
                f"“{BACKGROUND_NAME}” is there already, for what is none of the labels; "
                "choose another name."
            )
        other = self.by_name(usable)
        if other is not None and other.label_id != besides:
            raise InputError(f"There is a label “{other.name}” already; choose another name.")
        return usable

    def _free_color(self) -> Color:
        used = {label.color for label in self}
        return next(color for color in _colors() if color not in used)

    def _known_ids(self) -> str:
        if not self._labels:
            return "add a label first"
        return "the ids are " + ", ".join(str(label_id) for label_id in self._labels)


def shortened(name: str) -> str:
    """A name for use inside a sentence, which a long one would push everything below down with."""
    return (
        name if len(name) <= LONGEST_IN_SENTENCE else f"{name[: LONGEST_IN_SENTENCE - 1].rstrip()}…"
    )


def _skip_reserved(label_id: int) -> int:
    return label_id + 1 if label_id in (UNLABELLED, BACKGROUND) else label_id


def _usable_color(color: Color) -> Color:
    parts = tuple(float(part) for part in color)
    if len(parts) == 3:
        parts = (*parts, 1.0)
    if len(parts) != 4 or not all(0.0 <= part <= 1.0 for part in parts):
        raise InputError("A colour is red, green, blue and alpha, each from 0 to 1.")
    return (parts[0], parts[1], parts[2], parts[3])


def _colors() -> Iterator[Color]:
    """The palette, then generated colours without end."""
    yield from PALETTE
    place = 0
    while True:
        hue = (0.11 + place * _GOLDEN) % 1.0
        lightness = (0.62, 0.46, 0.76)[place % 3]
        red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.75)
        yield (round(red, 3), round(green, 3), round(blue, 3), 1.0)
        place += 1
