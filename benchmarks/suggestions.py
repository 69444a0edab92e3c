"""Next slice against chance: Dice of a stack after each painted slice, by who chooses which one is painted next.

    python benchmarks/suggestions.py                          the section of RESULTS.md and the plot
    python benchmarks/suggestions.py --tasks vessels --most 3   a part of it; goes on where it was interrupted

The first painted slice is the middle one. Then a policy chooses among every third slice, and the reference is painted
there; Dice is that of other slices, over all labels they show, found by now or not. Fits are first fits, which is what
is kept on a CPU.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import results
from data import Dataset, load
from methods import RECIPE, still_stands
from methods.ours import ArrayPlanes, adapt
from napari_salt.model.feature_cache import FeatureCache
from napari_salt.model.metrics import score_stack
from napari_salt.model.predict import predict
from napari_salt.records import FitSettings, Label, SlicePrediction, SliceSummary
from napari_salt.session.suggest import suggest
from protocol import full_paint
from sections import replace_section, table
from shared import FOLDER as CACHE

if TYPE_CHECKING:
    from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
STORE = results.FOLDER / "suggestions" / "steps.jsonl"
TASKS = ("brain_regions", "macaque", "phantom_ct", "vessels")
EVERY = 3
"""One slice of so many may be painted; those after it may be tested."""
TESTED = 20
MOST = 5
SEEDS = 2
NEAR = 0.03
"""Chance does not choose a slice nearer to a painted one than this part of the stack, as a person would not."""


@dataclass(frozen=True)
class Step:
    """What the masks are worth once the slices ``painted`` are."""

    task: str
    policy: str
    seed: int
    painted: tuple[int, ...]
    dice: float
    date: str
    commit: str
    machine: str
    recipe: str

    @property
    def n(self) -> int:
        """How many slices are painted."""
        return len(self.painted)

    @property
    def run(self) -> tuple[str, str, int]:
        """Task, policy and seed."""
        return self.task, self.policy, self.seed


@dataclass(frozen=True, eq=False)
class Known:
    """What a policy may look at: predicted ``summaries`` of the open candidates and the painted slices of ``count``."""

    summaries: Sequence[SliceSummary]
    painted: Sequence[int]
    labels: Sequence[Label]
    count: int

    def open(self) -> list[SliceSummary]:
        """Candidates that are not painted."""
        return [one for one in self.summaries if one.index not in self.painted]


Policy = Callable[[Known, np.random.Generator], int]


def ours(known: Known, rng: np.random.Generator) -> int:
    """What Next slice offers."""
    return suggest(known.summaries, known.painted, known.labels)[0].index


def chance(known: Known, rng: np.random.Generator) -> int:
    """Any slice that seems to show a label and is no neighbour of a painted one (foreground-aware random)."""
    gap = max(1, round(NEAR * known.count))
    shown = [one.index for one in known.open() if any(one.areas.values())]
    far = [index for index in shown if min(abs(index - other) for other in known.painted) >= gap]
    return int(rng.choice(far or shown or [one.index for one in known.open()]))


def spread(known: Known, rng: np.random.Generator) -> int:
    """The slice farthest from every painted one; the ends of the stack count half."""

    def room(index: int) -> float:
        ends = 2 * min(index, known.count - 1 - index)
        return min(ends, *(abs(index - other) for other in known.painted))

    return max((one.index for one in known.open()), key=room)


POLICIES: dict[str, Policy] = {"ours": ours, "spread": spread, "chance": chance}
TITLES = {
    "ours": "Next slice",
    "spread": "farthest from the painted",
    "chance": "chance, where labels are",
}
COLOURS = {"ours": "#D00000", "spread": "#0072B2", "chance": "#E69F00"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--most", type=int, default=MOST, help="painted slices in the end")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="runs of chance")
    parser.add_argument("--report", action="store_true", help="run nothing")
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    parser.add_argument("--plot", type=Path, default=HERE.parent / "docs/images/suggestions.png")
    options = parser.parse_args()
    if not options.report:
        for task in options.tasks:
            for policy, seed in runs(options.seeds):
                done = read()
                if any(one.run == (task, policy, seed) and one.n == options.most for one in done):
                    continue
                for step in play(task, policy, seed, options.most, done):
                    keep(step)
                    print(
                        f"{task} {policy} {seed} {step.painted}: Dice {step.dice:.3f}", flush=True
                    )
    steps = read()
    if steps:
        draw(options.plot, steps)
        replace_section(options.out, "suggestions", section(steps))


def runs(seeds: int) -> Iterator[tuple[str, int]]:
    """Policies and seeds; only chance has more than one."""
    for policy in POLICIES:
        for seed in range(seeds if policy == "chance" else 1):
            yield policy, seed


def play(task: str, policy: str, seed: int, most: int, done: Iterable[Step]) -> Iterator[Step]:
    """Paint one slice after the other; yields the steps that are not ``done``."""
    stack = load(task)
    count = len(stack.images)
    before = {one.painted: one for one in done if one.task == task}
    candidates = range(0, count, EVERY)
    tested = _tested(count)
    rng = np.random.default_rng(seed)
    painted: tuple[int, ...] = (EVERY * round((count - 1) / 2 / EVERY),)
    while len(painted) <= most:
        here = before.get(painted)
        last = len(painted) == most
        if here is None or not last:
            masks, summaries, labels = _segment(stack, painted, tested, () if last else candidates)
        if here is None:
            yield _step(task, policy, seed, painted, _dice(stack, tested, masks))
        elif (here.policy, here.seed) != (policy, seed):
            yield _step(task, policy, seed, painted, here.dice)
        if last:
            return
        known = Known(summaries, painted, labels, count)
        painted = tuple(sorted((*painted, POLICIES[policy](known, rng))))


def _tested(count: int) -> list[int]:
    beside = np.arange(1, count, EVERY)
    places = np.unique(np.linspace(0.05, 0.95, TESTED) * (len(beside) - 1) + 0.5).astype(int)
    return sorted({int(beside[place]) for place in places})


def _segment(
    stack: Dataset, painted: Sequence[int], tested: Sequence[int], candidates: Sequence[int]
) -> tuple[list[NDArray[np.unsignedinteger]], list[SliceSummary], tuple[Label, ...]]:
    """Fit, then masks of the tested slices and summaries of the candidates."""
    planes, cache = ArrayPlanes(stack), FeatureCache(CACHE, 8 * 2**30)
    paint = full_paint(stack, tuple(painted))
    adapter = adapt(planes, paint, stack.names, FitSettings(kind="none")).adapter
    wanted = sorted({*tested, *candidates})
    found: dict[int, SlicePrediction] = {
        one.index: one for one in predict(planes, adapter, wanted, cache=cache) if one is not None
    }
    summaries = [found[index].summary for index in candidates]
    return [found[index].labels for index in tested], summaries, adapter.labels


def _dice(
    stack: Dataset, tested: Sequence[int], masks: Sequence[NDArray[np.unsignedinteger]]
) -> float:
    """Mean over the labels of the tested slices; one that was never painted has 0."""
    reference = stack.labels[list(tested)]
    shown = sorted(set(np.unique(reference).tolist()) - {0})
    scores = score_stack(np.stack(masks), reference, shown, (1.0, 1.0))
    return float(np.mean([one.dice for one in scores]))


def _step(task: str, policy: str, seed: int, painted: tuple[int, ...], dice: float) -> Step:
    told = results.now(), results.commit(), results.machine(), RECIPE
    return Step(task, policy, seed, painted, round(dice, 4), *told)


def keep(step: Step, path: Path = STORE) -> None:
    """Add one line to the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(asdict(step)) + "\n")


