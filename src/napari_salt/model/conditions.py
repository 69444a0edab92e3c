"""How a stack meets the network: chosen once for all of it, so that any part, on any machine, is seen alike."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from napari_salt.errors import InputError


@dataclass(frozen=True)
class Conditions:
    """What `predict.prepare` chose for one stack and one adapter; torch-free, so that it can travel.

    Attributes
    ----------
    low, high, method, gamma
        Those of `framing.Intensity`.
    elsewhere
        Whether the stack is another one than was painted.
    noise
        Where neighbouring slices decide together the noise of the stack, see `noise.measure_noise`; else 0.
    volume
        Whether a slice is seen together with those around it, see `volume_filters`.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    method: Literal["percentile", "window"]
    gamma: float
    elsewhere: bool
    noise: float = 0.0
    volume: bool = False

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
            gamma, elsewhere, method = content["gamma"], content["elsewhere"], content["method"]
            noise = float(content.get("noise", 0.0))  # runs begun before it was measured
            if len(low) != len(high) or method not in ("percentile", "window") or not noise >= 0:
                raise ValueError("not the conditions of a stack")
            volume = bool(content.get("volume", False))
            return Conditions(low, high, method, float(gamma), bool(elsewhere), noise, volume)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                "What is kept of the stack's intensities is damaged; delete the unfinished run and begin anew."
            ) from error
