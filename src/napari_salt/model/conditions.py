"""How a stack meets the network: chosen once for all of it, so that any part, on any machine, is seen alike."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from napari_salt.checked import one_of
from napari_salt.errors import InputError

NOT_OF_THIS = (
    "What is kept of the stack's intensities is damaged; delete the unfinished run and begin anew."
)
Kin = Literal["painted", "alike", "other"]
"""What a stack is to an adapter: the one that was painted, one that shows things as that does (of the same instrument,
say), or any other one."""


@dataclass(frozen=True)
class Conditions:
    """What `predict.prepare` chose for one stack and one adapter; torch-free, so that it can travel.

    Attributes
    ----------
    low, high, method, gamma
        Those of `framing.Intensity`.
    kin
        What the stack is to the adapter.
    noise
        Where neighbouring slices decide together the noise of the stack, see `noise.measure_noise`; else 0.
    volume
        Whether a slice is seen together with those around it, see `volume_filters`.
    thresholds
        Probability of each label from which on a pixel has it, see `thresholds`; () = the most probable one.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    method: Literal["percentile", "window"]
    gamma: float
    kin: Kin
    noise: float = 0.0
    volume: bool = False
    thresholds: tuple[float, ...] = ()

    @property
    def elsewhere(self) -> bool:
        """Whether the stack is another one than was painted."""
        return self.kin != "painted"

    def to_json(self) -> str:
        """JSON text that keeps every bit of the numbers."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Conditions:
        """Inverse of `to_json`; InputError for anything else."""
        try:
            content = json.loads(text)
            low = tuple(float(value) for value in content["low"])
            high = tuple(float(value) for value in content["high"])
            gamma, method, kin = content["gamma"], content["method"], _kin(content)
            noise = float(content.get("noise", 0.0))  # runs begun before it was measured
            if len(low) != len(high) or method not in ("percentile", "window") or not noise >= 0:
                raise ValueError("not the conditions of a stack")
            volume = bool(content.get("volume", False))
            thresholds = tuple(float(one) for one in content.get("thresholds", ()))
            if not all(0 <= one <= 1 for one in thresholds):
                raise ValueError("not probabilities")
            return Conditions(low, high, method, float(gamma), kin, noise, volume, thresholds)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(NOT_OF_THIS) from error


def _kin(content: dict[str, Any]) -> Kin:
    if "kin" not in content:  # runs begun before stacks alike were told apart
        return "other" if content["elsewhere"] else "painted"
    return one_of(content["kin"], get_args(Kin))
