"""Change constants of the package for one run, by dotted name, and put them back.

A name that does not exist is refused, so that a variant never tests nothing because the code has moved on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

ITEM = re.compile(r"^(?P<name>.*)\[(?P<key>[^\[\]]+)\]$")
BACKBONES = "napari_salt.model.backbones."


class UnknownName(LookupError):
    """A constant that the package does not have."""


@dataclass(frozen=True)
class Times:
    """The present value times a factor."""

    factor: float

    def __call__(self, present: Any) -> Any:
        """The new value; of a mapping, of each of its values."""
        if isinstance(present, Mapping):
            return {key: value * self.factor for key, value in present.items()}
        return present * self.factor


@contextmanager
def override(name: str, value: Any) -> Iterator[None]:
    """Set ``package.module.NAME`` or ``package.module.NAME[key]`` to ``value`` while the context lasts.

    `Times` multiplies what is there. The value must be of the kind of the present one (a number for a
    number, a function for a function), so that a constant that has become something else is noticed.
    """
    match = ITEM.match(name)
    owner, attribute = _find(match["name"] if match else name)
    present = getattr(owner, attribute)
    if match:
        new, old = dict(present), present[_checked_key(present, match["key"], name)]
        new[match["key"]] = _new(name, old, value)
    else:
        new = _new(name, present, value)
    setattr(owner, attribute, new)
    try:
        yield
    finally:
        setattr(owner, attribute, present)


@contextmanager
def override_all(changes: Mapping[str, Any]) -> Iterator[None]:
    """`override` of several names; a backbone in memory is loaded anew where its constants are among them."""
    cut = any(name.startswith(BACKBONES) for name in changes)
    with ExitStack() as stack:
        for name, value in changes.items():
            stack.enter_context(override(name, value))
        try:
            if cut:
                _forget()
            yield
        finally:
            if cut:
                _forget()


def check(changes: Mapping[str, Any]) -> None:
    """`UnknownName` for the first name that does not exist."""
    with ExitStack() as stack:
        for name, value in changes.items():
            stack.enter_context(override(name, value))


def _find(name: str) -> tuple[Any, str]:
    """The module or class that holds the last part of a dotted name, and that part."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            owner = import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:-1]:
            owner = getattr(owner, part, None)
        if hasattr(owner, parts[-1]):
            return owner, parts[-1]
        break
    raise UnknownName(f"there is no {name}: name it anew, or drop the variant")


def _checked_key(present: Any, key: str, name: str) -> str:
    if not isinstance(present, Mapping) or key not in present:
        raise UnknownName(f"there is no {name}: name it anew, or drop the variant")
    return key


def _new(name: str, present: Any, value: Any) -> Any:
    new = value(present) if isinstance(value, Times) else value
    number = isinstance(present, int | float) and not isinstance(present, bool)
    fits = isinstance(new, int | float) if number else isinstance(new, type(present))
    if callable(present) and not isinstance(present, type):
        fits = isinstance(new, Callable)
    if present is not None and not fits:
        raise UnknownName(f"{name} is a {type(present).__name__} now, not a {type(new).__name__}")
    return new


def _forget() -> None:
    """Drop the backbone in memory: where it is cut is decided when it is loaded."""
    registry = import_module("napari_salt.model.backbones.registry")
    registry._kept.cache_clear()
