"""How a child process behaves: it stays out of the viewer's way, and does not outlive it."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing import connection as mp_connection
from multiprocessing import parent_process

from napari_salt.engine.quiet import keep_bars_in_this_process, quiet_libraries


def be_a_good_child() -> None:
    """To be called first in a child process."""
    # Ctrl-C in a terminal goes to the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(10)
    quiet_libraries()
    keep_bars_in_this_process()
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """End the process as soon as the parent is gone, even from the middle of a long step."""
    parent = parent_process()
    if parent is not None:
        mp_connection.wait([parent.sentinel])
        os._exit(1)
