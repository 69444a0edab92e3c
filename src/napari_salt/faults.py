"""What the operating system refuses: through a fault of its own, as a full disk is, or through that of a path."""

from __future__ import annotations

import errno
import re

LONGEST = 1000
"""Letters of a path that are told."""
FULL = "free some space and try again"
_BROKEN = "check the disk or the network drive, and try again"
_MANY = "allow more of them (ulimit -n), or close other programs, and try again"

_ADVICE = {
    "ENOSPC": FULL,
    "EDQUOT": FULL,
    "EFBIG": "allow larger files (ulimit -f), or take a disk that holds them, and try again",
    "EIO": _BROKEN,
    "ENODEV": _BROKEN,
    "ESTALE": _BROKEN,
    "EREMOTEIO": _BROKEN,
    "ETIMEDOUT": _BROKEN,
    "EHOSTDOWN": _BROKEN,
    "EROFS": "take a disk that may be written to, or have this one mounted anew",
    "EMFILE": _MANY,
    "ENFILE": _MANY,
    "ENOMEM": "close other programs, or take a machine with more memory, and try again",
    "EAGAIN": "allow more processes (ulimit -u), or close other programs, and try again",
}
"""What helps, by the name of an error's number; names that a system does not have are left out."""

_BY_NUMBER = {
    getattr(errno, name): words for name, words in _ADVICE.items() if hasattr(errno, name)
}


def number_of(error: BaseException) -> int | None:
    """The number of a system's error; also where a library tells it in its text alone.

    Libraries in Rust say "No space left on device (os error 28)", and numpy of a full disk only "16384 requested and
    3456 written".
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    text = str(error)
    if isinstance(error, OSError) and re.fullmatch(r"\d+ requested and \d+ written", text):
        return errno.ENOSPC
    told = re.search(r"\(os error (\d{1,5})\)", text)
    return int(told[1]) if told else None


def advice(error: BaseException) -> str | None:
    """What helps against a fault of the system, for the end of a sentence; None for a path that is wrong."""
    return _BY_NUMBER.get(number_of(error) or 0)


def is_fault(error: BaseException | None) -> bool:
    """Whether an error, or what it was raised from, is a fault of the system, so that the same may work later."""
    while error is not None:
        if advice(error) is not None:
            return True
        error = error.__cause__
    return False


def refusal(error: OSError) -> str:
    """A sentence for what the system said where no check has one, as to a path that is too long."""
    about = "" if error.filename is None else f" of '{str(error.filename)[:LONGEST]}'"
    helps = advice(error) or "check the path and the folder it is in"
    return f"The system refused the use{about} ({error.strerror or error}); {helps}."


def starved(error: ImportError | MemoryError) -> str:
    """A sentence for a process that has not got what it needs to run."""
    if isinstance(error, MemoryError):
        return f"Memory has run out; {_BY_NUMBER[errno.ENOMEM]}."
    told = " ".join(str(error).split())[:LONGEST]
    return f"A package cannot be loaded ({told}); allow more memory (ulimit -v), or install napari-salt again."
