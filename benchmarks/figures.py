"""The short table of the README, from the kept results: ours against the forest and the probe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path

from comparison import LEVEL, OURS
from data import BASE, HELD_OUT
from methods import is_marked
from results import Result
from sections import replace_section, table

AGAINST = ("filters-forest", "probe")
COUNTS = (1, 3, 5, 10)
TITLES = {
    "brain_regions": "brain regions (13 atlas labels, T1 MRI)",
    "brain_tissue": "brain tissue (2 labels, T1 MRI)",
    "nuclei": "nuclei (fluorescence tiles)",
    "scribbles": "scribbles on ≤ 5 % of the pixels",
    "next": "the other half as another stack",
    "transfer": "another subject and contrast",
    "degraded": "half the resolution, noise, contrast",
    "macaque": "macaque brain regions (8 labels)",
    "nuclei_3d": "nuclei in 3-D (fluorescence)",
    "phantom_ct": "abdomen with lesions (CT phantom)",
    "vessels": "vessels (drawn)",
    "coins": "coins (photograph)",
    "ihc": "stained tissue (colour)",
    "ct_organs": "abdomen (12 organs, CT)",
    "ct_fine": "abdomen, 512 × 512 (CT)",
    "lung_tumour": "tumour in the lung (CT)",
    "brain_tumour": "tumour in the brain (MR)",
    "sem_axons": "axons and myelin (electron micrograph)",
    "epithelium": "cell borders and insides (confocal)",
    "light_sheet": "nuclei, noisy (light sheet)",
    "concrete": "aggregate and pores (X-ray tomography)",
    "spine_mr": "spine in MR (4 labels, T2, sagittal)",
    "spine_ct": "spine in CT (2 labels, sagittal)",
    "diffusion_fa": "nerve tracts (6 labels, diffusion MR)",
}
"""What the rows are called: data sets, and what was made of them."""
OLDER = (
    "° stands for an older state of ours: labels began at other probabilities than "
    "[now](docs/how_it_works.md#where-a-label-begins). These are still to be run again."
)
MADE = "Scribbles, other stacks, other subjects, worse instruments"
ROWS = tuple(
    name + variant
    for name in (*BASE, *HELD_OUT)
    for variant in ("", "/scribbles", "/next", "/transfer", "/degraded")
)
"""Tasks in the order of the rows; those without a result have none."""


def cases(results: Iterable[Result]) -> list[tuple[str, int, int]]:
    """Task, number and choice of painted slices of every run of ours that the table is made of."""
    return sorted(
        {(one.task, one.n, one.shift) for one in results if one.method == OURS and one.task in ROWS}
    )


def write_figures(path: Path, results: Sequence[Result]) -> None:
    """Rewrite the figures of the README at ``path``."""
    replace_section(path, "figures", figures(results))


def figures(results: Sequence[Result]) -> str:
    """The table and what it comes to: means over the choices of painted slices that all three have run."""
    dice, marked = _means(results), _marked(results)
    head = ["ours / forest / probe, painted slices", *(str(n) for n in COUNTS)]
    tables = []
    for derived in (False, True):
        rows = [
            [_title(task), *(_cell(dice, task, n, marked) for n in COUNTS)]
            for task in ROWS
            if ("/" in task) == derived and any((task, n, OURS) in dice for n in COUNTS)
        ]
        tables.append(table(head, rows))
    own, made = tables
    note = f"\n\n{OLDER}" if marked else ""
    return (
        f"{_sum(dice)}{note}\n\n{own}\n\n<details><summary>{MADE}</summary>\n\n{made}\n\n</details>"
    )


def _title(task: str) -> str:
    name, _, variant = task.partition("/")
    if not variant:
        return TITLES[name]
    return f"{_short_title(name)}, {TITLES[variant]}"


def _short_title(task: str) -> str:
    """Without what the brackets and the numbers say."""
    parts = [TITLES[part].partition(" (")[0] for part in task.split("/")]
    return ", ".join(part.partition(" on ≤")[0] for part in parts)


def _means(results: Sequence[Result]) -> dict[tuple[str, int, str], float]:
    """By task, number and method; where no choice has all three, what there is of the first one."""
    methods = (OURS, *AGAINST)
    every = {(r.task, r.n, r.shift, r.method): r.dice for r in results if r.method in methods}
    found: dict[tuple[str, int, str], float] = {}
    for task, n in {key[:2] for key in every}:
        shifts = {key[2] for key in every if key[:2] == (task, n)}
        common = [s for s in sorted(shifts) if all((task, n, s, m) in every for m in methods)]
        for method in methods:
            values = [
                every[task, n, s, method] for s in common or [0] if (task, n, s, method) in every
            ]
            if values:
                found[task, n, method] = sum(values) / len(values)
    return found


def _marked(results: Iterable[Result]) -> set[tuple[str, int]]:
    """Task and number of those with a result of ours that lacks what the latest recipe changed."""
    ours = [one for one in results if one.method == OURS]
    return {(one.task, one.n) for one in ours if is_marked(one.recipe, one.task, one.n)}


def _cell(
    dice: Mapping[tuple[str, int, str], float], task: str, n: int, marked: Set[tuple[str, int]]
) -> str:
    found = [dice.get((task, n, method)) for method in (OURS, *AGAINST)]
    if found[0] is None:
        return ""
    best = max(value for value in found if value is not None)
    words = ["–" if value is None else f"{value:.3f}".removeprefix("0") for value in found]
    shown = [
        f"**{word}**" if value == best else word for word, value in zip(words, found, strict=True)
    ]
    if (task, n) in marked:
        shown[0] += "°"
    return " / ".join(shown)


def _sum(dice: Mapping[tuple[str, int, str], float]) -> str:
    places = sorted(
        place
        for place in {key[:2] for key in dice}
        if all((*place, method) in dice for method in (OURS, *AGAINST))
    )
    if not places:
        return "No results yet."
    ours = [dice[(*place, OURS)] for place in places]
    others = [[dice[(*place, method)] for place in places] for method in AGAINST]
    above = [sum(a - b for a, b in zip(ours, other, strict=True)) / len(places) for other in others]
    best = [a >= max(b) - LEVEL for a, *b in zip(ours, *others, strict=True)]
    behind: dict[str, list[str]] = {}
    for (task, n), a, *b in zip(places, ours, *others, strict=True):
        if a < max(b) - LEVEL:
            behind.setdefault(_short_title(task), []).append(f"{n} ({a - max(b):+.3f})")
    listed = "; ".join(f"{title}: {', '.join(counts)}" for title, counts in behind.items())
    return (
        f"On the mean over all {len(places)} cases ours is {above[0]:.3f} above the forest and {above[1]:.3f} above "
        f"the probe; it is the best of the three, or within {LEVEL} of the best, in {sum(best)}."
        + (f" Behind, by the number of painted slices: {listed}." if listed else "")
    )
