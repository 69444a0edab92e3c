"""What a session folder says about a session besides its paint: records to JSON and back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, get_args

from napari_salt import checked
from napari_salt.errors import InputError
from napari_salt.intensity import AUTO, check_choice
from napari_salt.io.file_names import safe_file_name
from napari_salt.model.adapter_info import LONGEST_PATH, record_from
from napari_salt.records import (
    AdapterKind,
    FitSettings,
    IntensityChoice,
    Label,
    Origin,
    Round,
    StackInfo,
)

FORMAT = "napari-salt session"
VERSION = 5
"""Version of the schema; a later one is refused, an earlier one is brought up to date by `MIGRATIONS`."""
MOST_EARLIER = 16
"""Images that were replaced are kept in mind, at most: the first, and the newest of the others."""
DAMAGED = "The session is damaged and cannot be read; use another copy of its folder."


def _with_intensity(content: dict[str, Any]) -> dict[str, Any]:
    """Before version 2 intensities could not be chosen."""
    return content | {"settings": content["settings"] | {"intensity": asdict(AUTO)}}


def _with_agreement(content: dict[str, Any]) -> dict[str, Any]:
    """Before version 3 nothing was kept of what levels of an image have in common."""
    return {"agreed": None} | content


def _with_earlier(content: dict[str, Any]) -> dict[str, Any]:
    """Before version 4 a session belonged to the pixels that it was begun on."""
    return {"earlier": []} | content


def _with_changed(content: dict[str, Any]) -> dict[str, Any]:
    """Before version 5 it was not kept what is new since the newest round: at least what that has not seen."""
    rounds = content["rounds"]
    learned = rounds[-1]["record"]["slices"] if rounds else []
    return {"changed": [index for index in content["painted"] if index not in learned]} | content


MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: _with_intensity,
    2: _with_agreement,
    3: _with_earlier,
    4: _with_changed,
}
"""By the version that it takes; each makes the content of the next version."""

_MARK = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class AgreedState:
    """What a session and those at other levels of its image agreed on, see `session.agreement`.

    Attributes
    ----------
    mark
        16 hexadecimal digits, the same in all folders that said the same then.
    changed
        Slices whose paint or tick has changed since; their paint then lies in the folder.
    complete
        Slices that were complete then.
    relabelled
        Whether labels have changed since.
    """

    mark: str
    changed: tuple[int, ...] = ()
    complete: tuple[int, ...] = ()
    relabelled: bool = False


@dataclass(frozen=True)
class SessionState:
    """A session without its paint and its stack's pixels.

    Attributes
    ----------
    stack
        Geometry of the stack.
    identity
        What `io.identity.identity` says of the stack's pixels.
    labels, next_id
        The label table, see `session.labels.LabelTable`.
    painted, complete, skipped
        Slice indices, rising; painted ones have paint or are complete.
    rounds, active
        Rounds with the file names of their adapters; number of the one in use.
    adapter
        File name of the adapter in use where no round has made it; else None.
    agreed
        What it has in common with sessions at other levels of its image; None for nothing.
    earlier
        Identities of the pixels that the image held before they were replaced, oldest first.
    changed
        Slices whose paint or tick has changed after the newest round had taken its copy, rising.
    """

    stack: StackInfo
    identity: str
    labels: tuple[Label, ...] = ()
    next_id: int = 1
    painted: tuple[int, ...] = ()
    complete: tuple[int, ...] = ()
    skipped: tuple[int, ...] = ()
    rounds: tuple[Round, ...] = ()
    active: int | None = None
    adapter: str | None = None
    settings: FitSettings = field(default_factory=FitSettings)
    agreed: AgreedState | None = None
    earlier: tuple[str, ...] = ()
    changed: tuple[int, ...] = ()

    def is_of(self, identity: str) -> bool:
        """Whether the stack of that identity is the one that was painted on, now or before its pixels were replaced."""
        return identity in (self.identity, *self.earlier)

    def after(self, before: SessionState) -> SessionState:
        """This state, which takes the place of ``before`` and keeps in mind which pixels that was painted on."""
        known = dict.fromkeys((*before.earlier, before.identity))
        earlier = tuple(one for one in known if one != self.identity)
        return replace(self, earlier=earlier[:1] + earlier[1:][-(MOST_EARLIER - 1) :])

    def to_json(self) -> str:
        """JSON text; the inverse of `from_json`."""
        return json.dumps({"format": FORMAT, "version": VERSION, **asdict(self)}, indent=1)

    @staticmethod
    def from_json(text: str) -> SessionState:
        """Read and check; InputError where it is no session, damaged, or of a later version."""
        try:
            content = json.loads(text)
            if content.pop("format") != FORMAT:
                raise KeyError("format")
            version = content.pop("version")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(DAMAGED) from error
        if type(version) is not int or version > VERSION:
            raise InputError(
                "This session was saved by a later napari-salt; update with 'pip install -U napari-salt'."
            )
        try:
            while version < VERSION:
                content, version = MIGRATIONS[version](content), version + 1
            return _state(content)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise InputError(DAMAGED) from error


def _state(content: dict[str, Any]) -> SessionState:
    if set(content) != {one.name for one in fields(SessionState)}:
        raise KeyError("fields")
    stack = dict(content["stack"])
    shape = tuple(_whole(length, 1) for length in stack["shape"])
    spacing = tuple(float(size) for size in stack["spacing"])
    units = tuple(_text(unit) for unit in stack["units"])
    stack |= {
        "shape": shape,
        "spacing": spacing,
        "units": units,
        "channels": _whole(stack["channels"], 1),
        "name": _text(stack["name"]),
        "dtype": _text(stack["dtype"]),
        "origin": _origin(stack.get("origin", {})),
    }
    if (len(shape), len(spacing), len(units)) != (3, 3, 3):
        raise ValueError("axes")
    count = shape[0]
    return SessionState(
        stack=StackInfo(**stack),
        identity=_text(content["identity"]),
        labels=tuple(
            Label(_whole(one["label_id"], 1), _text(one["name"]), _color(one["color"]))
            for one in content["labels"]
        ),
        next_id=_whole(content["next_id"], 1),
        painted=_slices(content["painted"], count),
        complete=_slices(content["complete"], count),
        skipped=_slices(content["skipped"], count),
        rounds=tuple(_round(one) for one in content["rounds"]),
        active=None if content["active"] is None else _whole(content["active"], 1),
        adapter=None if content["adapter"] is None else adapter_name(content["adapter"]),
        settings=_settings(content["settings"]),
        agreed=None if content["agreed"] is None else _agreed(content["agreed"], count),
        earlier=tuple(_text(one) for one in content["earlier"]),
        changed=_slices(content["changed"], count),
    )


def _agreed(content: dict[str, Any], count: int) -> AgreedState:
    if _MARK.fullmatch(_text(content["mark"])) is None:
        raise ValueError("no mark")
    return AgreedState(
        content["mark"],
        _slices(content["changed"], count),
        _slices(content["complete"], count),
        checked.truth(content["relabelled"]),
    )


def _settings(content: dict[str, Any]) -> FitSettings:
    """Each field of its type: widgets and the engine take them as they are."""
    found = dict(content)
    found["kind"] = checked.one_of(found.get("kind", "salt"), get_args(AdapterKind))
    found["seed"] = checked.whole(found.get("seed", 0), 0)
    found["intensity"] = _intensity(found["intensity"])
    for name in ("backbone", "device", "text_model"):
        if found.get(name) is not None or name != "text_model":
            found[name] = checked.text(found[name], LONGEST_PATH)
    for name in ("rank", "low_rank", "steps"):
        if found.get(name) is not None:
            found[name] = checked.whole(found[name], 0)
    found["other_stacks"] = checked.truth(found.get("other_stacks", True))
    if found.get("time_budget") is not None:
        found["time_budget"] = checked.number(found["time_budget"], 0)
    return FitSettings(**found)


def _intensity(content: dict[str, Any]) -> IntensityChoice:
    choice = IntensityChoice(
        checked.one_of(content["method"], ("percentile", "window")),
        checked.number(content["low"]),
        checked.number(content["high"]),
    )
    try:
        return check_choice(choice)
    except InputError as error:
        raise ValueError("intensity") from error


def _origin(content: dict[str, Any]) -> Origin:
    """Empty for sessions saved before images told where they come from."""
    affine = content.get("affine")
    rows = None if affine is None else tuple(_row(row) for row in affine)
    if rows is not None and len(rows) != 4:
        raise ValueError("affine")
    level = _whole(content.get("level", 0), 0)
    path, format_ = (_text(content.get(key, "")) for key in ("path", "format"))
    placed = content.get("placed", True) is not False
    along, down, across = (checked.number(one) for one in content.get("offset", (0.0, 0.0, 0.0)))
    return Origin(path, format_, rows, level, placed, (along, down, across))


def _row(numbers: list[float]) -> tuple[float, float, float, float]:
    first, second, third, fourth = (float(number) for number in numbers)
    return first, second, third, fourth


def adapter_name(name: object) -> str:
    """A file name without any way out of its folder; ValueError for anything else."""
    text = _text(name)
    if safe_file_name(text) != text:
        raise ValueError("not a plain file name")
    return text


def _round(content: dict[str, Any]) -> Round:
    return Round(
        _whole(content["number"], 1),
        record_from(content["record"]),
        adapter_name(content["adapter_path"]),
        _whole(content["size_bytes"], 0),
    )


def _slices(indices: list[int], count: int) -> tuple[int, ...]:
    return tuple(_whole(index, 0, count - 1) for index in indices)


def _color(parts: list[float]) -> tuple[float, float, float, float]:
    red, green, blue, alpha = (float(part) for part in parts)
    return (red, green, blue, alpha)


def _whole(value: object, least: int, most: int | None = None) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("not a whole number")
    if value < least or (most is not None and value > most):
        raise ValueError("out of range")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    return value
