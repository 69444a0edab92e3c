"""Files made to do harm: each is refused by one sentence, before memory or time is spent on it."""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import tifffile
import torch
import zarr
from pydicom.uid import DeflatedExplicitVRLittleEndian
from safetensors.torch import save_file

from format_data import dicom_file
from fuzz_seeds import LABELS, make_adapter
from napari_salt.errors import AdapterError, InputError, NapariSaltError, WeightsError
from napari_salt.io.mask_store import MASKS, MadeOf, MaskStore
from napari_salt.io.read import read_labels, read_stack
from napari_salt.io.session_folder import ADAPTERS, JOURNAL, PAINT, STATE, SessionFolder, read_state
from napari_salt.io.session_state import SessionState
from napari_salt.io.zarr_chunks import zstd_size
from napari_salt.model.adapter_file import load_adapter, read_info
from napari_salt.model.adapter_header import HEADER_KEY, LARGEST_HEADER
from napari_salt.model.adapter_info import MOST_LABELS
from napari_salt.model.backbones import checkpoint
from napari_salt.records import FitRecord, Round, SlicePrediction, SliceSummary, StackInfo

MEGABYTE = 1024**2


def peak_of(work: Callable[[], Any]) -> int:
    """Most bytes that Python and numpy took while something was refused."""
    tracemalloc.start()
    try:
        with pytest.raises(NapariSaltError) as caught:
            work()
        assert "\n" not in str(caught.value)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# ---- adapters


@pytest.fixture
def adapter(tmp_path) -> Path:
    path = make_adapter(tmp_path)
    assert load_adapter(path).labels == LABELS
    return path


def redescribed(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(read_info(path).to_json())
    change(content)
    save_file({"x": torch.zeros(2)}, path, metadata={HEADER_KEY: json.dumps(content)})


@pytest.mark.parametrize("length", [LARGEST_HEADER + 1, 10**8, 2**63, 2**64 - 1, 5000])
def test_a_header_longer_than_the_file_or_the_limit_is_not_read(adapter, length):
    adapter.write_bytes(length.to_bytes(8, "little") + b"{}" * 100)
    assert peak_of(lambda: read_info(adapter)) < MEGABYTE


def test_a_hundred_megabytes_of_description_are_not_read(adapter):
    with adapter.open("wb") as file:
        file.write((100 * MEGABYTE).to_bytes(8, "little"))
        file.truncate(100 * MEGABYTE + 8)
    assert peak_of(lambda: load_adapter(adapter)) < MEGABYTE


def test_brackets_without_end_are_refused(adapter):
    header = b"[" * 1_000_000
    adapter.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(AdapterError):
        read_info(adapter)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["labels"][0].update(label_id=-1),
        lambda c: c["labels"][0].update(label_id=0),
        lambda c: c["labels"][0].update(label_id=2**40),
        lambda c: c["labels"][0].update(label_id="1"),
        lambda c: c["labels"][1].update(label_id=1),
        lambda c: c["labels"][0].update(name="a\nb"),
        lambda c: c["labels"][0].update(name="\x1b[2J"),
        lambda c: c["labels"][0].update(name="n" * 100_000),
        lambda c: c["labels"][0].update(color=[2, 0, 0, 1]),
        lambda c: c["labels"][0].update(color=[float("nan")] * 4),
        lambda c: c.update(labels=c["labels"] * (MOST_LABELS + 1)),
        lambda c: c.update(rank=10**30),
        lambda c: c.update(frame_size=-4),
        lambda c: c.update(frame_size=2**40),
        lambda c: c.update(zoom=0),
        lambda c: c.update(zoom=1e9),
        lambda c: c.update(zoom=float("nan")),
        lambda c: c.update(fine=1e-30),
        lambda c: c.update(channels=True),
        lambda c: c.update(kind="evil"),
        lambda c: c.update(intensity=None),
        lambda c: c["intensity"].update(low=[float("inf")]),
        lambda c: c["intensity"].update(high=[]),
        lambda c: c["intensity"].update(method="eval"),
        lambda c: c.update(taps=[["neck", 2**40]]),
        lambda c: c.update(taps=[]),
        lambda c: c.update(taps=[["neck", 4]] * 1000),
        lambda c: c.update(text_model=5),
        lambda c: c.update(spacing=[1, 1, 10**400]),
        lambda c: c.update(units="um"),
        lambda c: c["record"].update(seconds="long"),
        lambda c: c["record"].update(slices=[-1]),
        lambda c: c["record"].update(held_out_after=7),
        lambda c: c["record"].update(held_out_by_label=[["x"]]),
        lambda c: c.update(unknown=1),
    ],
)
def test_a_description_with_a_wrong_value_is_refused(adapter, change):
    redescribed(adapter, change)
    with pytest.raises(AdapterError, match="damaged or not from napari-salt"):
        read_info(adapter)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex64, torch.float8_e4m3fn])
