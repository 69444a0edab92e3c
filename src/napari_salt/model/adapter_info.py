"""What an adapter file says about itself; read from its header alone, without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from napari_salt.checked import color, items, number, one_of, text, truth, whole
from napari_salt.errors import AdapterError
from napari_salt.intensity import AUTO
from napari_salt.model.adapter_header import (
    HEADER_KEY,
    is_as_written,
    length_of_tensors,
    read_header,
)
from napari_salt.records import AdapterKind, FitRecord, IntensityChoice, Label

FORMAT = "napari-salt adapter"
FORMAT_VERSION = 2
SUFFIX = ".salt.safetensors"
MOST_LABELS = 4096
MOST_TAPS = 64
MOST_SLICES = 1_000_000
LARGEST_ID = 2**32 - 1
LEAST_SCALE = 1e-9
"""Of a row: the root of one pixel in more than any slice has."""
WIDEST = 1 << 16
"""No rank, no number of channels and no frame is larger."""
LONGEST_PATH = 4096
_UNREADABLE = (AttributeError, KeyError, TypeError, ValueError, RecursionError)
"""What parsing and checking raise on a description that is not one."""


@dataclass(frozen=True)
class AdapterInfo:
    """Everything but the tensors.

    Attributes
    ----------
    labels
        Trained labels, in the order of the head's rows 1, 2, …; row 0 is the background. Their names may have changed
        since.
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
    volume
        Whether the filters look at slices beside as well, see `volume_filters`.
    directions
        Main directions of the taps that the forest sees.
    linear_share
        Part of the probability that the queries decide, 0..1; the forest decides the rest.
    row_scale
        On the painted stack, scale of the probability of background and each label, which add up to one again after
        it; () = all alike.
    areas_told
        Whether the paint tells how large labels are, see `thresholds.areas_told`.
    taps
        Name and channels of each tap of the backbone, in order.
    instruments
        Whether the head for other stacks has learned from what made-up instruments show.
    noise
        That of the painted stack, see `noise.noise_of`; None where it was not measured.
    this_stack_only
        Whether nothing was learned for other stacks; `extend` does that later.
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
    row_scale: tuple[float, ...] = ()
    areas_told: bool = False
    volume: bool = False
    instruments: bool = False
    noise: float | None = None
    this_stack_only: bool = False
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
            return AdapterInfo(**_checked(content))
        except _UNREADABLE as error:
            raise AdapterError(
                "The file's description is damaged or not from napari-salt; choose another adapter."
            ) from error


