"""What we write, read with tifffile alone; all of it or nothing."""

from __future__ import annotations

import errno
import os
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from napari_salt.errors import InputError, OutputError
from napari_salt.io import write as write_module
from napari_salt.io.read import read_labels
from napari_salt.io.write import write_image, write_masks

NAMES = {1: "gray matter", 2: "white <µ> “matter”"}
COLORS = {1: (1.0, 0.0, 0.0, 1.0), 2: (0.0, 0.5, 1.0, 1.0)}
SPACING, MICRONS = (2.5, 0.65, 0.5), ("um", "um", "um")


def ids(largest, shape=(3, 4, 5)):
    labels = np.zeros(shape, np.int64)
    labels[-1, 0, 0] = largest
    labels[0] = 1
    return labels


def described(tif):
    """Sizes of an OME-TIFF by an XML reader of its own."""
    root = ElementTree.fromstring(tif.ome_metadata)
    return next(element.attrib for element in root.iter() if element.tag.endswith("Pixels"))


def test_imagej(tmp_path):
    path = write_masks(
        tmp_path / "m.tif", ids(2), names=NAMES, colors=COLORS, spacing=SPACING, units=MICRONS
    )
    with tifffile.TiffFile(path) as tif:
        meta, tags, series = tif.imagej_metadata, tif.pages[0].tags, tif.series[0]
        assert (tif.is_imagej, series.axes, series.dtype) == (True, "ZYX", np.uint8)
        assert (meta["slices"], meta["spacing"], meta["unit"]) == (3, 2.5, "micron")
        assert (meta["min"], meta["max"]) == (0.0, 2.0)
        assert all(name in meta["Info"] for name in NAMES.values())
        for tag, size in (("XResolution", 0.5), ("YResolution", 0.65)):
            pixels, per = tags[tag].value
            assert per / pixels == pytest.approx(size, rel=1e-9)
        np.testing.assert_array_equal(series.asarray(), ids(2))


def test_ome(tmp_path):
    path = write_masks(
        tmp_path / "m.ome.tif",
        ids(70000),
        names=NAMES,
        colors=COLORS,
        spacing=SPACING,
        units=MICRONS,
    )
    with tifffile.TiffFile(path) as tif:
        assert (tif.is_ome, tif.series[0].axes, tif.series[0].dtype) == (True, "ZYX", np.uint32)
        sizes = described(tif)
        assert [float(sizes[f"PhysicalSize{axis}"]) for axis in "ZYX"] == [2.5, 0.65, 0.5]
        assert {sizes[f"PhysicalSize{axis}Unit"] for axis in "ZYX"} == {"µm"}
        pairs = {
            m.get("K"): m.text
            for m in ElementTree.fromstring(tif.ome_metadata).iter()
            if m.tag.endswith("}M") and not (m.text or "").startswith("#")
        }
        assert pairs == {"1": NAMES[1], "2": NAMES[2]}
        np.testing.assert_array_equal(tif.series[0].asarray(), ids(70000))


@pytest.mark.parametrize(
    ("name", "flavour", "largest", "dtype", "kind"),
    [
        ("m.tif", "auto", 1, "uint8", "imagej"),
        ("m.tif", "auto", 255, "uint8", "imagej"),
        ("m.tif", "auto", 256, "uint16", "imagej"),
        ("m.TIFF", "auto", 65535, "uint16", "imagej"),
        ("m.tif", "auto", 65536, "uint32", "ome"),
        ("m.tif", "ome", 1, "uint8", "ome"),
        ("m.ome.tif", "auto", 1, "uint8", "ome"),
    ],
)
def test_smallest_type_and_flavour(tmp_path, name, flavour, largest, dtype, kind):
    path = write_masks(tmp_path / name, ids(largest), flavour=flavour)
    with tifffile.TiffFile(path) as tif:
        assert (tif.series[0].dtype.name, tif.series[0].kind) == (dtype, kind)
        assert tif.asarray().max() == largest


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("flavour", ["imagej", "ome"])
def test_compression_loses_nothing(tmp_path, flavour, compress):
    labels = np.random.default_rng(0).integers(0, 400, (4, 30, 20))
    path = write_masks(tmp_path / "m.tif", labels, flavour=flavour, compress=compress)
    np.testing.assert_array_equal(tifffile.imread(path), labels)
    with tifffile.TiffFile(path) as tif:
        assert (tif.pages[0].compression != 1) is compress


