"""What a zarr array from a stranger may hold: chunks of numbers, and no more of them than it says."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

MAGIC = b"\x28\xb5\x2f\xfd"
_PACKING = {"zstd", "blosc", "gzip", "zlib", "lz4", "bz2", "lzma"}
_SIZES = (0, 2, 4, 8)
"""Bytes of the content size by the two bits that announce it."""


def codec_names(array: Any) -> set[str]:
    """Names of all that a zarr array's chunks go through, its filters among them."""
    content = array.metadata.to_dict()
    found: list[Any] = [*_flat(content.get("codecs")), *(content.get("filters") or ())]
    found.append(content.get("compressor"))
    return {_name(one) for one in found if one is not None}


def _flat(codecs: Any) -> list[Any]:
    """Codecs, and those inside of them (a shard has its own)."""
    found: list[Any] = []
    for one in codecs or ():
        inner = one.get("configuration") if isinstance(one, dict) else None
        inside = inner.get("codecs") if isinstance(inner, dict) else None
        found += [one, *_flat(inside)]
    return found


def check_codecs(array: Any, allowed: Collection[str]) -> None:
    """``ValueError`` where chunks go through anything but ``allowed``; some codecs run code (pickle)."""
    others = codec_names(array) - set(allowed)
    if others:
        raise ValueError(f"it uses {', '.join(sorted(others))}")


def check_no_code(array: Any) -> None:
    """``ValueError`` where reading chunks would unpickle them, or unpack what was packed twice."""
    names = {name.removeprefix("numcodecs.") for name in codec_names(array)}
    if "pickle" in names:
        raise ValueError("it uses pickle, which would run code")
    if len(names & _PACKING) > 1:
        raise ValueError("its chunks are compressed twice")


def zstd_size(start: bytes) -> int | None:
    """Bytes that a Zstandard frame becomes, by the ``start`` of it; None where it does not say, or is none.

    RFC 8878, section 3.1.1.1.
    """
    if len(start) < 6 or start[:4] != MAGIC:
        return None
    descriptor = start[4]
    single = bool(descriptor & 0x20)
    length = _SIZES[descriptor >> 6] or (1 if single else 0)
    at = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    field = start[at : at + length]
    if not length or len(field) < length:
        return None
    return int.from_bytes(field, "little") + (256 if length == 2 else 0)


def _name(codec: Any) -> str:
    if isinstance(codec, dict):
        return str(codec.get("name") or codec.get("id") or "")
    return str(getattr(codec, "codec_id", "") or type(codec).__name__)
