"""The header of an adapter file: its description, and sums that tell whether a byte of the file has changed.

A safetensors file begins with the length of its header, 8 bytes; the header is JSON, and the tensors follow it. Nothing
here needs torch, nor reads the tensors into memory.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from napari_salt.checked import items, whole

if TYPE_CHECKING:
    from napari_salt.model.adapter_info import AdapterInfo

HEADER_KEY = "napari_salt"
DESCRIPTION_SUM, TENSORS_SUM = "description_sha256", "tensors_sha256"
"""SHA-256 of the description, and of all that tells or holds tensors. Older files have neither; no file has one."""
NO_SUM = "0" * 64
_PART = 1 << 20
"""Bytes that are read at once."""
LARGEST_HEADER = 16 * 1024**2
"""Bytes; names of tensors and labels need some kilobytes, and what claims more is not read."""


def read_header(file: BinaryIO, size: int) -> dict[str, Any]:
    """The header of an open safetensors file of ``size`` bytes; ValueError where it has none."""
    start = file.read(8)
    (length,) = struct.unpack("<Q", start) if len(start) == 8 else (size,)
    if length > min(LARGEST_HEADER, size - 8):
        raise ValueError("no header")
    header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("no header")
    return header


def length_of_tensors(header: Mapping[str, Any]) -> int:
    """Bytes of all tensors by the header of a safetensors file, in which they lie without gaps."""
    ends = (
        whole(items(one["data_offsets"], 2, 2)[1], 0)
        for name, one in header.items()
        if name != "__metadata__"
    )
    return max(ends, default=0)


def metadata_of(info: AdapterInfo, tensors_sum: str | None = NO_SUM) -> dict[str, str]:
    """What the header of an adapter file says besides its tensors; `seal` puts their sum in place of ``NO_SUM``.

    ``tensors_sum`` None is that of older files, without sums.
    """
    text = info.to_json()
    if tensors_sum is None:
        return {HEADER_KEY: text}
    own = hashlib.sha256(text.encode()).hexdigest()
    return {HEADER_KEY: text, DESCRIPTION_SUM: own, TENSORS_SUM: tensors_sum}


def seal(file: BinaryIO) -> None:
    """Put the sum of the tensors into the header of a file that was just written; it is open to read and write."""
    header = read_header(file, LARGEST_HEADER)
    found = _tensors_sum(file, header)
    file.seek(0)
    (length,) = struct.unpack("<Q", file.read(8))
    content = file.read(length)
    file.seek(8)
    # with its quotes, which nothing inside the description has
    entry = f'"{TENSORS_SUM}":"{{}}"'
    file.write(content.replace(entry.format(NO_SUM).encode(), entry.format(found).encode(), 1))


def header_with(file: BinaryIO, info: AdapterInfo) -> bytes:
    """The beginning of an open adapter file, up to its tensors, with another description; reads that far.

    Raises ``ValueError`` where it is no adapter.
    """
    header = read_header(file, LARGEST_HEADER)
    kept = header["__metadata__"]
    kept |= metadata_of(info, kept.get(TENSORS_SUM))
    content = json.dumps(header).encode()
    content += b" " * (-len(content) % 8)  # as the format has it
    return struct.pack("<Q", len(content)) + content


def is_as_written(file: BinaryIO, header: Mapping[str, Any], described: Mapping[str, Any]) -> bool:
    """Whether description and tensors, to which ``file`` is read, have the sums that it tells; older ones tell none."""
    sums = described.get(DESCRIPTION_SUM), described.get(TENSORS_SUM)
    if sums == (None, None):
        return True
    own = hashlib.sha256(str(described[HEADER_KEY]).encode("utf-8", "surrogatepass")).hexdigest()
    return sums == (own, _tensors_sum(file, header))


def _tensors_sum(file: BinaryIO, header: Mapping[str, Any]) -> str:
    """SHA-256 of what a header says of its tensors and of the rest of the open file, which holds them."""
    told = {name: one for name, one in header.items() if name != "__metadata__"}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    while part := file.read(_PART):
        digest.update(part)
    return digest.hexdigest()