def test_time_series(tmp_path):
    one = write_masks(tmp_path / "i.tif", ids(1), spacing=(500, 1, 1), units=("ms", "um", "um"))
    two = write_masks(tmp_path / "o.ome.tif", ids(1), spacing=(500, 1, 1), units=("ms", "um", "um"))
    with tifffile.TiffFile(one) as tif:
        assert (tif.series[0].axes, tif.imagej_metadata["frames"]) == ("TYX", 3)
        assert tif.imagej_metadata["finterval"] == 0.5
    with tifffile.TiffFile(two) as tif:
        assert tif.series[0].axes == "TYX"
        assert described(tif)["TimeIncrement"] == "500.0"
        assert described(tif)["TimeIncrementUnit"] == "ms"


def test_lengths_are_brought_to_one_unit(tmp_path):
    path = write_masks(
        tmp_path / "m.tif", ids(1), spacing=(0.002, 650, 0.5), units=("mm", "nm", "um")
    )
    with tifffile.TiffFile(path) as tif:
        assert tif.imagej_metadata["spacing"] == 2.0
        assert tif.imagej_metadata["unit"] == "micron"


def test_large_files_are_big_tiff(tmp_path, monkeypatch):
    monkeypatch.setattr(write_module, "CLASSIC_LIMIT", 59)
    path = write_masks(tmp_path / "m.tif", ids(1))
    with tifffile.TiffFile(path) as tif:
        assert (tif.is_bigtiff, tif.series[0].kind) == (True, "ome")
    with pytest.raises(InputError, match="4 GB"):
        write_masks(tmp_path / "m.tif", ids(1), flavour="imagej")


class OneSlice:
    """An array that can only be read one slice at a time."""

    shape, dtype = (3, 4, 5), np.dtype("int32")

    def __init__(self):
        self.asked = []

    def __getitem__(self, index):
        self.asked.append(index)
        return np.full((4, 5), index, np.int32)


def test_one_slice_is_read_at_a_time(tmp_path):
    lazy = OneSlice()
    path = write_masks(tmp_path / "m.tif", lazy)
    assert lazy.asked == [0, 1, 2, 0, 1, 2]
    np.testing.assert_array_equal(tifffile.imread(path)[:, 0, 0], [0, 1, 2])


@pytest.mark.parametrize(
    ("dtype", "written", "kind"),
    [
        ("float16", "float32", "imagej"),
        ("float64", "float32", "imagej"),
        ("bool", "uint8", "imagej"),
        ("int32", "int32", "ome"),
        (">u2", "uint16", "imagej"),
    ],
)
def test_images(tmp_path, dtype, written, kind):
    image = np.array([[[0, 1]], [[1, 0]]]).astype(dtype)
    path = write_image(tmp_path / "u.tif", image, spacing=SPACING, units=MICRONS)
    with tifffile.TiffFile(path) as tif:
        assert (tif.series[0].dtype.name, tif.series[0].kind) == (written, kind)
        np.testing.assert_array_equal(tif.series[0].asarray(), image.astype(written))