def test_tensors_of_other_types_are_refused(adapter, dtype):
    info = read_info(adapter)
    save_file({"x": torch.zeros(2).to(dtype)}, adapter, metadata={HEADER_KEY: info.to_json()})
    with pytest.raises(AdapterError, match="damaged"):
        load_adapter(adapter)


@pytest.mark.parametrize(
    "tensor",
    [
        {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2**31, 2**31, 4], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 2**50]},
        {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]},
        {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]},
        {"dtype": "PICKLE", "shape": [2], "data_offsets": [0, 8]},
    ],
)
def test_tensors_that_are_not_there_take_no_memory(adapter, tensor):
    metadata = {HEADER_KEY: read_info(adapter).to_json()}
    header = json.dumps({"__metadata__": metadata, "x": tensor}).encode()
    adapter.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    assert peak_of(lambda: load_adapter(adapter)) < MEGABYTE


# ---- sessions


@pytest.fixture
def session(tmp_path) -> Path:
    path = tmp_path / "x.salt"
    record = FitRecord("salt", "lite-medsam", (1,), 3, 9.5, 70, "adapted")
    state = SessionState(
        StackInfo((3, 64, 64)), "abc", rounds=(Round(1, record, "round-1.salt.safetensors", 1),)
    )
    made = SessionFolder.create(path, state)
    made.save(state, {1: np.ones((64, 64), np.uint16)})
    made.close()
    return path


MARK = "0123456789abcdef"
AGREED: dict[str, Any] = {"mark": MARK, "changed": [1], "complete": [], "relabelled": False}


def refused(path: Path, match: str = "damaged") -> None:
    with pytest.raises(InputError, match=match):
        SessionFolder.open_folder(path).paint(1)


