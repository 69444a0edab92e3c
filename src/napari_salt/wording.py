"""Numbers and records in the words that the dock shows. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_salt.records import FitRecord, Phase, Round, StackInfo, StepReport

_PHASES: dict[Phase, str] = {
    "loading": "loading weights",
    "embedding": "embedding",
    "first fit": "first fit",
    "adapting": "adapting",
    "scoring": "scoring",
    "comparing": "looking at a few slices first",
    "segmenting": "segmenting",
}


MOST_NAMED = 6
"""Slices that are named one by one in a sentence."""


def count(number: int, noun: str) -> str:
    """``1 slice``, ``2 slices``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def slices(indices: Sequence[int]) -> str:
    """``slice 4``, ``slices 4 to 9``, ``5 slices from 4 to 9`` where some between are not among them; they rise."""
    first, last = indices[0], indices[-1]
    if first == last:
        return f"slice {first}"
    if last - first + 1 == len(indices):
        return f"slices {first} to {last}"
    return f"{len(indices)} slices from {first} to {last}"


def left_out(indices: Sequence[int]) -> str:
    """``slice 4 cannot be read and was left out``; empty where all can be read."""
    if not indices:
        return ""
    if len(indices) == 1:
        return f"slice {indices[0]} cannot be read and was left out"
    named = slices(indices)
    if len(indices) <= MOST_NAMED:
        named = f"slices {', '.join(map(str, indices[:-1]))} and {indices[-1]}"
    return f"{named} cannot be read and were left out"


