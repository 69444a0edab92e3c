"""Settings of every test: a real X display, one Qt binding, few threads."""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")
os.environ.setdefault("QT_API", "pyqt6")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NAPARI_CONFIG", "")
"""Settings of whoever runs the tests (keys, say) are not theirs to read or write."""
