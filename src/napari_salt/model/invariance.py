"""The adapter learns to see the same through any instrument: what the frozen backbone sees of the painted slices.

No label is asked, so there is nothing to learn by heart: the features of a slice through an instrument are drawn
towards those of the slice itself (consistency, as in self-distillation). Whether that helps is judged by labels all
the same, on a slice left out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_salt.model.adapters import adapter_parameters
from napari_salt.model.fine_tune import LARGEST_GRADIENT, RATES, WARM_UP, LastGood, TuneReport

if TYPE_CHECKING:
    from napari_salt.model.features import Standard
    from napari_salt.model.glances import Glance

FASTER = 3.0
"""Times the learning rates of `fine_tune`: features are a steadier target than labels."""
FRAMES = 4
"""Frames in one step."""
LOOKED_AT = 3
"""Frames whose time tells how many steps there is time for."""


def draw_together(
    tail: nn.Module,
    glances: Sequence[Glance],
    targets: Mapping[tuple[int, int], Tensor],
    standard: Standard,
    *,
    steps: int,
    seconds: float | None,
    seed: int = 0,
) -> Generator[TuneReport, None, int]:
    """Train the adapter attached to ``tail`` in place; returns the steps done.

    Parameters
    ----------
    targets
        Standardised taps (M, C) of the tail that each frame shows by itself, by `Glance.key`.
    standard
        Of the taps of the tail.
    seconds
        What there is time for; steps are left out as the first frames tell, all of them where it is less than one.
    """
    groups = [(each, FASTER * RATES[role]) for role, each in adapter_parameters(tail).items()]
    trained = [parameter for parameters, _ in groups for parameter in parameters]
    for parameter in trained:
        parameter.requires_grad_(True)
    optimiser = torch.optim.AdamW(
        [{"params": parameters, "lr": rate} for parameters, rate in groups], weight_decay=0.0
    )
    generator = torch.Generator().manual_seed(seed)
    good, done, frames, began = LastGood(trained), 0, 0, time.monotonic()
    step, last_loss = 0, None
    while step < steps:
        step += 1
        share = min(1.0, step / WARM_UP) * 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))
        for group, (_, rate) in zip(optimiser.param_groups, groups, strict=True):
            group["lr"] = rate * share
        optimiser.zero_grad()
        total, batch = 0.0, torch.randperm(len(glances), generator=generator)[:FRAMES].tolist()
        for number in batch:
            one = glances[number]
            seen = standard(one.tail_taps(tail))
            loss = (seen - targets[one.key].to(seen.device)).square().mean() / len(batch)
            loss.backward()
            total += float(loss.detach())
            frames += 1
            if seconds is not None and frames == LOOKED_AT:
                each = (time.monotonic() - began) / frames * len(batch)
                steps = min(steps, int(seconds / each))
                if steps == 0:
                    return 0
            yield TuneReport(step - 1, steps, last_loss)
        norm = float(nn.utils.clip_grad_norm_(trained, LARGEST_GRADIENT))
        if not (math.isfinite(total) and math.isfinite(norm)):
            return good.restore()
        good.keep(done)
        optimiser.step()
        done, last_loss = done + 1, total
        yield TuneReport(step, steps, last_loss)
    return good.checked(done)
