"""Errors that reach the user: each message is one plain sentence that names a way out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class NapariSaltError(Exception):
    """Base of every error that napari-salt raises on purpose."""


class InputError(NapariSaltError):
    """What the user gave cannot be used; nothing was started and nothing was lost."""


@dataclass(frozen=True)
class Choice:
    """One of several images at a path: ``text`` says which, ``path`` and ``series`` open it."""

    text: str
    path: str
    series: str | None = None


class ChoiceNeeded(InputError):
    """A path holds several images, and one must be chosen; the message lists them and says how."""

    def __init__(self, sentence: str, choices: Sequence[Choice]) -> None:
        super().__init__(sentence)
        self.choices = tuple(choices)


class UnreadableSlice(InputError):
    """Pixels of slice ``index`` cannot be read; those of others may be."""

    def __init__(self, sentence: str, index: int = -1) -> None:
        super().__init__(sentence)
        self.index = index


class WeightsError(InputError):
    """Backbone or text weights are missing, unknown, or not the file they claim to be."""


class AdapterError(InputError):
    """An adapter file cannot be read, or does not belong to these base weights."""


class UnknownLabelName(InputError):
    """A label name is far from every name that the adapter was trained with."""


class MissingExtra(InputError):
    """An optional package is needed; the message says which extra to install."""


class SessionInUse(InputError):
    """A session folder is open in another window, which alone may write to it."""


class OutputError(NapariSaltError):
    """A result could not be written; what was there before is untouched."""


class JobFailed(NapariSaltError):
    """A job ended with an error; only that job is lost."""


class JobStopped(NapariSaltError):
    """A job ended because the user stopped it."""


class WorkerError(NapariSaltError):
    """A worker of a cluster cannot do its part; the message begins in the middle of a sentence."""