def read(path: Path = STORE) -> list[Step]:
    """All steps of the present recipe; of equal ones the newest."""
    if not path.is_file():
        return []
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    steps = [Step(**{**line, "painted": tuple(line["painted"])}) for line in lines]
    newest = {
        (s.run, s.n): s for s in steps if s.recipe == RECIPE or still_stands(s.recipe, s.task, s.n)
    }
    return list(newest.values())


def mean(steps: Sequence[Step], task: str, policy: str, n: int) -> float | None:
    """Dice over the seeds; None where there is no run."""
    found = [one.dice for one in steps if (one.task, one.policy, one.n) == (task, policy, n)]
    return float(np.mean(found)) if found else None


def compared(steps: Sequence[Step], n: int) -> list[str]:
    """Tasks that every policy has been run on up to ``n`` painted slices."""
    tasks = dict.fromkeys(one.task for one in steps)
    return [task for task in tasks if all(mean(steps, task, p, n) is not None for p in POLICIES)]


def section(steps: Sequence[Step]) -> str:
    """The tables in Markdown."""
    counts = sorted({one.n for one in steps})
    rows = []
    for task in dict.fromkeys(one.task for one in steps):
        for policy, title in TITLES.items():
            told = [mean(steps, task, policy, n) for n in counts]
            cells = ["" if dice is None else f"{dice:.3f}" for dice in told]
            if any(cells):
                rows.append([task, title, *cells])
    for policy, title in TITLES.items():
        cells = []
        for n in counts:
            tasks = compared(steps, n)
            dices = [mean(steps, task, policy, n) or 0.0 for task in tasks]
            cells.append(f"{np.mean(dices):.3f} ({len(tasks)})" if tasks else "")
        rows.append(["mean (stacks)", title, *cells])
    newest = max(steps, key=lambda one: one.date)
    seeds = len({one.seed for one in steps if one.policy == "chance"})
    return "\n\n".join(
        [
            "### Next slice against chance",
            f"Up to {newest.date}, at {', '.join(sorted({one.commit for one in steps}))}, on {newest.machine}. Dice on "
            "slices that are never painted, over all labels of the stack, after so many painted slices; the first is "
            f"the middle one. Chance: mean of up to {seeds} runs, among slices where the present masks show a label. "
            "Plot: `docs/images/suggestions.png`.",
            table(["stack", "who chooses", *(f"n = {n}" for n in counts)], rows, text=2),
        ]
    )


def draw(path: Path, steps: Sequence[Step]) -> None:
    """One panel a stack, one line a policy; runs of chance as a band."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    tasks = list(dict.fromkeys(one.task for one in steps))
    figure = Figure(figsize=(2.6 * len(tasks) + 0.6, 3.2), layout="constrained")
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    for panel, task in zip(panels, tasks, strict=True):
        for policy, title in TITLES.items():
            here = [one for one in steps if (one.task, one.policy) == (task, policy)]
            counts = sorted({one.n for one in here})
            values = [[one.dice for one in here if one.n == n] for n in counts]
            colour = COLOURS[policy]
            panel.plot(counts, [np.mean(v) for v in values], "o-", color=colour, ms=4, label=title)
            low, high = [min(v) for v in values], [max(v) for v in values]
            panel.fill_between(counts, low, high, color=colour, alpha=0.15, lw=0)
        panel.set_title(task.replace("_", " "), fontsize=11)
        panel.set_xlabel("painted slices")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("Dice on unseen slices")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160)


if __name__ == "__main__":
    main()
