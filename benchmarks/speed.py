"""Speed, as ratios of two ways to do the same in one run, and absolute figures as information.

    python benchmarks/speed.py            everything; several minutes
    python benchmarks/speed.py --quick    fewer repeats, shorter stacks, no full adaptation; writes nothing

Run it on a machine that does nothing else: the ratios bear some load, the absolute figures do not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import results
import speed_jobs
import speed_parts
from napari_salt.model.backbones.registry import warm_backbone
from napari_salt.model.device import set_threads
from sections import replace_section, table
from timing import Fact, Ratio

HERE = Path(__file__).resolve().parent
NOT_RUN = (
    "Nobody has run this on a GPU yet: bfloat16, pinned copies, batches by free memory and the way to the CPU "
    "when memory runs out are tested with devices that only pretend. They are not in the figures above."
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a short look; writes nothing")
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    options = parser.parse_args()
    ratios, facts = measure(quick=options.quick)
    text = section(ratios, facts)
    print(text)
    if not options.quick:
        replace_section(options.out, "speed", text)


def measure(*, quick: bool) -> tuple[list[Ratio], list[Fact]]:
    """All ratios and facts; each is printed as soon as it is there."""
    ratios: list[Ratio] = []
    facts: list[Fact] = []

    def keep(new_ratios: list[Ratio], new_facts: list[Fact]) -> None:
        ratios.extend(new_ratios)
        facts.extend(new_facts)
        for ratio in new_ratios:
            print(*ratio.cells(), sep=" | ", flush=True)
        for fact in new_facts:
            print(fact.what, fact.value, fact.detail, sep=" | ", flush=True)

    set_threads()
    repeats = 3 if quick else 5
    backbone = warm_backbone("lite-medsam", "cpu")
    network = speed_parts.naive_network()
    planes, calm = speed_jobs.MadePlanes(20), speed_jobs.MadePlanes(20, noise=1.0)
    one, four, sixteen = (speed_jobs.adapter_of(planes, labels) for labels in (1, 4, 16))
    keep(*speed_parts.prefix_speed(backbone, network, repeats))
    keep(*speed_parts.step_speed(backbone, repeats))
    keep(speed_parts.merged_speed(backbone, repeats), [])
    keep(speed_parts.decode_speed(backbone, planes, one, sixteen, repeats), [])
    few = 1 if quick else 3
    keep(*speed_parts.stack_speed(network, planes, [one, four], few, "noisy stack"))
    quiet = [speed_jobs.adapter_of(calm, 1)]
    keep(*speed_parts.stack_speed(network, calm, quiet, few, "calm stack"))
    keep(*speed_jobs.round_speed(labels=6, steps=1 if quick else 4))
    keep(speed_jobs.memory((100, 1000 if quick else 10_000)), [])
    if not quick:
        keep([], speed_jobs.adapt_speed(labels=6))
    return ratios, facts


def section(ratios: list[Ratio], facts: list[Fact]) -> str:
    """The part of RESULTS.md."""
    lost = [ratio.what for ratio in ratios if not ratio.reached]
    verdict = f"Not reached: {'; '.join(lost)}." if lost else "Every target was reached."
    origin = (
        f"{results.now()}, at {results.commit()}, on {results.machine()}, PyTorch {torch.__version__} with "
        f"{torch.get_num_threads()} thread(s). Medians of repeats taken in turn."
    )
    return "\n\n".join(
        [
            "### Speed",
            f"{origin} {verdict}",
            table(
                ["ratio", "measured", "target", "reached", "times"],
                [ratio.cells() for ratio in ratios],
            ),
            "For information; other machines differ:",
            table(
                ["figure", "value", ""], [[fact.what, fact.value, fact.detail] for fact in facts]
            ),
            NOT_RUN,
        ]
    )


if __name__ == "__main__":
    main()
