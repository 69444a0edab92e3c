"""Adapter files: round trip, atomic writing, and refusal of what does not belong."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from descriptions import described
from napari_salt.errors import AdapterError, OutputError
from napari_salt.model import adapter_file
from napari_salt.model.adapter_file import (
    AdapterFile,
    build_segmenter,
    load_adapter,
    pack,
    read_info,
    save_adapter,
)
from napari_salt.model.adapter_header import HEADER_KEY, header_with
from napari_salt.model.adapter_info import FORMAT_VERSION
from napari_salt.model.encoder import Encoder, head_taps
from napari_salt.model.features import Standard, tap_length
from napari_salt.model.filters import FILTERS_PER_CHANNEL
from napari_salt.model.forest import grow
from napari_salt.model.framing import Framing, Intensity
from napari_salt.model.head import LabelHead
from napari_salt.model.mixing import LINEAR_SHARE
from napari_salt.model.other_stacks import OtherStacks
from napari_salt.model.probe import Fitted
from napari_salt.model.segmenter import Segmenter
from napari_salt.records import FitRecord, Label

INFO = described(
    (Label(1, "grüne Zelle", (0.1, 0.2, 0.3, 1.0)), Label(300, "axon")),
    FitRecord(
        "salt",
        "lite-medsam",
        (0, 7),
        4,
        1.5,
        1234,
        "adapted",
        held_out_before=0.8,
        held_out_after=0.9,
        held_out_by_label=(("axon", 0.9),),
        no_gain=(5, 16, -1, 8),
    ),
    weights_sha256="a" * 64,
    rank=8,
    intensity={"method": "window", "low": [-100.0], "high": [300.0]},
    stack="0123456789abcdef",
    zoom=0.75,
    directions=5,
    taps=(("stage1", 3), ("neck", 4)),
    linear_share=0.1,
    row_scale=(1.0, 0.5, 0.25),
    spacing=(2.0, 0.5, 0.5),
    units=("um", "um", "um"),
    created="2026-01-02T03:04:05+00:00",
    version="0.1.0",
)


@pytest.fixture
def adapter() -> AdapterFile:
    generator = torch.Generator().manual_seed(0)
    return AdapterFile(
        INFO,
        {
            "head.embeddings": torch.randn(3, 6, generator=generator),
            "head.bias": torch.randn(3, generator=generator),
            "head.absent": torch.tensor([False, True, False]),
            "adapter.neck.0.scaled_up": torch.randn(4, 2, generator=generator),
        },
    )


@pytest.fixture
def path(tmp_path, adapter):
    path = tmp_path / "my.salt.safetensors"
    save_adapter(path, adapter)
    return path


def rewrite(path, change, tensors=None) -> None:
    """Write the file at ``path`` anew with its description changed."""
    content = json.loads(read_info(path).to_json())
    change(content)
    save_file(tensors or {"x": torch.zeros(2)}, path, metadata={HEADER_KEY: json.dumps(content)})


def test_what_is_saved_comes_back(path, adapter):
    loaded = load_adapter(path)
    assert loaded.info == INFO
    assert loaded.labels == INFO.labels
    assert set(loaded.tensors) == set(adapter.tensors)
    for name, values in adapter.tensors.items():
        assert loaded.tensors[name].dtype == values.dtype
        assert torch.equal(loaded.tensors[name], values)
    assert list(loaded.layer_state()) == ["neck.0.scaled_up"]
    assert loaded.framing() == Framing(256, 0.75, 4.0)
    assert loaded.trained_intensity() == Intensity((-100.0,), (300.0,), "window")


def test_tensors_of_a_file_lie_in_memory_as_those_of_a_fit_do(path):
    """Vector instructions round by where an array begins: the same masks need the same alignment."""
    loaded = load_adapter(path)
    assert all(values.data_ptr() % 64 == 0 for values in loaded.tensors.values())


def test_any_reader_of_the_format_can_open_it(path):
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()[HEADER_KEY])["labels"][1]["name"] == "axon"


def test_the_description_is_read_without_torch(path):
    code = (
        "import sys; from napari_salt.model.adapter_info import read_info; "
        "info = read_info(sys.argv[1]); "
        "assert not {'torch', 'safetensors'} & set(sys.modules), 'imported'; "
        "print(*(label.label_id for label in info.labels))"
    )
    command = [sys.executable, "-c", code, str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["1", "300"]
    assert read_info(path) == INFO


def test_a_copy_may_tell_something_else_of_itself(path, adapter):
    record = replace(INFO.record, held_out_before=0.75, score_note="ä" * 3)
    info = replace(
        INFO, record=record, labels=(replace(INFO.labels[0], name="cortex"), INFO.labels[1])
    )
    copy = path.with_name("copy.salt.safetensors")
    with path.open("rb") as file:
        copy.write_bytes(header_with(file, info) + file.read())
    assert read_info(copy) == info
    loaded = load_adapter(copy)
    assert loaded.tensors.keys() == adapter.tensors.keys()
    assert all(
        torch.equal(values, loaded.tensors[name]) for name, values in adapter.tensors.items()
    )
    assert path.read_bytes()[:8] != copy.read_bytes()[:8]
    damaged = bytearray(copy.read_bytes())
    damaged[-1] ^= 1  # the copy is held against the sum of its tensors as well
    path.write_bytes(damaged)
    with pytest.raises(AdapterError, match="damaged"):
        read_info(path)
    with safe_open(copy, "np") as other:  # as any reader of the format sees it
        assert set(other.keys()) == set(adapter.tensors)
    with pytest.raises(ValueError, match="no header"):
        header_with(io.BytesIO(b"short"), info)


def test_saving_leaves_nothing_but_the_file(path, adapter):
    save_adapter(path, adapter)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o777 == 0o644


def test_who_reads_the_old_file_keeps_it_whole(path, adapter):
    old = path.read_bytes()
    with path.open("rb") as reader:
        start = reader.read(100)
        save_adapter(path, AdapterFile(replace(INFO, kind="lora"), {"x": torch.zeros(9000)}))
        assert start + reader.read() == old
    assert read_info(path).kind == "lora"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            SafetensorError("Error while serializing: No space left on device (os error 28)"),
            "the disk is full",
        ),
        (OSError(28, "No space left on device"), "the disk is full"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
    ],
)
def test_a_failed_save_leaves_the_old_file(path, adapter, monkeypatch, error, reason):
    old = path.read_bytes()

    def fail(tensors, target, metadata):
        target.write_bytes(b"half a file")
        raise error

    monkeypatch.setattr(adapter_file, "save_file", fail)
    with pytest.raises(OutputError, match=reason):
        save_adapter(path, adapter)
    assert path.read_bytes() == old
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_mistake_while_saving_leaves_no_half_file(path, adapter):
    odd = AdapterFile(replace(INFO, intensity={"low": object()}), adapter.tensors)
    with pytest.raises(TypeError):
        save_adapter(path, odd)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert read_info(path) == INFO


def test_a_folder_that_is_missing_is_an_error_of_ours(tmp_path, adapter):
    with pytest.raises(OutputError, match="choose another folder"):
        save_adapter(tmp_path / "nowhere" / "my.salt.safetensors", adapter)


def test_other_base_weights_are_refused_with_both_hashes(adapter):
    adapter.check_base(SimpleNamespace(weights_sha256="a" * 64, name="lite-medsam"))
    with pytest.raises(AdapterError) as refusal:
        adapter.check_base(SimpleNamespace(weights_sha256="b" * 64, name="mine.pth"))
    message = str(refusal.value)
    assert "a" * 64 in message
    assert "b" * 64 in message
    assert "lite-medsam" in message
    assert "mine.pth" in message


def test_safetensors_of_others_are_refused(tmp_path):
    path = tmp_path / "foreign.safetensors"
    for metadata in (None, {"format": "pt"}, {HEADER_KEY: "{}"}, {HEADER_KEY: '"text"'}):
        save_file({"x": torch.zeros(2)}, path, metadata=metadata)
        for read in (read_info, load_adapter):
            with pytest.raises(AdapterError, match=r"choose (a file ending in|another adapter)"):
                read(path)


@pytest.mark.parametrize(
    "header",
    [b"[]", b"{}", b"null", b'{"__metadata__": null}', b'{"__metadata__": [1]}', b"{", b"\xff"],
)
def test_odd_headers_are_refused(tmp_path, header):
    path = tmp_path / "odd.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(AdapterError, match="not an adapter of napari-salt"):
        read_info(path)


def test_no_byte_may_change(path, adapter):
    """Masks of an adapter with one wrong number look like masks."""
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    filled = len(whole[:start].rstrip())
    for at in (*range(filled), *range(start, len(whole), 7), len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(AdapterError, match=r"damaged|not an adapter"):
            read_info(path)
    path.write_bytes(whole)
    assert load_adapter(path).info == INFO


def test_a_file_from_before_sums_were_kept_opens_and_can_be_copied(path, adapter):
    save_file(dict(adapter.tensors), path, metadata={HEADER_KEY: INFO.to_json()})
    assert load_adapter(path).info == INFO
    info = replace(INFO, backbone="other")
    with path.open("rb") as file:
        content = header_with(file, info) + file.read()
    path.write_bytes(content)
    assert read_info(path) == info


@pytest.mark.parametrize("kept", [0, 5, 8, 100, -1, -30])
def test_a_truncated_file_is_refused(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(AdapterError):
        load_adapter(path)


def test_a_file_that_claims_an_endless_header_is_refused(path):
    path.write_bytes((1 << 62).to_bytes(8, "little") + b"{}")
    with pytest.raises(AdapterError, match="not an adapter"):
        read_info(path)


@pytest.mark.parametrize("name", ["missing.salt.safetensors", "."])
def test_no_file_is_refused(tmp_path, name):
    for read in (read_info, load_adapter):
        with pytest.raises(AdapterError, match="cannot be read"):
            read(tmp_path / name)


def test_a_later_version_is_refused_with_the_way_out(path):
    def later(content):
        content["format_version"] = FORMAT_VERSION + 1
        content["something_new"] = 1

    rewrite(path, later)
    with pytest.raises(AdapterError, match="later napari-salt; update"):
        load_adapter(path)


def test_an_earlier_version_is_refused_with_the_way_out(path):
    def earlier(content):
        content["format_version"] = 1
        del content["along_stack"], content["directions"]
        content["bank_weights"] = {"deep": 0.45}

    assert FORMAT_VERSION == 2
    rewrite(path, earlier)
    for read in (read_info, load_adapter):
        with pytest.raises(
            AdapterError, match=r"earlier napari-salt .* adapt again from your paint"
        ):
            read(path)


def test_an_adapter_that_does_not_say_the_share_of_the_queries_has_the_usual_one(path):
    rewrite(path, lambda content: content.pop("linear_share"))
    assert read_info(path).linear_share == LINEAR_SHARE


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), None, "0.5"])
def test_a_share_of_the_queries_that_is_none_is_refused(path, share):
    rewrite(path, lambda content: content.update(linear_share=share))
    with pytest.raises(AdapterError, match="damaged"):
        read_info(path)


def test_an_adapter_from_before_rows_were_scaled_scales_none(path):
    rewrite(path, lambda content: content.pop("row_scale"))
    assert read_info(path).row_scale == ()


@pytest.mark.parametrize("scale", [[0.0], [1.5], [float("nan")], ["1"], 1.0, [0.5] * 5000])
def test_a_scale_of_rows_that_is_none_is_refused(path, scale):
    rewrite(path, lambda content: content.update(row_scale=scale))
    with pytest.raises(AdapterError, match="damaged"):
        read_info(path)


@pytest.mark.parametrize(
    "missing",
    ["labels", "record", "format", "taps", "frame_size", "along_stack", "directions"],
)
def test_a_description_without_a_part_is_refused(path, missing):
    rewrite(path, lambda content: content.pop(missing))
    with pytest.raises(AdapterError, match="damaged or not from napari-salt"):
        read_info(path)


@pytest.mark.parametrize("value", [["five", 16], 5, {"slices": 5}])
def test_a_trial_that_is_not_numbers_is_refused(path, value):
    rewrite(path, lambda content: content["record"].update(no_gain=value))
    with pytest.raises(AdapterError, match="damaged or not from napari-salt"):
        read_info(path)


def test_a_record_from_before_trials_were_remembered_is_read(path):
    rewrite(path, lambda content: content["record"].pop("no_gain"))
    assert read_info(path).record.no_gain == ()


def test_values_that_are_not_numbers_are_refused(path):
    rewrite(path, lambda content: None, {"x": torch.tensor([1.0, torch.nan])})
    with pytest.raises(AdapterError, match="not numbers"):
        load_adapter(path)


# --- the segmenter in a file ----------------------------------------------------------------------


@pytest.fixture
def fitted(tiny_backbone):
    """A segmenter with a forest, its description, and its backbone."""
    backbone = tiny_backbone()
    taps, rows = head_taps(backbone), 3
    info = replace(
        INFO,
        weights_sha256=backbone.weights_sha256,
        frame_size=backbone.frame_size,
        zoom=None,
        taps=taps,
    )
    seen = FILTERS_PER_CHANNEL + 3 + info.directions
    rng = np.random.default_rng(0)
    growing = grow(rng.normal(size=(90, seen)).astype(np.float32), rng.integers(0, rows, 90), 3, 4)
    *_, forest = returned(growing)
    length = tap_length(taps)
    generator = torch.Generator().manual_seed(0)
    head = LabelHead(
        taps,
        torch.eye(rows),
        Standard(torch.zeros(length), torch.ones(length)),
        directions=info.directions,
    )
    queries = torch.randn(rows, length, generator=generator)
    directions = torch.randn(info.directions, length, generator=generator)
    head.set_fit(
        Fitted(queries, torch.zeros(rows), directions, forest, info.linear_share, info.row_scale)
    )
    return Segmenter(backbone.make_tail(), head), info, backbone


def returned(generator):
    """What a generator yields, and at the end what it returns."""
    yield (yield from generator)


def probabilities(segmenter: Segmenter, backbone, planes_of) -> torch.Tensor:
    planes = planes_of(np.random.default_rng(1).random((3, 16, 16), np.float32))
    intensity = Intensity((0.0,), (1.0,))
    *_, encoded = Encoder(backbone, intensity, Framing(16)).steps(planes, 1)
    with torch.no_grad():
        return segmenter.probabilities(encoded)


def test_a_segmenter_comes_back_from_its_file_with_its_forest(fitted, planes_of, tmp_path):
    segmenter, info, backbone = fitted
    before = probabilities(segmenter, backbone, planes_of)
    adapter = pack(segmenter, {}, info)
    save_adapter(tmp_path / "a.salt.safetensors", adapter)
    again = build_segmenter(load_adapter(tmp_path / "a.salt.safetensors"), backbone)
    assert torch.equal(probabilities(again, backbone, planes_of), before)
    for name, values in segmenter.head.forest.tensors().items():
        assert torch.equal(again.head.forest.tensors()[name], values)
    assert not any(p.requires_grad for p in again.parameters())
    segmenter.head.bias.data += 1
    segmenter.head.forest.leaf[:] = 0
    assert torch.equal(
        probabilities(build_segmenter(adapter, backbone), backbone, planes_of), before
    )  # what was packed is a copy


def damaged(adapter: AdapterFile, name: str, values: torch.Tensor | None) -> AdapterFile:
    tensors = {key: one for key, one in adapter.tensors.items() if key != name}
    return AdapterFile(adapter.info, tensors if values is None else tensors | {name: values})


@pytest.mark.parametrize(
    "name", ["forest.roots", "forest.feature", "forest.threshold", "forest.children", "forest.leaf"]
)
def test_a_damaged_forest_is_refused(fitted, name):
    segmenter, info, backbone = fitted
    adapter = pack(segmenter, {}, info)
    values = adapter.tensors[name]
    damages = [None, values[:0], values.half()]
    if name not in ("forest.threshold", "forest.leaf"):  # there, any number will do
        damages.append(torch.full_like(values, 30_000))
    for odd in damages:
        with pytest.raises(AdapterError, match="trees are damaged"):
            build_segmenter(damaged(adapter, name, odd), backbone)


@pytest.mark.parametrize(
    "name", ["head.embeddings", "head.directions", "head.bias", "standard.tap_mean"]
)
def test_a_file_without_a_part_of_the_head_is_refused(fitted, name):
    segmenter, info, backbone = fitted
    with pytest.raises(AdapterError, match="damaged"):
        build_segmenter(damaged(pack(segmenter, {}, info), name, None), backbone)


def blind(fitted):
    """With trees that ask for nothing behind the last feature of a head that does not look along the stack."""
    segmenter, info, _ = fitted
    feature = segmenter.head.forest.feature
    np.minimum(feature, FILTERS_PER_CHANNEL + 1 + info.directions, out=feature)
    return fitted


@pytest.mark.parametrize(
    "name",
    [
        *("elsewhere_head.embeddings", "elsewhere_head.residual", "elsewhere_head.bias"),
        *("elsewhere_standard.tap_mean", "elsewhere_standard.tap_deviation"),
    ],
)
@pytest.mark.parametrize("part", [None, slice(0, 1)])
def test_a_head_for_other_stacks_that_is_damaged_is_refused_there_alone(fitted, name, part):
    segmenter, info, backbone = blind(fitted)
    adapter = pack(segmenter, {}, info, OtherStacks(segmenter.head))
    build_segmenter(adapter, backbone, kin="other")
    values = None if part is None else adapter.tensors[name][part].contiguous()
    broken = damaged(adapter, name, values)
    build_segmenter(broken, backbone)
    with pytest.raises(AdapterError, match="damaged"):
        build_segmenter(broken, backbone, kin="other")


def test_what_is_found_too_often_between_painted_slices_is_not_so_on_other_stacks(fitted):
    segmenter, info, backbone = blind(fitted)
    alike = OtherStacks(segmenter.head, alike_forest=segmenter.head.forest)
    adapter = pack(segmenter, {}, info, alike)
    scales = {
        kin: build_segmenter(adapter, backbone, kin=kin).head.row_scale
        for kin in ("painted", "alike", "other")
    }
    assert scales == {"painted": info.row_scale, "alike": (), "other": ()}


def test_a_file_with_no_more_than_a_forest_for_other_stacks_is_read(fitted):
    """As they were written at first."""
    segmenter, info, backbone = blind(fitted)
    adapter = pack(segmenter, {}, info, OtherStacks(segmenter.head))
    kept = {
        name: values
        for name, values in adapter.tensors.items()
        if not name.startswith(("elsewhere_head.", "elsewhere_standard."))
    }
    built = build_segmenter(AdapterFile(info, kept), backbone, kin="other")
    assert torch.equal(built.head.residual, segmenter.head.residual)


@pytest.mark.parametrize("change", [{"directions": 4}, {"directions": 6}, {"taps": (("neck", 8),)}])
def test_a_description_that_does_not_fit_the_tensors_is_refused(fitted, change):
    segmenter, info, backbone = fitted
    adapter = pack(segmenter, {}, info)
    with pytest.raises(AdapterError, match="damaged"):
        build_segmenter(AdapterFile(replace(info, **change), adapter.tensors), backbone)


def test_features_that_the_description_does_not_count_are_refused(fitted):
    segmenter, info, backbone = fitted
    segmenter.head.forest.feature[segmenter.head.forest.feature >= 0] = (
        FILTERS_PER_CHANNEL + 2 + info.directions
    )  # the last one, where the slice counts
    adapter = pack(segmenter, {}, info)
    build_segmenter(adapter, backbone)
    flat = AdapterFile(replace(info, along_stack=False), adapter.tensors)
    with pytest.raises(AdapterError, match="trees are damaged"):
        build_segmenter(flat, backbone)
