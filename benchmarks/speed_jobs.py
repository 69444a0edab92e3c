"""Speed of whole jobs: rounds of adapting, and the memory of long stacks."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from napari_salt.model import predict as predict_module
from napari_salt.model.adapter_file import AdapterFile, load_adapter, save_adapter
from napari_salt.model.backbones.base import Activations, Backbone, Identity
from napari_salt.model.feature_cache import FeatureCache
from napari_salt.model.fit import FitOutcome, fit
from napari_salt.model.framing import measure_intensity
from napari_salt.model.look_ahead import framing_for, see_ahead
from napari_salt.model.score import score
from napari_salt.records import (
    BACKGROUND,
    AnnotatedSlice,
    FitSettings,
    Label,
    Planes,
    SlicePrediction,
    StackInfo,
    StepReport,
)
from timing import Fact, Ratio, milliseconds

SIZE = (217, 181)


@dataclass(frozen=True)
class MadePlanes:
    """A stack whose slices are made when they are read: waves that drift from slice to slice, and noise.

    With as much ``noise`` as usual here (standard deviation, of 256 grays) neighbouring slices decide together.
    """

    count: int
    size: tuple[int, int] = SIZE
    noise: float = 9.0

    @property
    def info(self) -> StackInfo:
        return StackInfo((self.count, *self.size))

    def plane(self, index: int) -> np.ndarray:
        y, x = np.ogrid[: self.size[0], : self.size[1]]
        waves = 110 + 60 * np.sin(x / 17 + index / 9) + 50 * np.cos(y / 23 - index / 5)
        noise = np.random.default_rng(index).normal(0, self.noise, self.size)
        return np.clip(waves + noise, 0, 255).astype(np.uint8)


def paint(planes: Planes, indices: list[int], labels: int) -> list[AnnotatedSlice]:
    """Complete slices: a grid of ``labels`` fields where the image is bright, background elsewhere."""
    found = []
    for index in indices:
        image = planes.plane(index)
        y, x = np.mgrid[: image.shape[0], : image.shape[1]]
        field = (x * 4 // image.shape[1] + 4 * (y * 4 // image.shape[0])) % labels + 1
        targets = np.where(image > 110, field, BACKGROUND).astype(np.uint16)
        found.append(AnnotatedSlice(index, targets, complete=True))
    return found


def names(count: int) -> list[Label]:
    return [Label(i + 1, f"part {i + 1}") for i in range(count)]


def adapter_of(planes: Planes, labels: int, cache: FeatureCache | None = None) -> AdapterFile:
    """The first fit on three slices."""
    settings = FitSettings(kind="none", device="cpu")
    painted = paint(planes, [2, 10, 18], labels)
    return timed(fit(planes, painted, names(labels), settings, cache=cache))[0].adapter


def timed(running: Generator[Any, None, FitOutcome]) -> tuple[FitOutcome, dict[str, float]]:
    """What a fit returns, and the seconds that it spent in each phase; ``first masks`` counts from the start."""
    spent: dict[str, float] = {}
    phase, start = "loading", time.perf_counter()
    last = start
    while True:
        try:
            report = next(running)
        except StopIteration as stop:
            now = time.perf_counter()
            spent[phase] = spent.get(phase, 0.0) + now - last
            spent["all"] = now - start
            return stop.value, spent
        now = time.perf_counter()
        spent[phase] = spent.get(phase, 0.0) + now - last
        last = now
        if isinstance(report, StepReport):
            phase = report.phase
        elif isinstance(report, SlicePrediction):
            spent["first masks"] = now - start


def round_speed(labels: int, steps: int) -> tuple[list[Ratio], list[Fact]]:
    """A second round after one new slice against the first, with equal steps and a cache: with ``steps`` asked for, and
    as the dock does it, which leaves other stacks for a pause and the score of a later round for after its masks.
    """
    asked = FitSettings(steps=steps, device="cpu")
    docked = FitSettings(device="cpu", other_stacks=False)
    ratios, facts = [], []
    for how, settings, later in (
        (f"{steps} steps asked for", asked, False),
        ("in the dock", docked, True),
    ):
        first, second, scored = _two_rounds(labels, settings, score_later=later)
        took, took2 = first[1], second[1]
        ratio = took2["all"] / took["all"]
        detail = f"{milliseconds(took2['all'])} / {milliseconds(took['all'])}"
        what = f"second round (6 slices) / first (5), {how}"
        ratios.append(Ratio(what, ratio, 0.5, False, detail))
        facts += [
            Fact(
                f"round, {how}: {phase}",
                f"{milliseconds(took.get(phase, 0.0))} → {milliseconds(took2.get(phase, 0.0))}",
                "first round → second",
            )
            for phase in ("embedding", "first fit", "scoring", "adapting")
            if phase in took
        ]
        kept = f"{first[0].record.steps} and {second[0].record.steps} steps kept"
        facts.append(Fact(f"round, {how}: outcome", kept))
        if later:
            what = f"round, {how}: score of the second"
            facts.append(Fact(what, milliseconds(scored), "after its masks"))
    return ratios, facts


def _two_rounds(
    labels: int, settings: FitSettings, *, score_later: bool
) -> tuple[tuple[FitOutcome, dict[str, float]], tuple[FitOutcome, dict[str, float]], float]:
    """Outcome and seconds of a round of five slices, and of one that goes on from it with a sixth.

    Last come the seconds of its score, where that is made up for later.
    """
    planes, label_list = MadePlanes(40), names(labels)
    first_slices, second_slices = [3, 11, 19, 27, 35], [3, 7, 11, 19, 27, 35]
    with tempfile.TemporaryDirectory() as folder:
        cache = FeatureCache(Path(folder))
        painted = paint(planes, first_slices, labels)
        first = timed(fit(planes, painted, label_list, settings, cache=cache))
        painted, init = paint(planes, second_slices, labels), first[0].adapter
        second = timed(
            fit(
                planes,
                painted,
                label_list,
                settings,
                init=init,
                cache=cache,
                score_later=score_later,
            )
        )
        began = time.perf_counter()
        if score_later:
            for _ in score(planes, painted, second[0].adapter, settings, cache=cache):
                pass
    return first, second, time.perf_counter() - began


def adapt_speed(labels: int) -> list[Fact]:
    """Warm adaptation to five slices with the default settings, and a first look where slices were looked ahead at."""
    planes = MadePlanes(40)
    indices, shown = [3, 11, 19, 27, 35], 15
    painted = paint(planes, indices, labels)
    settings = FitSettings(device="cpu")
    outcome, took = timed(fit(planes, painted, names(labels), settings, preview=shown))
    docked = FitSettings(device="cpu", other_stacks=False)
    in_dock = timed(fit(planes, painted, names(labels), docked, preview=shown))[1]
    with tempfile.TemporaryDirectory() as folder:
        cache = FeatureCache(Path(folder))
        run = range(shown - 2, shown + 4)
        beside = [run.start - 1, run.stop]  # which decide together with them where a stack is noisy
        ahead = _looked_ahead(planes, [*indices, *run, *beside], painted, settings, cache)
        quick = FitSettings(kind="none", device="cpu")
        again = timed(fit(planes, painted, names(labels), quick, preview=shown, cache=cache))[1]
        began = time.perf_counter()
        list(predict_module.predict(planes, outcome.adapter, run, device="cpu", cache=cache))
        kept = (time.perf_counter() - began) / len(run)
    budget = "budget on two cores: 10 s", "budget on two cores: 90 s"
    return [
        Fact("first masks after Adapt, 5 slices", milliseconds(took["first masks"]), budget[0]),
        Fact("the same, looked ahead at", milliseconds(again["first masks"]), budget[0]),
        Fact("a look ahead at a slice", milliseconds(ahead), "in a pause, before anybody asks"),
        Fact("a slice that was looked ahead at", milliseconds(kept), "budget on two cores: 600 ms"),
        Fact(
            "a round in the dock, 5 slices, defaults",
            milliseconds(in_dock["all"]),
            "what other stacks need follows in a pause",
        ),
        Fact(
            "full adaptation, 5 slices, defaults",
            milliseconds(took["all"]),
            f"{budget[1]}; {labels} labels, {outcome.record.steps} steps kept",
        ),
    ]


def _looked_ahead(
    planes: Planes,
    indices: list[int],
    painted: list[AnnotatedSlice],
    settings: FitSettings,
    cache: FeatureCache,
) -> float:
    """Look at ``indices`` as the dock does in pauses; the seconds for each."""
    framing, intensity = framing_for(planes, painted, settings), measure_intensity(planes)
    began = time.perf_counter()
    for index in indices:
        for _ in see_ahead(planes, index, framing, settings, intensity, cache, seconds=1.0):
            pass
    return (time.perf_counter() - began) / len(indices)


# --- memory ---------------------------------------------------------------------------------------


class StubTail(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.neck = nn.Conv2d(8, 16, 1)

    def forward(self, tail_input: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"neck": self.neck(tail_input)}


class StubBackbone(Backbone):
    """Two small convolutions in the place of a network, so that ten thousand slices take minutes."""

    tail_blocks = 1

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(
            Identity("stub", "stub", "0" * 64),
            frame_size=64,
            tap_channels={"stage1": 8, "neck": 16},
            tail=StubTail(),
            prompt_encoder=nn.Identity(),
            mask_decoder=nn.Identity(),
            multimask=False,
        )
        self.stem = nn.Conv2d(3, 8, 4, stride=4)
        self.eval().requires_grad_(False)

    def _run_prefix(self, frames: torch.Tensor) -> Activations:
        x = self.stem(frames)
        return Activations(x, {"stage1": x})


def memory(counts: tuple[int, int]) -> list[Ratio]:
    """Peak memory of a process that segments many slices, against one that segments few."""
    with tempfile.TemporaryDirectory() as folder:
        path = stub_adapter(Path(folder) / "stub.salt.safetensors")
        few, many = (_peak_of_child(path, count) for count in counts)
    detail = f"{many / 1e6:.0f} / {few / 1e6:.0f} MB peak, stub network, 64 x 64 pixels"
    return [
        Ratio(f"peak memory, {counts[1]} slices / {counts[0]}", many / few, 1.05, False, detail)
    ]


def stub_adapter(path: Path) -> Path:
    """Write an adapter of four labels on the stub; returns ``path``."""
    from napari_salt.model import fit as fit_module

    backbone = StubBackbone()
    real = fit_module.warm_backbone
    fit_module.warm_backbone = lambda *_: backbone  # type: ignore[assignment]
    try:
        save_adapter(path, adapter_of(MadePlanes(40, (64, 64)), 4))
    finally:
        fit_module.warm_backbone = real
    return path


def _peak_of_child(adapter: Path, count: int) -> int:
    command = [sys.executable, str(Path(__file__).resolve()), str(adapter), str(count)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    peak: int = json.loads(run.stdout.splitlines()[-1])["peak"]
    return peak


def segment_and_measure(path: Path, count: int) -> int:
    """Segment a lazy stack of ``count`` slices; the peak memory of this process in bytes."""
    backbone = StubBackbone()
    predict_module.warm_backbone = lambda *_: backbone  # type: ignore[assignment]
    planes = MadePlanes(count, (64, 64))
    found = sum(
        one is not None
        for one in predict_module.predict(planes, load_adapter(path), range(count), device="cpu")
    )
    assert found == count
    return peak_memory()


def peak_memory() -> int:
    """The most bytes of memory that this process has held."""
    status = Path("/proc/self/status")
    if status.is_file():
        # not ru_maxrss: there a new process starts with the peak of the one that started it
        (line,) = (one for one in status.read_text().splitlines() if one.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    print(json.dumps({"peak": segment_and_measure(Path(sys.argv[1]), int(sys.argv[2]))}))
