"""A page of a TIFF that is damaged costs that page, and not the whole adapt."""

from __future__ import annotations

import pytest
import tifffile
from cli_data import disks


@pytest.fixture(scope="module")
def torn(cli, data):
    """The image of the folder, compressed, with the compressed bytes of slice 3 overwritten."""
    path = cli.folder / "torn.tif"
    image, _ = disks()
    tifffile.imwrite(path, image, compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(path) as file:
        page = file.pages[3]
        place, length = page.dataoffsets[0], page.databytecounts[0]
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * length)
    return path


def test_adapt_leaves_out_what_cannot_be_read_and_says_so(cli, torn, tmp_path):
    out = tmp_path / "a.salt.safetensors"
    done = cli(
        "adapt", torn, "labels.tif", "--names", "1=disk,2=box", "--slices", "1,5", "--complete",
        "--kind", "none", "--this-stack-only", "--device", "cpu", "--out", out,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Slice 3 cannot be read and was left out." in done.stderr.splitlines()
    assert out.is_file()
    masks = tmp_path / "masks.tif"
    done = cli("segment", torn, out, "--slices", "0-2", "--out", masks)
    assert done.returncode == 0, done.stderr
    done = cli("segment", torn, out, "--out", masks)
    assert done.returncode != 0
    assert "torn.tif" in done.stderr, "masks with a hole are not written unless one is asked for"


def test_a_painted_slice_that_cannot_be_read_is_named(cli, torn, tmp_path):
    out = tmp_path / "a.salt.safetensors"
    done = cli(
        "adapt", torn, "labels.tif", "--names", "1=disk,2=box", "--slices", "3", "--complete",
        "--kind", "none", "--this-stack-only", "--device", "cpu", "--out", out,
    )  # fmt: skip
    assert done.returncode != 0
    assert not out.exists()
