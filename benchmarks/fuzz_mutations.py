"""Damage to files, as an attacker or a bad disk would do it: bytes, numbers in headers, JSON."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 10**6, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
WIDE = (*EXTREMES, 10**12, 2**63 - 1, 2**63, 2**64 - 1)
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2**31, 2**63, 10**30, 1e308, -0.0, float("nan"), float("inf")),
    *("", "x", "../../etc/passwd", "/etc/passwd", "C:\\con", "<img src=x>", "\0", "\ud800"),
    *("A" * 100_000, [], {}, [[]], [1, 2, 3], [None] * 1000, {"id": "pickle"}, {"a": {"a": {}}}),
)
FRONT = 2048
"""Bytes in which most headers lie; they are hit more often than pixels."""


def mutate(content: bytes, rng: random.Random) -> bytes:
    """One to four changes to a file."""
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        if not damaged:
            break
        rng.choice(_CHANGES)(damaged, rng)
    return bytes(damaged)


def mutate_json(text: str, rng: random.Random) -> str:
    """One to three changes to the values of a JSON text, or to its bytes."""
    if rng.random() < 0.15:
        return mutate(text.encode(), rng).decode("utf-8", errors="replace")
    content = json.loads(text)
    for _ in range(rng.choice((1, 1, 2, 3))):
        content = _changed(content, rng)
    deep = "[" * 100_000 if rng.random() < 0.01 else ""
    return deep + json.dumps(content)


def _changed(content: Any, rng: random.Random) -> Any:
    """Another value somewhere in a tree of JSON."""
    if isinstance(content, dict) and content and rng.random() < 0.9:
        key = rng.choice(list(content))
        if rng.random() < 0.1:
            return {name: value for name, value in content.items() if name != key}
        return content | {key: _changed(content[key], rng)}
    if isinstance(content, list) and content and rng.random() < 0.9:
        at = rng.randrange(len(content))
        return [*content[:at], _changed(content[at], rng), *content[at + 1 :]]
    return rng.choice(VALUES)


def _place(content: bytearray, rng: random.Random) -> int:
    front = min(len(content), FRONT)
    return rng.randrange(front if rng.random() < 0.8 else len(content))


def _flip(content: bytearray, rng: random.Random) -> None:
    content[_place(content, rng)] ^= 1 << rng.randrange(8)


def _byte(content: bytearray, rng: random.Random) -> None:
    content[_place(content, rng)] = rng.randrange(256)


def _number(content: bytearray, rng: random.Random) -> None:
    """A whole number, where one may stand."""
    size = rng.choice((2, 4, 4, 8))
    value = rng.choice(WIDE if size == 8 else EXTREMES) % (1 << 8 * size)
    at = _place(content, rng) // 2 * 2
    content[at : at + size] = value.to_bytes(size, rng.choice(("little", "big")))


def _cut(content: bytearray, rng: random.Random) -> None:
    del content[_place(content, rng) :]


def _drop(content: bytearray, rng: random.Random) -> None:
    at = _place(content, rng)
    del content[at : at + rng.randrange(1, 64)]


def _insert(content: bytearray, rng: random.Random) -> None:
    at = _place(content, rng)
    content[at:at] = rng.randbytes(rng.randrange(1, 64))


def _repeat(content: bytearray, rng: random.Random) -> None:
    at, to = _place(content, rng), _place(content, rng)
    content[to:to] = content[at : at + rng.randrange(1, 256)]


_CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_flip, _byte, _byte, _number, _number, _number),
    *(_cut, _drop, _insert, _repeat),
)