@pytest.mark.parametrize("place", [".", ADAPTERS, f"{PAINT}/c", f"{PAINT}/c/1/0"])
@pytest.mark.parametrize("target", ["file", "folder", "nothing"])
def test_links_anywhere_in_a_session_are_refused(session, tmp_path, place, target):
    outside = tmp_path / "outside"
    if target == "file":
        outside.write_text("secret")
    elif target == "folder":
        outside.mkdir()
    (session / place / "link").symlink_to(outside)
    refused(session, "links to other places")


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in folders there")
def test_a_pipe_in_a_session_holds_nobody_up(session):
    os.mkfifo(session / PAINT / "c" / "pipe")
    refused(session, "not opened")


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/passwd", "a/b", "a\\b", "C:x", "..", ".hidden", "CON", "nul.txt", "", "a\0"],
)
def test_adapters_of_a_session_lie_in_it(session, name):
    content = json.loads((session / STATE).read_text())
    content["rounds"][0]["adapter_path"] = name
    (session / STATE).write_text(json.dumps(content))
    refused(session)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["settings"].update(kind="evil"),
        lambda c: c["settings"].update(rank="8"),
        lambda c: c["settings"].update(steps=-1),
        lambda c: c["settings"].update(device=None),
        lambda c: c["settings"].update(time_budget=float("nan")),
        lambda c: c["stack"].update(shape=[3, 10**12, 10**12]),
        lambda c: c["stack"].update(spacing=[10**400, 1, 1]),
        lambda c: c.update(painted=[3]),
        lambda c: c.update(version=-1),
        lambda c: c["rounds"][0]["record"].update(kept="maybe"),
        lambda c: c.update(agreed=[]),
        lambda c: c.update(agreed={"mark": MARK}),
        lambda c: c.update(agreed=AGREED | {"mark": "../../secret/abcd"}),
        lambda c: c.update(agreed=AGREED | {"mark": MARK + "\n"}),
        lambda c: c.update(agreed=AGREED | {"mark": 1}),
        lambda c: c.update(agreed=AGREED | {"changed": [3]}),
        lambda c: c.update(agreed=AGREED | {"changed": [-1]}),
        lambda c: c.update(agreed=AGREED | {"complete": [True]}),
        lambda c: c.update(agreed=AGREED | {"relabelled": 1}),
    ],
)
def test_a_state_with_a_wrong_value_is_refused(session, change):
    content = json.loads((session / STATE).read_text())
    change(content)
    (session / STATE).write_text(json.dumps(content))
    refused(session)


def test_a_state_without_end_is_not_read(session):
    with (session / STATE).open("wb") as file:
        file.truncate(100 * MEGABYTE)
    assert peak_of(lambda: read_state(session)) < MEGABYTE


@pytest.mark.parametrize("size", [10 * MEGABYTE, 10**12])
def test_a_chunk_that_becomes_much_more_is_not_unpacked(session, size):
    chunk = session / PAINT / "c" / "1" / "0" / "0"
    bomb = numcodecs.Zstd().encode(bytes(10 * MEGABYTE))
    assert len(bomb) < 10_000
    if size > 10 * MEGABYTE:
        bomb = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", size) + b"\x01\x00\x00"
    assert zstd_size(bomb) == size
    chunk.write_bytes(bomb)
    folder = SessionFolder.open_folder(session)
    assert peak_of(lambda: folder.paint(1)) < MEGABYTE
    folder.close()


@pytest.mark.parametrize("shape", [(3, 10**6, 10**6), (3, 64, 65)])
def test_agreed_paint_of_another_size_is_not_read(session, shape):
    content = json.loads((session / STATE).read_text())
    (session / STATE).write_text(json.dumps(content | {"agreed": AGREED}))
    array = session / f"agreed-{MARK}.zarr"
    zarr.create_array(array, shape=shape, chunks=(1, *shape[1:]), dtype="uint16", fill_value=1)
    folder = SessionFolder.open_folder(session)
    assert peak_of(folder.agreed_paint) < 8 * MEGABYTE
    folder.close()


@pytest.mark.parametrize("length", [0, 1, 255, 256, 257, 65_791, 65_792, 1_000_000])
def test_the_size_of_a_frame_is_read_as_it_was_written(length):
    assert zstd_size(numcodecs.Zstd().encode(bytes(length))) == (length or None) or length == 0


def write_journal(session: Path, **entries: bytes) -> None:
    with zipfile.ZipFile(session / JOURNAL, "w", zipfile.ZIP_DEFLATED) as journal:
        journal.write(session / STATE, STATE)
        for name, content in entries.items():
            journal.writestr(f"{name.strip('_')}.npy", content)


def npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