@pytest.mark.parametrize(
    ("name", "labels", "options", "word"),
    [
        ("m.png", ids(1), {}, r"\.tif, \.tiff"),
        ("m", ids(1), {}, r"\.tif, \.tiff"),
        ("m.tif", -ids(1), {}, "whole numbers"),
        ("m.tif", ids(1) / 2, {}, "whole numbers"),
        ("m.tif", ids(1) * np.nan, {}, "whole numbers"),
        ("m.tif", ids(2**32), {}, "whole numbers"),
        ("m.tif", ids(1)[0], {}, "slices, rows and columns"),
        ("m.tif", ids(1)[:0], {}, "slices, rows and columns"),
        ("m.tif", ids(70000), {"flavour": "imagej"}, "choose the OME flavour"),
        ("m.ome.tif", ids(1), {"flavour": "imagej"}, "name it .tif"),
        ("m.tif", ids(1), {"spacing": (1, 1)}, "three sizes"),
        ("m.tif", ids(1), {"spacing": (1, 0, 1)}, "positive"),
    ],
)
def test_what_cannot_be_written(tmp_path, name, labels, options, word):
    with pytest.raises(InputError, match=word):
        write_masks(tmp_path / name, labels, **options)
    assert list(tmp_path.iterdir()) == []


# ---- all of it or nothing


def failing(number, after=2):
    """Planes that a full disk stops half way."""

    class Failing(OneSlice):
        def __getitem__(self, index):
            if len(self.asked) >= 3 + after:
                raise OSError(number, "no")
            return super().__getitem__(index)

    return Failing()


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "disk is full"),
        (errno.EACCES, "choose another place"),
        (errno.EIO, "check the disk"),
    ],
)
def test_a_failed_write_leaves_what_was_there(tmp_path, number, word):
    path = write_masks(tmp_path / "m.tif", ids(1), names=NAMES)
    before = path.read_bytes()
    with pytest.raises(OutputError, match=word):
        write_masks(path, failing(number))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_called_so_where_numpy_met_it(tmp_path):
    class Full(OneSlice):
        def __getitem__(self, index):
            if len(self.asked) > 4:
                raise OSError("16384 requested and 3456 written")
            return super().__getitem__(index)

    with pytest.raises(OutputError, match=r"The disk is full, so m.tif was not written; free some"):
        write_masks(tmp_path / "m.tif", Full())


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_the_last_moment_counts_too(tmp_path, monkeypatch, where):
    path = write_masks(tmp_path / "m.tif", ids(1))
    before = path.read_bytes()

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"napari_salt.io.atomic.os.{where}", full)
    with pytest.raises(OutputError, match="free some space"):
        write_masks(path, ids(2))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_ours_leaves_nothing_behind(tmp_path):
    class Broken(OneSlice):
        def __getitem__(self, index):
            if len(self.asked) > 4:
                raise InputError("The image is gone; open it again.")
            return super().__getitem__(index)

    with pytest.raises(InputError, match="gone"):
        write_masks(tmp_path / "m.tif", Broken())
    assert list(tmp_path.iterdir()) == []


def test_folders(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        write_masks(tmp_path / "no" / "m.tif", ids(1))
    (tmp_path / "d.tif").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        write_masks(tmp_path / "d.tif", ids(1))


def test_a_link_is_followed(tmp_path):
    target = tmp_path / "real.tif"
    target.touch()
    (tmp_path / "link.tif").symlink_to(target)
    write_masks(tmp_path / "link.tif", ids(2))
    assert (tmp_path / "link.tif").is_symlink()
    assert tifffile.imread(target).max() == 2


def test_writing_over_the_file_that_is_being_read(tmp_path):
    path = write_masks(tmp_path / "m.tif", ids(2), names=NAMES)
    lazy = read_labels(path)
    write_masks(path, 2 * lazy.labels)
    assert (lazy.plane(2).max(), read_labels(path).plane(2).max()) == (2, 4)


@pytest.mark.skipif(os.name == "nt", reason="file names are text there")
@pytest.mark.parametrize(
    ("name", "told"), [("日本", "日本"), (os.fsdecode(b"caf\xe9"), "caf\ufffd"), ("a\x1bb", "a_b")]
)
def test_any_file_name_is_told_in_ome_xml(tmp_path, name, told):
    path = write_masks(tmp_path / f"{name}.ome.tif", ids(1), names=NAMES)
    with tifffile.TiffFile(path) as tif:
        (image,) = ElementTree.fromstring(tif.ome_metadata).findall("{*}Image")
    assert image.get("Name") == f"{told}.ome.tif"
    assert read_labels(path).names == NAMES
