"""Two methods against each other, over the cases that both have run: no third method can blank the comparison."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from results import Result

LEVEL = 0.005
"""Dice within which two results count as level."""

OURS = "salt"
FIRST_FIT, PROBE = "none", "probe"
FORESTS = ("filters-forest", "features-forest")
ENOUGH = (3, 5, 10)
"""Painted slices from which ours must lead clearly."""

Pair = tuple[Result, Result]


@dataclass(frozen=True)
class Verdict:
    """One target, what was found, and over how many cases; ``met`` is None where nothing can be said yet."""

    target: str
    found: str
    cases: int
    met: bool | None


def pair_up(
    results: Iterable[Result], first: str, second: str, counts: Collection[int] | None = None
) -> list[Pair]:
    """Results of two methods on the same task, n and shift; ``counts`` limits n."""
    cases: dict[tuple[str, int, int], dict[str, Result]] = {}
    for result in results:
        if counts is None or result.n in counts:
            cases.setdefault((result.task, result.n, result.shift), {})[result.method] = result
    return [
        (found[first], found[second])
        for _, found in sorted(cases.items())
        if first in found and second in found
    ]


def difference(pairs: Sequence[Pair], field: str = "dice") -> float:
    """Mean of first − second."""
    return float(np.mean([getattr(a, field) - getattr(b, field) for a, b in pairs]))


def counted(pairs: Sequence[Pair]) -> str:
    """How many cases the first method has won, was level, and has lost."""
    gaps = [round(a.dice - b.dice, 4) for a, b in pairs]
    won, lost = sum(gap > LEVEL for gap in gaps), sum(gap < -LEVEL for gap in gaps)
    return f"{won}/{len(gaps) - won - lost}/{lost}"


def gaps(results: Sequence[Result]) -> dict[tuple[str, int], dict[str, float]]:
    """By (task, n): how far each other method is above ours, over the choices of painted slices that both have run."""
    found: dict[tuple[str, int], dict[str, float]] = {}
    for rival in sorted({result.method for result in results} - {OURS}):
        places: dict[tuple[str, int], list[Pair]] = {}
        for ours, other in pair_up(results, OURS, rival):
            places.setdefault((ours.task, ours.n), []).append((other, ours))
        for place, pairs in places.items():
            found.setdefault(place, {})[rival] = round(difference(pairs), 4)
    return found


def verdicts(results: Sequence[Result]) -> list[Verdict]:
    """Every target that results can judge."""
    return [
        _best_everywhere(results),
        *(_lead(results, n, 0.03, _better_forest, "the better forest") for n in ENOUGH),
        *(_lead(results, n, 0.02, _probe, "the probe alone") for n in ENOUGH),
        _lead(results, 1, 0.0, _better_forest, "the better forest"),
        _lead(results, 1, 0.0, _probe, "the probe alone"),
        _distance(results),
        *(_at_least(results, other) for other in ("lora", "ssam")),
        _never_loses(results),
        _no_harm(results),
    ]


def _best_everywhere(results: Sequence[Result]) -> Verdict:
    target = f"best, or within {LEVEL} of the best, at every (task, n)"
    others = gaps(results)
    if not others:
        return Verdict(target, "", 0, None)
    behind = {}
    for (task, n), above in others.items():
        best = max(above, key=lambda key: above[key])
        if above[best] > LEVEL:
            behind[f"{task}, {n} (−{above[best]:.3f} to {best})"] = above[best]
    found = f"at {len(others) - len(behind)} of {len(others)}"
    if behind:
        found += "; behind at " + "; ".join(sorted(behind, key=lambda place: -behind[place]))
    return Verdict(target, found, len(others), not behind)


def _better_forest(results: Sequence[Result], n: int) -> tuple[str, list[Pair]]:
    """The forest with the higher mean over the cases that both forests and ours have run."""
    pairs = {key: pair_up(results, OURS, key, (n,)) for key in FORESTS}
    known = {key: found for key, found in pairs.items() if found}
    if len(known) < 2:
        return next(iter(known.items()), ("", []))
    shared = set.intersection(*({ours.key for ours, _ in found} for found in known.values()))
    if shared:
        known = {k: [pair for pair in v if pair[0].key in shared] for k, v in known.items()}
    return min(known.items(), key=lambda item: difference(item[1]))


def _probe(results: Sequence[Result], n: int) -> tuple[str, list[Pair]]:
    return PROBE, pair_up(results, OURS, PROBE, (n,))


def _lead(
    results: Sequence[Result],
    n: int,
    wanted: float,
    rival: Callable[[Sequence[Result], int], tuple[str, list[Pair]]],
    whom: str,
) -> Verdict:
    key, pairs = rival(results, n)
    ahead = f"at least {wanted:.2f} above" if wanted else "no worse than"
    target = f"n = {n}: {ahead} {whom}, mean over tasks"
    if not pairs:
        return Verdict(target, "", 0, None)
    gap = round(difference(pairs), 3)
    return Verdict(target, f"{gap:+.3f} ({key})", len(pairs), gap >= wanted)


def _distance(results: Sequence[Result]) -> Verdict:
    target = "HD95 no worse than the best other, mean over tasks"
    rivals = sorted({result.method for result in results} - {OURS})
    gaps = {key: pairs for key in rivals if (pairs := pair_up(results, OURS, key))}
    if not gaps:
        return Verdict(target, "", 0, None)
    worst = max(gaps, key=lambda key: difference(gaps[key], "hd95"))
    gap = round(difference(gaps[worst], "hd95"), 1)
    return Verdict(target, f"{gap:+.1f} pixels ({worst})", len(gaps[worst]), gap <= 0)


def _at_least(results: Sequence[Result], other: str) -> Verdict:
    target = f"SALT no worse than {other}, mean over tasks"
    # with fewer slices nothing is fine-tuned, and all kinds of adapters are the same first fit
    pairs = pair_up(results, OURS, other, ENOUGH)
    if not pairs:
        return Verdict(target, "", 0, None)
    gap = round(difference(pairs), 4)
    sizes = " against ".join(
        f"{np.mean([pair[side].parameters or 0 for pair in pairs]):,.0f}" for side in (0, 1)
    )
    # three digits decide, as for the other targets: the fourth changes from machine to machine
    return Verdict(target, f"{gap:+.4f} (trainable: {sizes})", len(pairs), round(gap, 3) >= 0)


def _never_loses(results: Sequence[Result]) -> Verdict:
    target = "never below its own first fit on the slices it left out"
    told = [r for r in results if r.method == OURS and r.held_out is not None]
    if not told:
        return Verdict(target, "", 0, None)
    lost = sum(after < before for before, after in (r.held_out for r in told if r.held_out))
    adapted = sum(result.kept == "adapted" for result in told)
    return Verdict(target, f"lost {lost} times; adapted {adapted} times", len(told), lost == 0)


def _no_harm(results: Sequence[Result]) -> Verdict:
    target = "SALT no worse than its own first fit on the test slices, mean over tasks"
    pairs = pair_up(results, OURS, FIRST_FIT, ENOUGH)
    if not pairs:
        return Verdict(target, "", 0, None)
    gap = round(difference(pairs), 4)
    return Verdict(target, f"{gap:+.4f}; {counted(pairs)}", len(pairs), round(gap, 3) >= 0)
