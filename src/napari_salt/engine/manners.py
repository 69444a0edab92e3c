"""How a child process behaves: it stays out of the viewer's way, and does not outlive it."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing import connection as mp_connection
from multiprocessing import parent_process

from napari_salt.allocator import keep_freed_memory
from napari_salt.engine.quiet import keep_bars_in_this_process, quiet_libraries
from napari_salt.model.load import heed_others

NICENESS = 10
"""Of this process, so that it stays out of the viewer's way: of a core that both want the viewer has nine tenths.

More would not help: two busy loops of this niceness make the stalls of somebody who paints 2 ms longer (RESULTS.md,
"painting, all cores busy"); what an engine costs beyond that is memory and caches, which no priority gives back. And
more would harm: at 19, or as SCHED_IDLE, it would have a hundredth of each core or less wherever other programs
compute, a minute's Adapt would take an hour, and the watchdog would take it for dead.
"""


def be_a_good_child() -> None:
    """To be called first in a child process."""
    # Ctrl-C in a terminal goes to the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    heed_others()
    keep_freed_memory()
    quiet_libraries()
    keep_bars_in_this_process()
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """End the process as soon as the parent is gone, even from the middle of a long step."""
    parent = parent_process()
    if parent is not None:
        mp_connection.wait([parent.sentinel])
        os._exit(1)