def _checked(content: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of an `AdapterInfo`, each of its type and within limits; raises as `checked` does."""
    found = dict(content)
    channels = whole(found["channels"], 1, WIDEST)
    found |= {
        "labels": _labels(found["labels"]),
        "kind": one_of(found["kind"], get_args(AdapterKind)),
        "intensity": _intensity(found["intensity"]),
        "rgb": truth(found["rgb"]),
        "along_stack": truth(found["along_stack"]),
        "channels": channels,
        "frame_size": whole(found["frame_size"], 1, WIDEST),
        "directions": whole(found["directions"], 0, WIDEST),
        "zoom": None if found["zoom"] is None else _positive(found["zoom"], 64),
        "fine": _positive(found["fine"], 16),
        "taps": tuple(_tap(tap) for tap in items(found["taps"], MOST_TAPS, 1)),
        "record": record_from(found["record"]),
        "linear_share": number(found.get("linear_share", 0.25), 0, 1),
        "row_scale": tuple(
            number(scale, LEAST_SCALE, 1)
            for scale in items(found.get("row_scale", []), MOST_LABELS + 1)
        ),
        "areas_told": truth(found.get("areas_told", False)),
        "volume": truth(found.get("volume", False)),
        "instruments": truth(found.get("instruments", False)),
        "noise": None if found.get("noise") is None else number(found["noise"], 0),
        "this_stack_only": truth(found.get("this_stack_only", False)),
        "spacing": tuple(number(size) for size in items(found.get("spacing", [1.0] * 3), 3, 3)),
        "units": tuple(text(unit) for unit in items(found.get("units", ["pixel"] * 3), 3, 3)),
    }
    for name in ("rank", "low_rank"):
        found[name] = None if found[name] is None else whole(found[name], 0, WIDEST)
    for name in ("backbone", "architecture", "weights_sha256", "stack"):
        found[name] = text(found[name], LONGEST_PATH)
    if found["text_model"] is not None:
        found["text_model"] = text(found["text_model"], LONGEST_PATH)
    for name in ("created", "version"):
        found[name] = text(found.get(name, ""))
    return found


def _labels(content: object) -> tuple[Label, ...]:
    labels = tuple(_label(one) for one in items(content, MOST_LABELS))
    if len({label.label_id for label in labels}) < len(labels):
        raise ValueError("an id is given twice")
    return labels


def _label(content: Any) -> Label:
    label_id = whole(content["label_id"], 1, LARGEST_ID)
    return Label(label_id, text(content["name"]), color(content["color"]))


def _intensity(content: Any) -> dict[str, Any]:
    """An intensity scale; other entries (``least``, ``most``) are numbers or lists of them."""
    found: dict[str, Any] = {"method": one_of(content["method"], ("percentile", "window"))}
    found |= {name: _numbers(value) for name, value in content.items() if name != "method"}
    ranges = list(zip(found["low"], found["high"], strict=True))
    ranges.append(tuple(found.get("percentiles", (AUTO.low, AUTO.high))))
    if len(ranges) < 2 or not all(low < high for low, high in ranges):
        raise ValueError("range")
    return found


def _numbers(value: object) -> float | list[float]:
    if isinstance(value, list):
        return [number(one) for one in items(value, WIDEST)]
    return number(value)


def _tap(content: object) -> tuple[str, int]:
    name, channels = items(content, 2, 2)
    return text(name), whole(channels, 1, WIDEST)


def _positive(value: object, most: float) -> float:
    return number(value, 1e-6, most)


def record_from(content: dict[str, Any]) -> FitRecord:
    """A `FitRecord` from its fields as JSON keeps them.

    Raises ``KeyError``, ``TypeError`` or ``ValueError`` where they are not those of one.
    """
    fields = dict(content)
    fields |= {
        "kind": one_of(fields["kind"], get_args(AdapterKind)),
        "kept": one_of(fields["kept"], ("first fit", "adapted")),
        "backbone": text(fields["backbone"], LONGEST_PATH),
        "slices": tuple(whole(index, 0) for index in items(fields["slices"], MOST_SLICES)),
        "held_out_by_label": tuple(
            _score(pair) for pair in items(fields["held_out_by_label"], MOST_LABELS)
        ),
        "no_gain": tuple(whole(count, -1) for count in items(fields.get("no_gain", []), 16)),
        "steps": whole(fields["steps"], 0),
        "elsewhere_steps": whole(fields.get("elsewhere_steps", 0), 0),
        "elsewhere_tried": whole(fields.get("elsewhere_tried", 0), 0),
        "elsewhere_asked": whole(fields.get("elsewhere_asked", 0), 0),
        "mixed_at": whole(fields.get("mixed_at", 0), 0),
        "looked_at": whole(fields.get("looked_at", 0), 0),
        "seconds": number(fields["seconds"], 0),
        "trainable_parameters": whole(fields["trainable_parameters"], 0),
        "seed": whole(fields.get("seed", 0), 0),
        "score_note": text(fields.get("score_note", "")),
        "device": text(fields.get("device", "cpu")),
    }
    for name in ("held_out_before", "held_out_after", "elsewhere_before", "elsewhere_after"):
        dice = fields.get(name)
        fields[name] = None if dice is None else number(dice, 0, 1)
    return FitRecord(**fields)


def _score(pair: object) -> tuple[str, float]:
    name, dice = items(pair, 2, 2)
    return text(name), number(dice, 0, 1)


def read_info(path: str | Path) -> AdapterInfo:
    """Description of the adapter file at ``path``, from the safetensors header.

    Raises
    ------
    AdapterError
        The file is missing, cut short, no safetensors file, or not an adapter of napari-salt, or a byte of it is not
        what was written.
    """
    path = Path(path)
    not_ours = AdapterError(
        f"'{path}' is not an adapter of napari-salt; choose a file ending in {SUFFIX}."
    )
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise AdapterError(f"'{path}' is no ordinary file; choose a file ending in {SUFFIX}.")
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            header = read_header(file, size)
            tensors_at = file.tell()
            described = header.get("__metadata__")
            if not isinstance(described, dict) or HEADER_KEY not in described:
                raise not_ours
            as_written = is_as_written(file, header, described)
    except OSError as error:
        raise AdapterError(f"The adapter '{path}' cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise not_ours from error
    if not as_written:
        raise damaged(path)
    info = AdapterInfo.from_json(described[HEADER_KEY])
    try:
        complete = size == tensors_at + length_of_tensors(header)
    except _UNREADABLE as error:
        raise damaged(path) from error
    if not complete:
        raise damaged(path)
    return info


def damaged(path: str | Path) -> AdapterError:
    """The error for an adapter whose description is fine and whose tensors are not."""
    return AdapterError(
        f"The adapter '{path}' is damaged and cannot be read; use another copy of it."
    )
