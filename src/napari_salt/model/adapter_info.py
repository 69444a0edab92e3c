"""What an adapter file says about itself; read from its header alone, without torch."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from napari_salt.errors import AdapterError
from napari_salt.intensity import AUTO
from napari_salt.records import AdapterKind, FitRecord, IntensityChoice, Label

FORMAT = "napari-salt adapter"
FORMAT_VERSION = 2
HEADER_KEY = "napari_salt"
SUFFIX = ".salt.safetensors"
LARGEST_HEADER = 100_000_000
"""Bytes; the limit of the safetensors format itself."""


@dataclass(frozen=True)
class AdapterInfo:
    """Everything but the tensors.

    Attributes
    ----------
    labels
        Trained labels, in the order of the head's rows 1, 2, …; row 0 is the background.
    backbone, architecture, weights_sha256
        Name of the base weights, network they belong to, and hash of their file.
    kind, rank, low_rank
        Adapter method and its sizes; None = the default of that kind.
    intensity
        Method and values (``low``, ``high`` per channel) of the stack it was trained on; for percentiles which
        (``percentiles``), for a window the extremes of that stack (``least``, ``most``). Percentiles are measured anew
        on another stack; a window is kept.
    stack
        `fingerprint` of the stack it was trained on.
    channels, rgb
        What planes it takes.
    frame_size, zoom, fine
        Framing; ``zoom`` is None where a slice fills one frame, ``fine`` is in detail pixels per network pixel.
    along_stack
        Whether the position of a slice in its stack is one of the features.
    directions
        Main directions of the taps that the forest sees.
    linear_share
        Part of the probability that the queries decide, 0..1; the forest decides the rest.
    taps
        Name and channels of each tap of the backbone, in order.
    text_model
        None = the embedded one.
    record
        How it came to be.
    created
        ISO 8601, UTC.
    """

    labels: tuple[Label, ...]
    backbone: str
    architecture: str
    weights_sha256: str
    kind: AdapterKind
    rank: int | None
    low_rank: int | None
    intensity: dict[str, Any]
    stack: str
    channels: int
    rgb: bool
    frame_size: int
    zoom: float | None
    fine: float
    along_stack: bool
    directions: int
    taps: tuple[tuple[str, int], ...]
    text_model: str | None
    record: FitRecord
    linear_share: float = 0.25
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    units: tuple[str, str, str] = ("pixel", "pixel", "pixel")
    created: str = ""
    version: str = ""
    format_version: int = field(default=FORMAT_VERSION)

    @property
    def intensity_choice(self) -> IntensityChoice:
        """The setting that ``intensity`` came from."""
        kept = self.intensity
        if kept["method"] == "window":
            return IntensityChoice("window", kept["low"][0], kept["high"][0])
        low, high = kept.get("percentiles", (AUTO.low, AUTO.high))
        return IntensityChoice("percentile", low, high)

    def to_json(self) -> str:
        """The text that the file's header keeps."""
        return json.dumps({"format": FORMAT, **asdict(self)})

    @staticmethod
    def from_json(text: str) -> AdapterInfo:
        """Inverse of `to_json`; AdapterError when it is not ours or of a later version."""
        try:
            content = json.loads(text)
            if content.pop("format") != FORMAT:
                raise KeyError("format")
            if content["format_version"] > FORMAT_VERSION:
                raise AdapterError(
                    "This adapter was written by a later napari-salt; update with "
                    "'pip install -U napari-salt'."
                )
            if content["format_version"] < FORMAT_VERSION:
                raise AdapterError(
                    "This adapter was written by an earlier napari-salt and cannot be read any more; "
                    "adapt again from your paint."
                )
            if not 0 <= content.get("linear_share", 0) <= 1:
                raise ValueError("linear_share")
            _check_intensity(content["intensity"])
            content["labels"] = tuple(
                Label(one["label_id"], one["name"], tuple(one["color"]))
                for one in content["labels"]
            )
            content["record"] = record_from(content["record"])
            content["taps"] = tuple(map(tuple, content["taps"]))
            content["spacing"], content["units"] = (
                tuple(content["spacing"]),
                tuple(content["units"]),
            )
            return AdapterInfo(**content)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise AdapterError(
                "The file's description is damaged or not from napari-salt; choose another adapter."
            ) from error


def _check_intensity(content: dict[str, Any]) -> None:
    """Raise ``KeyError``, ``TypeError`` or ``ValueError`` where it does not tell an intensity scale."""
    if content["method"] not in ("percentile", "window"):
        raise ValueError("method")
    ranges = list(zip(content["low"], content["high"], strict=True))
    ranges.append(tuple(content.get("percentiles", (AUTO.low, AUTO.high))))
    if len(ranges) < 2 or not all(-math.inf < low < high < math.inf for low, high in ranges):
        raise ValueError("range")


def record_from(content: dict[str, Any]) -> FitRecord:
    """A `FitRecord` from its fields as JSON keeps them.

    Raises ``KeyError``, ``TypeError`` or ``ValueError`` where they are not those of one.
    """
    fields = dict(content)
    fields["slices"] = tuple(map(int, fields["slices"]))
    fields["held_out_by_label"] = tuple(
        (str(name), float(dice)) for name, dice in fields["held_out_by_label"]
    )
    fields["no_gain"] = tuple(map(int, fields.get("no_gain", ())))
    return FitRecord(**fields)


def read_info(path: str | Path) -> AdapterInfo:
    """Description of the adapter file at ``path``, from the safetensors header.

    Raises
    ------
    AdapterError
        The file is missing, no safetensors file, or not an adapter of napari-salt.
    """
    path = Path(path)
    not_ours = AdapterError(
        f"'{path}' is not an adapter of napari-salt; choose a file ending in {SUFFIX}."
    )
    try:
        with path.open("rb") as file:
            start = file.read(8)
            if len(start) < 8:
                raise not_ours
            (length,) = struct.unpack("<Q", start)
            if length > LARGEST_HEADER:
                raise not_ours
            header = json.loads(file.read(length))
    except OSError as error:
        raise AdapterError(f"The adapter '{path}' cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise not_ours from error
    described = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(described, dict) or HEADER_KEY not in described:
        raise not_ours
    return AdapterInfo.from_json(described[HEADER_KEY])
