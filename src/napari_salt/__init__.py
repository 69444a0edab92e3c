"""Segment image stacks in napari from a handful of painted slices (SALT-adapted Segment Anything).

Importing the package pulls in neither torch nor Qt.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("napari-salt")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
