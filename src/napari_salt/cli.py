"""``napari-salt``: the loop from a terminal.

How it starts, fails and ends; ``commands`` holds what each subcommand takes (``arguments.py``) and a file for each.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import sys
from collections.abc import Sequence

from napari_salt.commands.arguments import FOR_PROGRAMS, Misused, parsed
from napari_salt.commands.ending import ended_tidily, exit_code

BAD_INPUT = 2
FAILED = 1

_LONGEST = 1000
"""Letters of an error of no kind of ours that are shown."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Returns the exit code: 0 when all went well, 2 for bad input and places that cannot be written to, 1 when
    a job failed, or the system did (a full disk), 130 after Ctrl-C, 143 where a batch system ends it (SIGTERM).
    Errors are one sentence on standard error; with ``--json`` also ``{"error": "…"}`` on standard output.
    """
    _open_streams()
    given = sys.argv[1:] if arguments is None else arguments
    try:
        with ended_tidily():
            return _run_told(given)
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing more can be said there, not even at exit.
        sys.stdout = None
        return 0


def _run_told(given: Sequence[str]) -> int:
    """Run what was given; what goes wrong is said, to people and to programs that asked for it."""
    from napari_salt.errors import InputError, NapariSaltError, OutputError
    from napari_salt.faults import is_fault, refusal, starved

    try:
        _run(parsed(given))
    except (Misused, InputError, OutputError) as error:
        sentence, code = str(error), FAILED if is_fault(error) else BAD_INPUT
    except NapariSaltError as error:
        sentence, code = str(error), FAILED
    except KeyboardInterrupt as stop:
        sentence, code = "Stopped.", exit_code(stop)
    except BrokenPipeError:
        raise
    except OSError as error:
        sentence, code = refusal(error), FAILED if is_fault(error) else BAD_INPUT
    except (ImportError, MemoryError) as error:
        sentence, code = starved(error), FAILED
    except Exception as error:
        if _for_programs(given):
            _tell_programs(f"napari-salt has a fault: {type(error).__name__}: {error}"[:_LONGEST])
        raise
    else:
        return 0
    from napari_salt.checked import shown

    with contextlib.suppress(OSError):  # where nobody reads any more, the exit code tells
        sys.stderr.write(f"napari-salt: {shown(sentence)}\n")
        sys.stderr.flush()
    if _for_programs(given):
        _tell_programs(sentence)
    return code


def _for_programs(given: Sequence[str]) -> bool:
    """Whether ``--json`` is among arguments that need not be right otherwise; argparse takes it cut short as well."""
    return any(len(one) > len("--") and FOR_PROGRAMS.startswith(one) for one in given)


def _tell_programs(sentence: str) -> None:
    """The error as the one JSON object on standard output; a stream that takes nothing is left alone."""
    try:
        sys.stdout.write(json.dumps({"error": sentence}) + "\n")
        sys.stdout.flush()
    except OSError:
        sys.stdout = None


def _open_streams() -> None:
    """Standard output and error that were closed for us (as by ``>&-``) lead nowhere, and to no file of ours."""
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as we run
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _run(args: argparse.Namespace) -> None:
    from napari_salt.allocator import keep_freed_memory
    from napari_salt.commands.console import open_console

    keep_freed_memory()
    with open_console(as_json=args.json) as console:
        command = importlib.import_module(f"napari_salt.commands.{args.command}")
        command.run(args, console)


if __name__ == "__main__":
    sys.exit(main())
