"""What is the system's own fault, and what that of a path."""

from __future__ import annotations

import errno
import os

import pytest

from napari_salt.errors import OutputError
from napari_salt.faults import advice, is_fault, number_of

OURS = ("ENOSPC", "EDQUOT", "EIO", "EROFS", "EMFILE", "ENFILE", "ENOMEM", "EFBIG", "ESTALE")
OF_PATHS = ("ENOENT", "EACCES", "EPERM", "ENOTDIR", "EISDIR", "ENAMETOOLONG", "ELOOP", "EINVAL")


def refused(name):
    number = getattr(errno, name)
    return OSError(number, os.strerror(number), "/data/a.tif")


@pytest.mark.parametrize("name", OURS)
def test_faults_of_the_system_have_their_own_advice(name):
    assert is_fault(refused(name))
    assert "permission" not in str(advice(refused(name)))


@pytest.mark.parametrize("name", OF_PATHS)
def test_paths_that_are_wrong_are_none(name):
    assert not is_fault(refused(name))


def test_what_an_error_was_raised_from_counts():
    error = OutputError("m.tif was not written.")
    error.__cause__ = RuntimeError("half way")
    error.__cause__.__cause__ = refused("ENOSPC")
    assert is_fault(error)
    assert not is_fault(OutputError("m.tif was not written."))
    assert not is_fault(None)


@pytest.mark.parametrize(
    "error",
    [
        OSError("16384 requested and 3456 written"),
        RuntimeError("Error while serializing: No space left on device (os error 28)"),
    ],
)
def test_libraries_that_tell_the_number_in_their_text(error):
    assert number_of(error) == errno.ENOSPC
    assert is_fault(error)


@pytest.mark.parametrize("error", [OSError("no number"), ValueError("3 of 4"), OSError()])
def test_errors_without_a_number(error):
    assert number_of(error) is None
    assert not is_fault(error)