@pytest.mark.parametrize(
    "entry",
    [
        {"_99": npy(np.ones((64, 64), np.uint16))},
        {"_-1": npy(np.ones((64, 64), np.uint16))},
        {"_1": npy(np.ones((64, 64), np.float32))},
        {"_1": npy(np.ones((4, 4), np.uint16))},
        {"_1": npy(np.ones((64, 64), np.uint16))[:-5]},
        {"_1": bytes(50 * MEGABYTE)},
        {"_1": npy(np.ones((64, 64), np.uint16)).replace(b"(64, 64)", b"(9**9,9)")},
        {"_1": npy(np.ones((64, 64), np.uint16)).replace(b"(64, 64)", b"(10**12)")},
    ],
)
def test_a_journal_that_is_no_paint_changes_nothing(session, entry):
    before = (session / STATE).read_bytes()
    write_journal(session, **entry)
    assert peak_of(lambda: SessionFolder.open_folder(session)) < 8 * MEGABYTE
    assert (session / STATE).read_bytes() == before
    (session / JOURNAL).unlink()
    assert (SessionFolder.open_folder(session).paint(1) == 1).all()


def test_a_journal_that_is_damaged_at_its_end_changes_nothing(session):
    write_journal(
        session, _1=npy(np.full((64, 64), 7, np.uint16)), _2=npy(np.ones((64, 64), "<u2"))
    )
    content = bytearray((session / JOURNAL).read_bytes())
    at = content.rindex(b"PK\x03\x04") + 60
    content[at] ^= 0xFF
    (session / JOURNAL).write_bytes(content)
    refused(session)
    (session / JOURNAL).unlink()
    assert (SessionFolder.open_folder(session).paint(1) == 1).all()


# ---- images


def ome(planes: int, extra: str = "<TiffData/>", head: str = "") -> str:
    return (
        f'<?xml version="1.0"?>{head}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="4" SizeY="4" '
        f'SizeZ="{planes}" SizeC="1" SizeT="1">{extra}</Pixels></Image></OME>'
    )


@pytest.mark.parametrize(
    "text",
    [
        ome(10**7),
        ome(10**18),
        ome(1, "<TiffData/>&b;", '<!DOCTYPE x [<!ENTITY a "aaa"><!ENTITY b "&a;&a;">]>'),
        ome(2, '<TiffData><UUID FileName="../secret.ome.tif">urn:uuid:1</UUID></TiffData>'),
        ome(2, '<TiffData><UUID FileName="\\\\server\\x.ome.tif">urn:uuid:1</UUID></TiffData>'),
    ],
)
def test_xml_in_a_tiff_is_looked_through(tmp_path, text):
    path = tmp_path / "x.ome.tif"
    tifffile.imwrite(path, np.zeros((4, 4), np.uint16), description=text, metadata=None)
    assert peak_of(lambda: read_stack(path).plane(0)) < 8 * MEGABYTE


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tiff_of_a_million_times_a_million_pixels_takes_no_memory(tmp_path, compression):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.zeros((4, 4), np.uint16), compression=compression, metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tif.pages[0].tags[name].overwrite(10**6)
    assert peak_of(lambda: read_stack(path).plane(0)) < 8 * MEGABYTE


def test_pages_in_a_circle_come_to_an_end(tmp_path):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.zeros((3, 4, 4), np.uint16), photometric="minisblack", metadata=None)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        last, first = tif.pages[2].offset, tif.pages[1].offset
        tags = len(tif.pages[2].tags)
    content[last + 2 + 12 * tags : last + 6 + 12 * tags] = struct.pack("<I", first)
    path.write_bytes(content)
    assert read_stack(path).info.shape[0] in (2, 3)


def test_a_page_that_lists_one_of_a_million_tiles_is_refused(tmp_path):
    path = tmp_path / "wide.tif"
    plane = np.arange(256, dtype=np.uint16).reshape(16, 16)
    tifffile.imwrite(path, plane, tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages[0].tags["ImageWidth"].overwrite(16_000_000)
    with pytest.raises(InputError, match="1 of its 1,000,000 parts"):
        read_stack(path)


@pytest.mark.parametrize("edge", [20_000, 10**6])
def test_a_picture_larger_than_it_looks_is_not_unpacked(tmp_path, edge):
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    head = struct.pack(">IIBBBBB", edge, edge, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(10 * MEGABYTE), 9)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", body), chunk(b"IEND", b""))
    path = tmp_path / "x.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    assert peak_of(lambda: read_stack(path)) < MEGABYTE


def test_an_image_without_pixels_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((0, 4, 4), np.uint8))
    with pytest.raises(InputError, match="is empty"):
        read_stack(tmp_path / "x.npy")


