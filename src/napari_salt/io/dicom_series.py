"""Which DICOM files make one stack: those of one series, of one size and orientation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_salt import wording
from napari_salt.errors import Choice, ChoiceNeeded, InputError
from napari_salt.io.dicom_frames import SEGMENTATION, SLIDE, Frame, read_frames
from napari_salt.io.image_folder import natural

SUFFIXES = (".dcm", ".dicom", ".ima")
_MAGIC = b"DICM"
_PREAMBLE = 128
_OTHERS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".txt", ".csv", ".json", ".xml", ".gz", ".zip")
"""Suffixes of files that are not even looked into."""


@dataclass(frozen=True, eq=False)
class Group:
    """Frames that belong together; ``key`` chooses them, ``text`` says what they are."""

    key: str
    text: str
    frames: tuple[Frame, ...]


def is_dicom(file: Path) -> bool:
    """Whether a file says of itself that it is DICOM."""
    try:
        with file.open("rb") as opened:
            return opened.read(_PREAMBLE + len(_MAGIC))[_PREAMBLE:] == _MAGIC
    except OSError:
        return False


def is_dicom_folder(folder: Path) -> bool:
    """Whether a folder holds DICOM files; it stops looking at the first one."""
    return any(is_dicom(file) for file in _candidates(folder))


def dicom_files(folder: Path) -> list[Path]:
    """DICOM files of a folder in the natural order of their names; with a DICOMDIR, of those in it, too."""
    return sorted((file for file in _candidates(folder) if is_dicom(file)), key=natural)


def groups_of(files: Sequence[Path]) -> list[Group]:
    """What can be opened from some files; a file that comes twice counts once.

    Raises
    ------
    InputError
        When one of them cannot be read; the sentence names it.
    """
    gathered: dict[tuple[object, ...], list[Frame]] = {}
    seen: set[str] = set()
    for file in files:
        frames = [frame for frame in read_frames(file) if frame.kind != SEGMENTATION]
        if not frames or frames[0].instance in seen:
            continue
        seen.add(frames[0].instance)
        if frames[0].kind == SLIDE:
            raise InputError(
                f"{file.name} is a whole slide in tiles, which is not read; convert it to OME-TIFF."
            )
        for frame in frames:
            gathered.setdefault(_likeness(frame), []).append(frame)
    return _named(list(gathered.values()))


def choose(groups: Sequence[Group], series: str | None, place: Path) -> Group:
    """The group of a series: by key, UID or description; without ``series``, the only one there is.

    Raises
    ------
    ChoiceNeeded
        When there are several, and none, or no single one, is named.
    InputError
        When there is none at all.
    """
    if not groups:
        raise InputError(f"{place.name} holds no DICOM image; choose a folder with a series.")
    wanted = None if series is None else series.strip().casefold()
    matching = [one for one in groups if wanted is None or wanted in _words(one)]
    if len(matching) == 1:
        return matching[0]
    listed = "; ".join(f"{one.key}: {one.text}" for one in groups)
    problem = (
        f"holds {len(groups)} series"
        if series is None
        else f"has {'several series' if matching else 'no series'} “{series}”, but {len(groups)} in all"
    )
    raise ChoiceNeeded(
        f"{place.name} {problem}: {listed}. Choose one, such as --series {groups[0].key} "
        f'(in Python: series="{groups[0].key}").',
        [Choice(f"{one.key}: {one.text}", str(place), one.key) for one in groups],
    )


def _candidates(folder: Path) -> list[Path]:
    nested = (folder / "DICOMDIR").is_file()
    files = folder.rglob("*") if nested else folder.iterdir()
    return [
        file
        for file in files
        if file.name != "DICOMDIR"
        and not file.name.startswith(".")
        and file.suffix.lower() not in _OTHERS
        and file.is_file()
    ]


def _likeness(frame: Frame) -> tuple[object, ...]:
    """What the frames of one stack have in common."""
    turned = None if frame.orientation is None else tuple(frame.orientation.round(3) + 0.0)
    series = frame.series
    # without a UID, as anonymised files are, whatever else they say of their series
    own = series.uid or (series.number, series.description, series.modality)
    return own, frame.size, frame.color, turned


def _named(gathered: Sequence[list[Frame]]) -> list[Group]:
    """Groups by the number of their series, where that tells them apart; else by UID, and a count."""
    numbers = [frames[0].series.number for frames in gathered]
    uids = [frames[0].series.uid for frames in gathered]
    groups = []
    for at, frames in enumerate(gathered):
        number, uid = numbers[at], uids[at]
        if number and numbers.count(number) == 1:
            key = number
        elif uids.count(uid) == 1:
            key = uid
        else:
            key = f"{number or uid}.{uids[:at].count(uid) + 1}"
        groups.append(Group(key, _text(frames), tuple(frames)))
    return groups


def _text(frames: Sequence[Frame]) -> str:
    series, (rows, columns) = frames[0].series, frames[0].size
    what = " ".join(part for part in (series.modality, series.description) if part)
    return f"{what or 'without description'} ({wording.count(len(frames), 'image')}, {rows} × {columns})"


def _words(group: Group) -> set[str]:
    series = group.frames[0].series
    return {group.key.casefold(), series.uid.casefold(), series.description.casefold()} - {""}