def duration(seconds: float) -> str:
    """``9 s``, ``1 min 20 s``, ``1 h 5 min``; never a negative time."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def size(count_of_bytes: int) -> str:
    """``1.2 MB``; small ones in kB."""
    if count_of_bytes < 1_000_000:
        return f"{count_of_bytes / 1e3:.0f} kB"
    return f"{count_of_bytes / 1e6:.1f} MB"


def progress(doing: str, done: int, total: int, seconds_left: float | None = None) -> str:
    """``adapting 84/150 (9 s left)``; without a total just what is being done."""
    text = f"{doing} {done}/{total}" if total else f"{doing}…"
    return f"{text} ({duration(seconds_left)} left)" if seconds_left is not None else text


def noted(text: str, note: str) -> str:
    """``152 slices segmented · on the CPU``; just the text where there is no note."""
    return f"{text} · {note}" if note else text


def report(step: StepReport) -> str:
    """A report of a fit as one line."""
    counted = step.total if step.phase not in ("loading", "first fit") else 0
    if step.message and not counted:
        return f"{step.message[0].lower()}{step.message[1:]}…"
    text = progress(_PHASES[step.phase], step.step, counted, step.seconds_left)
    return noted(text, step.message)


def plane_size(shape: Sequence[int]) -> str:
    """``1024 × 1024``: the last two of the lengths."""
    return " × ".join(str(length) for length in shape[-2:])


def level(shapes: Sequence[Sequence[int]], number: int) -> str:
    """``1024 × 1024 (level 2 of 4)``; with the slices where levels differ in them.

    ``shapes`` are the lengths along (slices,) rows and columns of all levels, the finest first.
    """
    name = plane_size(shapes[number])
    if len({tuple(shape[:-2]) for shape in shapes}) > 1:
        name = f"{count(shapes[number][0], 'slice')} · {name}"
    return f"{name} ({f'level {number} of {len(shapes) - 1}' if number else 'full resolution'})"


_SIGNS = {"um": "µm", "us": "µs", "A": "Å"}
"""Units as people write them; files keep to ASCII."""


def facts(info: StackInfo) -> str:
    """``152 slices · 233 × 197 · 1 mm``; the three lengths of a voxel where they differ."""
    slices = info.shape[0]
    parts = [count(slices, "slice"), plane_size(info.shape)]
    parts.append(voxel(info.spacing, info.units))
    if info.rgb:
        parts.append("colour")
    elif info.channels > 1:
        parts.append(count(info.channels, "channel"))
    return " · ".join(part for part in parts if part)


def voxel(lengths: Sequence[float], units: Sequence[str]) -> str:
    """``0.5 × 0.1 × 0.1 µm``, ``1 mm`` where all are alike; empty for pixels that are as long as wide."""
    units = [unit_sign(unit) for unit in units]
    told = [f"{length:.3g}" for length in lengths]
    alike = told[:1] if len(set(told)) == 1 else told
    if set(units) == {"pixel"}:
        return " × ".join(alike) if len(alike) > 1 else ""
    if len(set(units)) == 1:
        return f"{' × '.join(alike)} {units[0]}"
    return " × ".join(f"{length} {unit}" for length, unit in zip(told, units, strict=True))


def difference(info: StackInfo, wanted: StackInfo) -> str:
    """What is different about a stack that is not the one that was wanted; goes on after its name: ``is grey``."""
    if info.shape != wanted.shape:
        turned = " (the same axes in another order)" * (sorted(info.shape) == sorted(wanted.shape))
        slices, rows, columns = info.shape
        return f"has {count(slices, 'slice')} · {rows} × {columns}{turned}"
    if (info.rgb, info.channels) != (wanted.rgb, wanted.channels):
        if info.rgb:
            return "is in colour"
        return "is grey" if info.channels == 1 else f"has {info.channels} channels"
    if info.dtype != wanted.dtype:
        return f"holds {info.dtype} instead of {wanted.dtype}"
    return "holds other pixels"


def unit_sign(unit: str) -> str:
    """A unit as people write it: ``µm`` for ``um``."""
    return _SIGNS.get(unit, unit)


def position(places: Sequence[tuple[str, int]]) -> str:
    """``t = 2``, ``t = 2, axis 1 = 0``: a position on axes with their names."""
    return ", ".join(f"{name} = {index}" for name, index in places)


def dice(record: FitRecord) -> str:
    """Held-out Dice of the state that was kept; a dash where no honest score exists."""
    value = record.held_out_before if record.kept == "first fit" else record.held_out_after
    return "–" if value is None else f"{value:.2f}"


def dice_change(record: FitRecord) -> str:
    """``0.85 → 0.91``: held-out Dice of the first fit and of the adapted one; one number if equal."""
    before, after = record.held_out_before, record.held_out_after
    if before is None or after is None or before == after:
        return dice(record)
    return f"{before:.2f} → {after:.2f}"


def score(active: Round | None, rounds: Sequence[Round]) -> str:
    """``held-out Dice 0.91 (round 2: 0.88)``, or why there is no score."""
    if active is None:
        return ""
    mine = dice(active.record)
    if mine == "–":
        note = active.record.score_note
        return note or "no held-out score yet: too few painted slices to leave one out"
    before = [other for other in rounds if other.number < active.number]
    text = f"held-out Dice {mine}"
    if before and dice(before[-1].record) != "–":
        text += f" (round {before[-1].number}: {dice(before[-1].record)})"
    return text


def other_stacks(record: FitRecord) -> str:
    """``12 steps kept, Dice 0.41 → 0.45 as other …``, of the adapter for them; empty where nothing was tried."""
    before, after = record.elsewhere_before, record.elsewhere_after
    if before is None or after is None:
        return ""
    found = f"Dice {before:.2f} → {after:.2f} as other instruments would show a slice left out"
    return f"{count(record.elsewhere_steps, 'step')} kept, {found}"


def seen(*, along: bool, everywhere: bool) -> str:
    """What a slice is seen with where forests look ``along`` the stack; ``everywhere``: along other stacks too."""
    if not along:
        return "seen by itself"
    elsewhere = "; on other stacks too where slices lie as far apart" if everywhere else ""
    return f"seen with those up to four away{elsewhere}"


def round_detail(round_: Round) -> str:
    """Everything known about a round, as lines of a tooltip."""
    record = round_.record
    lines = [
        f"round {round_.number}: {record.kind} on {record.backbone}, {record.device}",
        f"slices {', '.join(map(str, record.slices))}",
        f"{record.steps} steps in {duration(record.seconds)}, kept: {record.kept}",
        f"{record.trainable_parameters:,} trained numbers, seed {record.seed}",
    ]
    if record.held_out_before is not None and record.held_out_after is not None:
        lines.append(f"held-out Dice {record.held_out_before:.3f} → {record.held_out_after:.3f}")
    lines += [f"  {name} {value:.3f}" for name, value in record.held_out_by_label]
    elsewhere = other_stacks(record)
    if elsewhere:
        lines.append(f"for other stacks: {elsewhere}")
    if record.score_note:
        lines.append(record.score_note)
    return "\n".join(lines)