@pytest.fixture
def inflating(tmp_path) -> Path:
    """A DICOM file of some 20 KiB, which zlib makes 16 MiB of."""
    file = dicom_file(np.zeros((4096, 4096), np.uint8), series="1.7")
    file.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    (tmp_path / "s").mkdir()
    file.save_as(tmp_path / "s" / "bomb.dcm", enforce_file_format=True)
    return tmp_path / "s" / "bomb.dcm"


@pytest.mark.parametrize("reader", [read_stack, read_labels])
def test_a_dicom_file_is_not_inflated_for_its_header(inflating, reader):
    with pytest.raises(InputError, match=r"^bomb\.dcm is compressed as Deflated .*; export it"):
        reader(inflating)
    assert peak_of(lambda: reader(inflating)) < 8 * MEGABYTE
    assert peak_of(lambda: reader(inflating.parent)) < 8 * MEGABYTE


def test_a_file_beside_a_deflated_one_opens_without_a_look_into_it(inflating):
    good = inflating.with_name("good.dcm")
    dicom_file(np.full((4, 4), 7, np.uint8)).save_as(good, enforce_file_format=True)
    tracemalloc.start()
    try:
        assert read_stack(good).plane(0).max() == 7
        assert tracemalloc.get_traced_memory()[1] < 8 * MEGABYTE
    finally:
        tracemalloc.stop()


# ---- checkpoints


def test_a_checkpoint_that_is_compressed_is_refused(tmp_path):
    path = tmp_path / "x.pth"
    torch.save({"a": torch.zeros(1000)}, path)
    assert set(checkpoint.read_state(path)) == {"a"}
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content + bytes(MEGABYTE) * name.endswith("data/0"))
    with pytest.raises(WeightsError):
        checkpoint.read_state(path)


# ---- kept predictions, in a session folder or beside masks that are not finished


@pytest.fixture
def masks(tmp_path) -> Path:
    path = tmp_path / "masks"
    made_of = MadeOf("a" * 64, "abc", (3, 64, 64), LABELS, uncertainty=True)
    store = MaskStore.begin(path, made_of, StackInfo((3, 64, 64)))
    ones = np.ones((64, 64), np.uint16)
    store.put(SlicePrediction(1, ones, ones.astype(np.float16), SliceSummary(1, 0.5)))
    store.close()
    assert (MaskStore.open_store(path).prediction(SliceSummary(1, 0.5)).labels == 1).all()
    return path


def test_a_mask_that_becomes_much_more_is_not_unpacked(masks):
    (chunk,) = (masks / MASKS).glob("c.1.*")
    chunk.write_bytes(numcodecs.Zstd().encode(bytes(64 * MEGABYTE)))
    store = MaskStore.open_store(masks)
    assert peak_of(lambda: store.prediction(SliceSummary(1, 0.5))) < 8 * MEGABYTE


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(shape=[3, 10**9, 10**9]),
        lambda c: c["chunk_grid"]["configuration"].update(chunk_shape=[1, 10**9, 10**9]),
        lambda c: c.update(codecs=[{"name": "bytes"}, {"name": "gzip"}]),
        lambda c: c.update(data_type="float64"),
        lambda c: c.update(codecs=None),
    ],
)
def test_masks_of_another_kind_are_refused(masks, change):
    file = masks / MASKS / "zarr.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match="damaged"):
        MaskStore.open_store(masks)
