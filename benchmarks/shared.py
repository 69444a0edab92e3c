"""Work that several runs have in common is done once, and its seconds are charged to every run that uses it.

A run's seconds are its wall time plus what it found ready made, so they say what the method costs by itself, with
nothing kept but the network's weights in memory.

Two places: `Recent` keeps arrays of slices in the memory of one process, `kept` small results of the product's own
code on disk. What lies on disk is found again only by the very same arguments and the very same sources of the
package, so an older state of the code can never answer.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import napari_salt
from napari_salt.model.feature_cache import FeatureCache

HERE = Path(__file__).resolve().parent
FOLDER = Path(os.environ.get("NAPARI_SALT_BENCH_CACHE", HERE / ".cache"))
FEATURES_LIMIT = 24 * 1024**3
MEMORY_LIMIT = 3 * 1024**3
"""Bytes that one process may keep of each kind of array."""

T = TypeVar("T")


class Ledger:
    """Seconds that the running method owes for work which was done before."""

    def __init__(self) -> None:
        self._owed = 0.0

    def charge(self, seconds: float) -> None:
        """Add what ready-made work had cost, less what it cost to find it; negative excuses what is not its own."""
        self._owed += seconds

    def settle(self) -> float:
        """What is owed, and start anew."""
        owed, self._owed = self._owed, 0.0
        return owed

    @property
    def owed(self) -> float:
        return self._owed


LEDGER = Ledger()


class Stopwatch:
    """Seconds of a piece of work, with what it was charged itself."""

    def __init__(self) -> None:
        self._start, self._owed = time.perf_counter(), LEDGER.owed

    def seconds(self) -> float:
        """Wall time since the start plus charges since then."""
        return time.perf_counter() - self._start + LEDGER.owed - self._owed


class Recent:
    """Arrays made lately, by key, up to so many bytes; the least recently used go first."""

    def __init__(self, limit: int = MEMORY_LIMIT) -> None:
        self._limit, self._size = limit, 0
        self._kept: OrderedDict[Any, tuple[float, NDArray[Any]]] = OrderedDict()

    def get(self, key: Any, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """The array of this key, made where it is not there."""
        if key in self._kept:
            self._kept.move_to_end(key)
            seconds, found = self._kept[key]
            LEDGER.charge(seconds)
            return found
        watch = Stopwatch()
        made = make()
        self._kept[key] = (watch.seconds(), made)
        self._size += made.nbytes
        while self._size > self._limit and len(self._kept) > 1:
            _, (_, old) = self._kept.popitem(last=False)
            self._size -= old.nbytes
        return made


def kept(name: str, arguments: Any, make: Callable[[], T]) -> T:
    """What ``make()`` gives for these ``arguments`` by the present sources, from disk where it was made before."""
    made = _stored(name, arguments)
    if made is not None:
        return made[0]
    watch = Stopwatch()
    value = make()
    _store(name, arguments, value, watch.seconds())
    return value


def kept_array(name: str, key: str, make: Callable[[], NDArray[Any]]) -> NDArray[np.float32]:
    """An array by key, in half precision on disk; rounded when it is new as well, so that it is always the same."""
    path = FOLDER / name / f"{key}.npz"
    begun = time.perf_counter()
    if path.is_file():
        with np.load(path) as file:
            found, seconds = file["array"].astype(np.float32), float(file["seconds"])
        LEDGER.charge(seconds - (time.perf_counter() - begun))
        return found
    array = make().astype(np.float16)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part.npz")
    np.savez(part, array=array, seconds=time.perf_counter() - begun)
    part.replace(path)
    return array.astype(np.float32)


def kept_generator(
    name: str, function: Callable[..., Generator[Any, None, T]], context: Any
) -> Callable[..., Generator[Any, None, T]]:
    """A generator function like ``function`` whose returned value is kept; found again, it yields nothing."""

    def run(*args: Any, **options: Any) -> Generator[Any, None, T]:
        told = (context, args, options)
        made = _stored(name, told)
        if made is not None:
            return made[0]
        watch = Stopwatch()
        value = yield from function(*args, **options)
        _store(name, told, value, watch.seconds())
        return value

    return run


def _stored(name: str, arguments: Any) -> tuple[Any] | None:
    begun = time.perf_counter()
    path = _path(name, arguments)
    if not path.is_file():
        return None
    # our own files in our own folder, so unpickling is as safe as importing this module
    value, seconds = pickle.loads(path.read_bytes())
    LEDGER.charge(seconds - (time.perf_counter() - begun))
    return (value,)


def _store(name: str, arguments: Any, value: Any, seconds: float) -> None:
    path = _path(name, arguments)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(pickle.dumps((value, seconds)))
    part.replace(path)


def _path(name: str, arguments: Any) -> Path:
    return FOLDER / name / f"{digest((sources(), arguments))}.pickle"


class TimedCache(FeatureCache):
    """Activations on disk that remember what each had cost."""

    def __init__(self) -> None:
        super().__init__(FOLDER, FEATURES_LIMIT)
        self._begun: dict[str, float] = {}

    def get(self, key: str, device: torch.device) -> Any:
        """As in `FeatureCache`, charging the seconds that the activations had cost."""
        begun = time.perf_counter()
        found = super().get(key, device)
        cost = self._cost(key)
        if found is None or not cost.is_file():
            self._begun[key] = begun
            return None
        LEDGER.charge(float(cost.read_text()) - (time.perf_counter() - begun))
        return found

    def put(self, key: str, activations: Any) -> None:
        """As in `FeatureCache`; the seconds are those since the activations were asked for."""
        seconds = time.perf_counter() - self._begun.pop(key, time.perf_counter())
        cost = self._cost(key)
        cost.parent.mkdir(parents=True, exist_ok=True)
        part = cost.with_suffix(f".{os.getpid()}.part")
        part.write_text(f"{seconds:.4f}")
        part.replace(cost)
        super().put(key, activations)

    def _cost(self, key: str) -> Path:
        return FOLDER / "seconds" / f"{key}.txt"


@lru_cache(maxsize=1)
def sources() -> str:
    """Hash of the package's sources: what decides a result besides the arguments."""
    root = Path(napari_salt.__file__).parent
    return digest({str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*.py"))})


def digest(value: Any) -> str:
    """Hash of plain values, arrays, tensors, and containers and dataclasses of them; TypeError for anything else."""
    found = hashlib.blake2b(digest_size=16)
    _feed(found, value)
    return found.hexdigest()


def _feed(found: Any, value: Any) -> None:
    found.update(f"{type(value).__name__}:".encode())
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if value is None or isinstance(value, bool | int | float | str):
        found.update(f"{value!r};".encode())
    elif isinstance(value, bytes):
        found.update(f"{len(value)};".encode() + value)
    elif isinstance(value, np.ndarray):
        found.update(f"{value.dtype}{value.shape};".encode())
        found.update(np.ascontiguousarray(value).data)
    elif isinstance(value, slice):
        _feed(found, (value.start, value.stop, value.step))
    elif isinstance(value, Mapping):
        found.update(f"{len(value)};".encode())
        for key in value:
            _feed(found, key)
            _feed(found, value[key])
    elif isinstance(value, Sequence):
        found.update(f"{len(value)};".encode())
        for one in value:
            _feed(found, one)
    elif is_dataclass(value) and not isinstance(value, type):
        _feed(found, {field.name: getattr(value, field.name) for field in fields(value)})
    else:
        raise TypeError(f"{type(value).__name__} has no digest")
