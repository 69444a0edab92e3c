"""Docks that nobody closed are closed while Python still has threads, which saving needs.

A script that ends by an error, or without ``napari.run()``, leaves its dock to Qt, which deletes it long after the last
moment at which a thread could be asked for anything: what was painted since the last save would be lost.
"""

from __future__ import annotations

import atexit
import threading
from functools import cache
from typing import Protocol
from weakref import WeakSet

from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication

_LAST_WAIT = 3000
"""Milliseconds for jobs to come back: one that answers after Qt is gone takes the whole process down."""


class _Closes(Protocol):
    def close(self) -> None: ...


_open: WeakSet[_Closes] = WeakSet()


def close_at_exit(one: _Closes) -> None:
    """Close ``one`` when Python ends, should it still be there then; to close it a second time must do no harm."""
    _listen()
    _open.add(one)


@cache
def _listen() -> None:
    """Ask to be called, once.

    What `atexit` calls comes after the threads of all executors were ended, zarr's among them. What `threading` calls
    comes before; it has no public way to ask for that.
    """
    getattr(threading, "_register_atexit", atexit.register)(_close_all)


def _close_all() -> None:
    left = list(_open)
    for one in left:
        one.close()
    pool = QThreadPool.globalInstance()
    if left and pool is not None:
        pool.waitForDone(_LAST_WAIT)
    if left:
        # a window that is still open when Python lets go of Qt takes the process down now and then
        QApplication.closeAllWindows()
        QApplication.processEvents()
