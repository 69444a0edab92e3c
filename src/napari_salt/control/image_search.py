"""Finds the image that a session was painted on, after both may have moved. No Qt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_salt import wording
from napari_salt.errors import ChoiceNeeded, InputError
from napari_salt.io.identity import identity
from napari_salt.io.opening import Wanted, open_path

if TYPE_CHECKING:
    from napari_salt.control.desk import Desk
    from napari_salt.geometry import Place
    from napari_salt.io.opened import Opened
    from napari_salt.io.session_state import SessionState
    from napari_salt.session.stack import Stack

ANY_FILE = "All files (*)"


def find_image(desk: Desk, state: SessionState, folder: Path) -> Place | None:
    """Image and level in the viewer with the pixels of a session, opened where need be; None where it is not found.

    Looked for in this order: images of the viewer, channels of it seen together, the path it was read from, a file of
    that name beside the session ``folder``; then the user is asked. A file only counts when its pixels are the same.

    Raises
    ------
    InputError
        The file that the user has chosen cannot be read, or holds another image.
    """
    images = desk.link.images
    for entry in images.entries():
        with suppress(InputError):  # images that make no stack are none of ours
            place = _place_of(desk, entry.key, state)
            if place is not None:
                return place
    if state.stack.channels > 1 and not state.stack.rgb:
        key = desk.link.join_like(lambda stack: _is_it(stack, state))
        if key is not None:
            return images.place(key)
    for path in _likely(state, folder):
        try:
            opened = _matching(_opened(path), state)
        except InputError:
            continue
        if opened is not None:
            return _place_of(desk, desk.link.add_image(opened), state)
    return _ask(desk, state)


def _place_of(desk: Desk, key: str, state: SessionState) -> Place | None:
    """The level of an image that has the pixels of a session; the one worked at comes first."""
    images = desk.link.images
    place = images.place(key)
    levels = [images.at_level(place, level) for level in range(len(images.levels(place)))]
    each = (one for one in (place, *levels) if _is_it(images.open_stack(one), state))
    return next(each, None)


def _ask(desk: Desk, state: SessionState) -> Place | None:
    name = f"“{state.stack.name}” ({wording.facts(state.stack)})"
    path = desk.view.ask_open(f"Where is the image {name}?", ANY_FILE)
    if path is None:
        return None
    opened = list(_opened(path))
    found = _matching(opened, state)
    if found is None:
        alone = opened[0].stack().info if len(opened) == 1 else state.stack
        raise InputError(
            f"{path.name} is not {name}: it {wording.difference(alone, state.stack)}; choose another file."
        )
    return _place_of(desk, desk.link.add_image(found), state)


def _likely(state: SessionState, folder: Path) -> Iterator[Path]:
    """Where the image may lie: where it was, or moved together with the session."""
    if state.stack.origin.path:
        was = Path(state.stack.origin.path)
        yield from (path for path in (was, folder.parent / was.name) if path.exists())


def _opened(path: Path) -> Iterator[Opened]:
    """The image at a path, or all of them where there are several."""
    try:
        yield open_path(path)
    except ChoiceNeeded as needed:
        yield from (open_path(one.path, Wanted(series=one.series)) for one in needed.choices)


def _matching(found: Iterable[Opened], state: SessionState) -> Opened | None:
    """The image that has the pixels of a session, at one of its levels; None where none has."""
    return next((one for one in found if any(_is_it(stack, state) for stack in _levels(one))), None)


def _levels(opened: Opened) -> Iterator[Stack]:
    """Pixels of an image, then of its coarser levels, as a session may have been painted on one of them."""
    yield opened.stack()
    for data in opened.pyramid[1:]:
        yield replace(opened, data=data).stack()


def _is_it(stack: Stack, state: SessionState) -> bool:
    return stack.info.shape == state.stack.shape and state.is_of(identity(stack))
