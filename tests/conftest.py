"""Settings of every test: a real X display, one Qt binding, few threads."""

from __future__ import annotations

import contextlib
import os

import pytest

# PyTorch's compiler and software OpenGL bring an LLVM each; loaded after a window was drawn, the former has crashed.
with contextlib.suppress(ImportError):
    import triton  # noqa: F401

os.environ.setdefault("QT_QPA_PLATFORM", "xcb")
os.environ.setdefault("QT_API", "pyqt6")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NAPARI_CONFIG", "")
"""Settings of whoever runs the tests (keys, say) are not theirs to read or write."""


LONGEST = ("test_afternoon.py", "test_loop.py", "test_fit_predict.py", "test_dock_real.py")


def pytest_collection_modifyitems(items):
    """The longest files come first, so that at the end no process works on one of them alone."""
    items.sort(
        key=lambda item: (
            LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST)
        )
    )


@pytest.fixture(scope="session")
def tiny_work(tmp_path_factory):
    """A folder with image.tif (300 small slices), labels and a.salt.safetensors, see `tiny`; to be left as it is."""
    import tiny

    folder = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_SALT_CACHE", str(folder / "cache"))
        tiny.write_work(folder)
    return folder


@pytest.fixture(autouse=True)
def own_sessions(tmp_path_factory, monkeypatch):
    """Sessions kept by a test are found by no other test, and never by the user."""
    monkeypatch.setenv("NAPARI_SALT_SESSIONS", str(tmp_path_factory.mktemp("sessions")))
    monkeypatch.setenv("NAPARI_SALT_RESCUE", str(tmp_path_factory.mktemp("rescue")))
