"""Adapting and segmenting with the real weights, on small synthetic stacks."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from generators import run
from napari_salt.errors import AdapterError, InputError, UnknownLabelName
from napari_salt.intensity import AUTO
from napari_salt.model import drawing, mixing, probe, tuning
from napari_salt.model import fit as fit_module
from napari_salt.model import predict as predict_module
from napari_salt.model.adapter_file import AdapterFile, load_adapter, save_adapter
from napari_salt.model.adapters import adapted_layers
from napari_salt.model.backbones.base import Backbone
from napari_salt.model.conditions import Conditions
from napari_salt.model.encoder import Encoder
from napari_salt.model.feature_cache import FeatureCache
from napari_salt.model.fit import FirstFit, FitOutcome, fit
from napari_salt.model.framing import Framing, Intensity, measure_intensity
from napari_salt.model.predict import predict, prepare
from napari_salt.records import (
    BACKGROUND,
    UNLABELLED,
    AnnotatedSlice,
    FitRecord,
    FitSettings,
    IntensityChoice,
    Label,
    SlicePrediction,
    StepReport,
)

pytestmark = pytest.mark.usefixtures("same_random_state")

DISC, SQUARE = Label(1, "disc"), Label(300, "square")
LABELS = [DISC, SQUARE]
QUICK = FitSettings(steps=1, device="cpu", other_stacks=False)
FIRST_FIT_ONLY = FitSettings(kind="none", device="cpu", other_stacks=False)


@pytest.fixture(scope="module")
def digest_of(backbone) -> str:
    return digest(backbone)


@pytest.fixture(autouse=True)
def one_backbone(monkeypatch, backbone: Backbone, digest_of: str) -> Iterator[None]:
    """Every fit and prediction gets the same object, which must come out as it went in."""
    for module in (fit_module, predict_module):
        monkeypatch.setattr(module, "warm_backbone", lambda *_, **__: backbone)
    yield
    assert digest(backbone) == digest_of
    assert not any(adapted_layers(backbone))
    assert not any(module._forward_hooks for module in backbone.modules())
    assert not any(p.requires_grad or p.grad is not None for p in backbone.parameters())


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> FeatureCache:
    """Shared, so that the prefix runs once for each frame."""
    return FeatureCache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def stack() -> tuple[np.ndarray, np.ndarray]:
    """Six slices of a bright disc and a grey square that move, with noise; and their labels."""
    rng = np.random.default_rng(5)
    images, truth = [], []
    y, x = np.mgrid[:64, :64]
    for index in range(6):
        labels = np.full((64, 64), BACKGROUND, np.uint16)
        labels[(y - 20 - index) ** 2 + (x - 20 - 3 * index) ** 2 <= 11**2] = DISC.label_id
        labels[38:56, 40 - 4 * index : 58 - 4 * index] = SQUARE.label_id
        image = np.select([labels == DISC.label_id, labels == SQUARE.label_id], [180, 110], 50)
        images.append(np.clip(image + rng.normal(0, 12, (64, 64)), 0, 255).astype(np.uint8))
        truth.append(labels)
    return np.stack(images), np.stack(truth)


@pytest.fixture(scope="module")
def planes(stack, planes_of):
    return planes_of(stack[0])


def digest(module: nn.Module) -> str:
    tensors = [tensor for _, tensor in sorted(module.state_dict().items())]
    return hashlib.sha256(b"".join(t.contiguous().numpy().tobytes() for t in tensors)).hexdigest()


def segment(planes, adapter: AdapterFile, slices, **options) -> list[SlicePrediction]:
    return [one for one in predict(planes, adapter, slices, device="cpu", **options) if one]


def each_by_itself(planes, adapter: AdapterFile, cache) -> Conditions:
    """The stack's conditions, as if it had no noise."""
    found, _ = run(prepare(planes, adapter, device="cpu", cache=cache))
    return replace(found, noise=0.0)


def dice(found: np.ndarray, truth: np.ndarray, label_id: int) -> float:
    ours, theirs = found == label_id, truth == label_id
    return float(2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()))


def same_tensors(first: AdapterFile, second: AdapterFile) -> bool:
    return set(first.tensors) == set(second.tensors) and all(
        torch.equal(values, second.tensors[name]) for name, values in first.tensors.items()
    )


def check_contract(one: SlicePrediction, index: int, size: tuple[int, int]) -> None:
    assert one.index == one.summary.index == index
    assert one.labels.shape == one.uncertainty.shape == size
    assert one.labels.dtype.kind == "u"
    assert one.uncertainty.dtype == np.float16
    assert one.uncertainty.min() >= 0
    assert one.uncertainty.max() <= 1
    assert 0 <= one.summary.uncertainty <= 1
    assert all(0 <= value <= 1 for value in one.summary.label_uncertainty.values())
    assert one.summary.descriptor.dtype == np.float32
    assert np.linalg.norm(one.summary.descriptor) == pytest.approx(1, abs=1e-4)


# --- the whole way --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(stack, painted, cache, planes_of, backbone):
    """A fit with SALT on three painted slices, and all that it yields."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_module, "warm_backbone", lambda *_, **__: backbone)
        settings = FitSettings(steps=2, device="cpu", other_stacks=False)
        annotated = painted(stack[1], [0, 2, 5], every=3)
        return run(fit(planes_of(stack[0]), annotated, LABELS, settings, preview=3, cache=cache))


def test_a_fit_reports_a_first_fit_then_a_preview_then_an_outcome(whole):
    outcome, reports = whole
    assert isinstance(outcome, FitOutcome)
    assert sum(isinstance(one, FirstFit) for one in reports) == 2, "before and after the preview"
    (preview,) = [one for one in reports if isinstance(one, SlicePrediction)]
    assert preview.provisional
    check_contract(preview, 3, (64, 64))
    kinds = [type(one) for one in reports]
    assert kinds.index(FirstFit) < kinds.index(SlicePrediction) < len(reports) - 1
    steps = [one for one in reports if isinstance(one, StepReport)]
    assert all(0 <= one.step <= one.total for one in steps)
    assert all(one.seconds_left is None or one.seconds_left >= 0 for one in steps)
    phases = list(dict.fromkeys(one.phase for one in steps))
    assert phases == ["loading", "embedding", "first fit", "segmenting", "scoring", "adapting"]
    embedded = [one for one in steps if one.phase == "embedding" and not one.message]
    assert [one.step for one in embedded] == sorted(one.step for one in embedded)
    assert len(embedded) > 4, "each slice, its pauses, and the end"
    assert {one.total for one in embedded} == {3}, "slices are counted, also during a pause"
    losses = [one.loss for one in steps if one.loss is not None]
    assert losses
    assert all(math.isfinite(loss) for loss in losses)


def test_the_held_out_dice_of_each_label_is_told_before_the_fit_is_done(whole):
    (told,) = [one for one in whole[1] if getattr(one, "held_out_by_label", ())]
    assert {name for name, _ in told.held_out_by_label} == {"disc", "square"}
    mean = sum(value for _, value in told.held_out_by_label) / 2
    assert told.held_out_dice == pytest.approx(mean, abs=1e-3)


def test_the_record_tells_how_it_went(whole):
    record = whole[0].record
    assert record == whole[0].adapter.info.record
    assert (record.kind, record.backbone, record.slices) == ("salt", "lite-medsam", (0, 2, 5))
    assert record.held_out_after >= record.held_out_before > 0.5
    assert {name for name, _ in record.held_out_by_label} == {"disc", "square"}
    mean = sum(value for _, value in record.held_out_by_label) / 2
    assert mean == pytest.approx(record.held_out_after, abs=1e-3)
    assert record.kept == ("adapted" if record.steps else "first fit")
    assert bool(whole[0].adapter.layer_state()) == (record.kept == "adapted")


def test_unseen_slices_are_segmented_well(whole, planes, stack, cache):
    outcome, reports = whole
    firsts = [one.adapter for one in reports if isinstance(one, FirstFit)]
    for adapter in (*firsts, outcome.adapter):
        for one in segment(planes, adapter, [1, 3], cache=cache):
            check_contract(one, one.index, (64, 64))
            assert set(np.unique(one.labels)) <= {0, 1, 300}
            for label in LABELS:
                assert dice(one.labels, stack[1][one.index], label.label_id) > 0.8
                area = np.count_nonzero(one.labels == label.label_id)
                assert one.summary.areas[label.label_id] == area


def test_the_preview_is_the_first_fits_prediction(whole, planes, cache):
    _, reports = whole
    (preview,) = [one for one in reports if isinstance(one, SlicePrediction)]
    first, _ = [one.adapter for one in reports if isinstance(one, FirstFit)]
    seen = each_by_itself(planes, first, cache)
    (again,) = segment(planes, first, [3], cache=cache, conditions=seen)
    assert not again.provisional
    assert np.array_equal(again.labels, preview.labels)
    assert np.array_equal(again.uncertainty, preview.uncertainty)


def test_a_preview_changes_nothing_but_when_the_masks_come(planes, two, cache):
    plain, without = run(fit(planes, two, LABELS, FIRST_FIT_ONLY, cache=cache))
    looked, reports = run(fit(planes, two, LABELS, FIRST_FIT_ONLY, cache=cache, preview=3))
    (once,) = [one.adapter for one in without if isinstance(one, FirstFit)]
    small, whole = [one.adapter for one in reports if isinstance(one, FirstFit)]
    assert len(small.tensors["forest.roots"]) == probe.FIRST_TREES
    for one, other in ((once, whole), (plain.adapter, looked.adapter)):
        assert one.tensors.keys() == other.tensors.keys()
        assert all(torch.equal(values, other.tensors[name]) for name, values in one.tensors.items())


def test_a_saved_adapter_predicts_the_same_to_the_last_bit(whole, planes, cache, tmp_path):
    adapter = whole[0].adapter
    save_adapter(tmp_path / "a.salt.safetensors", adapter)
    loaded = load_adapter(tmp_path / "a.salt.safetensors")
    assert loaded.info == adapter.info
    assert same_tensors(loaded, adapter)
    (one,), (two,) = (segment(planes, a, [1], cache=cache) for a in (adapter, loaded))
    assert np.array_equal(one.labels, two.labels)
    assert np.array_equal(one.uncertainty, two.uncertainty)
    assert np.array_equal(one.summary.descriptor, two.summary.descriptor)


def test_only_the_labels_asked_for_are_shown(whole, planes, cache):
    adapter = whole[0].adapter
    (both,) = segment(planes, adapter, [1], cache=cache)
    (one,) = segment(planes, adapter, [1], labels=["square"], cache=cache)
    assert np.array_equal(one.labels, np.where(both.labels == 300, 300, 0))
    assert np.array_equal(one.uncertainty, both.uncertainty)
    assert list(one.summary.areas) == list(one.summary.label_uncertainty) == [300]
    (small,) = segment(planes, adapter, [1], labels=["disc"], cache=cache)
    assert small.labels.dtype == np.uint8


def test_what_cannot_be_segmented_is_refused_before_the_weights_are_loaded(
    whole, planes, stack, planes_of, monkeypatch
):
    adapter = whole[0].adapter
    monkeypatch.setattr(predict_module, "warm_backbone", None)
    with pytest.raises(UnknownLabelName, match="'disc', 'square'"):
        segment(planes, adapter, [1], labels=["circle"])
    with pytest.raises(InputError, match=r"Slice 6 is outside .* 0 to 5"):
        segment(planes, adapter, [1, 6])
    with pytest.raises(InputError, match="Slice -1 is outside"):
        segment(planes, adapter, [-1])
    colour = planes_of(np.repeat(stack[0][..., None], 3, -1), rgb=True)
    with pytest.raises(InputError, match="trained on grey images and this one is colour"):
        segment(colour, adapter, [0])


def test_a_sloppy_slice_is_read_only_when_its_turn_comes(whole, stack, planes_of, cache):
    planes, adapter = planes_of(stack[0]), whole[0].adapter
    seen = each_by_itself(planes_of(stack[0]), adapter, cache)
    running = predict(planes, adapter, [4, 1], device="cpu", cache=cache, conditions=seen)
    assert planes.read == []
    first = next(one for one in running if one)
    assert first.index == 4
    assert planes.read[-1] == 4
    running.close()


# --- determinism, stopping, state -----------------------------------------------------------------


@pytest.fixture(scope="module")
def two(stack, painted) -> list[AnnotatedSlice]:
    """Two slices with a thirty-sixth of their pixels painted."""
    return painted(stack[1], [0, 5], every=6)


@pytest.fixture(scope="module")
def earlier(stack, two, planes_of, cache, backbone) -> AdapterFile:
    """An adapted first round on two slices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_module, "warm_backbone", lambda *_, **__: backbone)
        outcome, _ = run(fit(planes_of(stack[0]), two, LABELS, QUICK, cache=cache))
    assert outcome.adapter.layer_state()
    return outcome.adapter


def test_the_same_fit_gives_the_same_tensors_whether_the_cache_is_filled_or_not(
    whole, planes, two, earlier, tmp_path
):
    again, _ = run(fit(planes, two, LABELS, QUICK, cache=FeatureCache(tmp_path)))
    assert same_tensors(again.adapter, earlier)
    assert replace(again.record, seconds=0) == replace(earlier.info.record, seconds=0)


def first_fit(running) -> AdapterFile:
    """The first fit of a fit, which is stopped there."""
    (found,) = (one.adapter for one in running if isinstance(one, FirstFit) and not running.close())
    return found


def test_a_seed_decides_which_pixels_are_drawn(planes, stack, cache, monkeypatch):
    monkeypatch.setattr(drawing, "MOST_SAMPLES", 200)
    monkeypatch.setattr(drawing, "FEWEST_A_SLICE", 200)
    whole_slice = [AnnotatedSlice(0, stack[1][0], True)]
    first, again, other = (
        first_fit(fit(planes, whole_slice, LABELS, replace(QUICK, seed=seed), cache=cache))
        for seed in (3, 3, 4)
    )
    assert same_tensors(first, again)
    assert not same_tensors(first, other)


def test_a_fit_can_be_stopped_anywhere_and_the_next_one_works(planes, two, cache, earlier):
    for place in ("loading", "scoring", "adapting"):
        running = fit(planes, two, LABELS, QUICK, cache=cache)
        for report in running:
            if getattr(report, "phase", None) == place:
                break
        else:
            pytest.fail(f"never got to {place}")
        running.close()
        assert torch.is_grad_enabled()
    again, _ = run(fit(planes, two, LABELS, QUICK, cache=cache))
    assert same_tensors(again.adapter, earlier)


def test_a_prediction_can_be_stopped_without_a_trace(whole, planes, cache):
    running = predict(planes, whole[0].adapter, [1, 2], device="cpu", cache=cache)
    next(running)
    assert not torch.is_inference_mode_enabled()
    running.close()
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("kind", ["none", "lora", "ssam", "full"])
def test_every_kind_of_adapter_runs(planes, two, stack, cache, kind, tmp_path):
    settings = replace(QUICK, kind=kind, low_rank=2 if kind == "lora" else None)
    outcome, _ = run(fit(planes, two, LABELS, settings, cache=cache))
    record = outcome.record
    assert record.kind == outcome.adapter.info.kind == kind
    tuned = kind != "none"
    assert record.steps == int(tuned)
    assert record.kept == ("adapted" if tuned else "first fit")
    assert bool(outcome.adapter.layer_state()) == tuned
    queries = outcome.adapter.tensors["head.residual"].numel() + len(outcome.adapter.labels) + 1
    assert (record.trainable_parameters > queries) == tuned
    assert record.trainable_parameters >= queries
    (one,) = segment(planes, outcome.adapter, [3], cache=cache)
    assert dice(one.labels, stack[1][3], DISC.label_id) > 0.8


def test_fine_tuning_is_kept_only_where_it_helps(planes, stack, painted, cache, monkeypatch):
    monkeypatch.setattr(tuning, "FEWEST_SLICES", 3)
    monkeypatch.setattr(tuning, "WORTH", 2.0)  # more than any Dice can gain
    annotated = painted(stack[1], [0, 2, 5], every=8)
    tuned, _ = run(fit(planes, annotated, LABELS, QUICK, cache=cache))
    assert tuned.record.kept == "first fit"
    assert tuned.record.steps == 0
    assert tuned.record.held_out_after == tuned.record.held_out_before
    assert "gained nothing" in tuned.record.score_note
    assert not tuned.adapter.layer_state()


def test_two_slices_are_not_fine_tuned_unless_asked_to(planes, two, cache):
    outcome, reports = run(
        fit(planes, two, LABELS, FitSettings(device="cpu", other_stacks=False), cache=cache)
    )
    assert outcome.record.kept == "first fit"
    assert not any(getattr(one, "phase", "") == "adapting" for one in reports)


def test_the_share_of_the_queries_is_chosen_by_pixels_left_out(planes, two, cache, monkeypatch):
    monkeypatch.setattr(mixing, "choose_share", lambda samples, folds: mixing.LINEAR_SHARE)
    plain, _ = run(fit(planes, two, LABELS, FIRST_FIT_ONLY, cache=cache))
    monkeypatch.setattr(mixing, "choose_share", lambda samples, folds: 0.0)
    outcome, reports = run(fit(planes, two, LABELS, FIRST_FIT_ONLY, cache=cache))
    (first,) = (one for one in reports if isinstance(one, FirstFit))
    assert first.adapter.info.linear_share == mixing.LINEAR_SHARE
    assert outcome.adapter.info.linear_share == 0
    before, after = (segment(planes, one.adapter, [3], cache=cache) for one in (plain, outcome))
    assert (before[0].uncertainty != after[0].uncertainty).any()
    silent = dict(outcome.adapter.tensors)
    silent["head.bias"] = torch.arange(len(silent["head.bias"])).float() * 9
    mute = segment(planes, replace(outcome.adapter, tensors=silent), [3], cache=cache)
    assert (mute[0].labels == after[0].labels).all()  # the queries have no say


def test_rows_are_scaled_as_slices_left_out_ask_for(planes, two, cache, monkeypatch, tmp_path):
    plain, _ = run(fit(planes, two, LABELS, FIRST_FIT_ONLY, cache=cache))
    scale = (1.0,) + (1e-6,) * (len(plain.adapter.labels))
    monkeypatch.setattr(mixing, "choose_row_scale", lambda *_: scale)
    outcome, reports = run(fit(planes, two, LABELS, FIRST_FIT_ONLY, cache=cache))
    (first,) = (one for one in reports if isinstance(one, FirstFit))
    assert (first.adapter.info.row_scale, outcome.adapter.info.row_scale) == ((), scale)
    save_adapter(tmp_path / "a.salt.safetensors", outcome.adapter)
    again = load_adapter(tmp_path / "a.salt.safetensors")
    before, after = (segment(planes, one, [3], cache=cache) for one in (plain.adapter, again))
    assert np.count_nonzero(after[0].labels) < np.count_nonzero(before[0].labels)
    assert plain.record.held_out_after > outcome.record.held_out_after


def test_with_one_slice_rows_are_not_scaled(planes, stack, painted, cache, monkeypatch):
    def never(*_):
        raise AssertionError("it shows two things, and no whole slice was left out")

    monkeypatch.setattr(mixing, "choose_row_scale", never)
    one = painted(stack[1], [5], every=6)
    outcome, _ = run(fit(planes, one, LABELS, FIRST_FIT_ONLY, cache=cache))
    assert outcome.adapter.info.row_scale == ()


def test_of_a_large_slice_things_are_not_counted(planes, stack, painted, cache, monkeypatch):
    monkeypatch.setattr(fit_module, "is_large", lambda _: True)
    monkeypatch.setattr(
        fit_module, "shows_many_things", lambda _: pytest.fail("it would be read whole")
    )
    run(fit(planes, painted(stack[1], [5]), LABELS, FIRST_FIT_ONLY, cache=cache))


def test_but_they_are_where_it_shows_many_things(planes, stack, painted, cache, monkeypatch):
    scale = (1e-6, 1.0, 1.0)
    asked = []
    monkeypatch.setattr(fit_module, "shows_many_things", lambda _: True)
    monkeypatch.setattr(mixing, "choose_row_scale", lambda *given: asked.append(given) or scale)
    one = [replace(slice_, complete=True) for slice_ in painted(stack[1], [5])]
    outcome, _ = run(fit(planes, one, LABELS, FIRST_FIT_ONLY, cache=cache))
    assert outcome.adapter.info.row_scale == scale
    assert asked[0][2] == mixing.MORE_POWERS
    plain = replace(outcome.adapter, info=replace(outcome.adapter.info, row_scale=()))
    before, after = (
        np.count_nonzero(segment(planes, one, [0], cache=cache)[0].labels)
        for one in (plain, outcome.adapter)
    )
    assert after > before, "of any slice, as far as it may be from the painted one"


# --- what is painted ------------------------------------------------------------------------------


def test_strokes_alone_are_enough(planes, stack, cache):
    targets = np.zeros((64, 64), np.uint16)
    truth = stack[1][0]
    for row in (12, 20, 28, 44, 50, 60):
        targets[row, 4:60] = truth[row, 4:60]
    assert (targets == UNLABELLED).mean() > 0.9
    stroke = AnnotatedSlice(0, targets)
    outcome, _ = run(fit(planes, [stroke], LABELS, FIRST_FIT_ONLY, cache=cache))
    assert outcome.record.held_out_after is None
    assert "no score" in outcome.record.score_note
    for one in segment(planes, outcome.adapter, [0, 1], cache=cache):
        for label in LABELS:
            assert dice(one.labels, stack[1][one.index], label.label_id) > 0.8


def test_a_label_that_nobody_painted_is_left_out(planes, two, cache):
    labels = [Label(7, "comet"), DISC, Label(9, "ring"), SQUARE]
    outcome, _ = run(fit(planes, two, labels, FIRST_FIT_ONLY, cache=cache))
    assert outcome.adapter.labels == (DISC, SQUARE)
    (one,) = segment(planes, outcome.adapter, [0], cache=cache)
    assert set(np.unique(one.labels)) == {0, 1, 300}


def test_without_painted_background_every_pixel_is_one_of_the_labels(planes, stack, cache):
    targets = np.where(stack[1][0] == BACKGROUND, UNLABELLED, stack[1][0])
    outcome, _ = run(fit(planes, [AnnotatedSlice(0, targets)], LABELS, FIRST_FIT_ONLY, cache=cache))
    (one,) = segment(planes, outcome.adapter, [0], cache=cache)
    assert set(np.unique(one.labels)) == {1, 300}
    check_contract(one, 0, (64, 64))


def test_a_label_without_background_is_refused_before_anything_is_read(
    planes_of, stack, monkeypatch
):
    monkeypatch.setattr(fit_module, "warm_backbone", None)
    planes = planes_of(stack[0])
    targets = np.where(stack[1][0] == 1, 1, UNLABELLED).astype(np.uint16)
    with pytest.raises(InputError, match="paint some background"):
        next(fit(planes, [AnnotatedSlice(0, targets)], LABELS, QUICK))
    with pytest.raises(InputError, match="outside the stack"):
        next(fit(planes, [AnnotatedSlice(9, stack[1][0])], LABELS, QUICK))
    with pytest.raises(InputError, match="outside the stack"):
        next(fit(planes, [AnnotatedSlice(0, stack[1][0])], LABELS, QUICK, preview=6))
    with pytest.raises(InputError, match="'warp' is no device"):
        next(fit(planes, [AnnotatedSlice(0, stack[1][0])], LABELS, replace(QUICK, device="warp")))
    assert planes.read == []


@pytest.mark.parametrize("apart", [True, False])
def test_one_pixel_of_each_label_is_enough(planes, stack, cache, apart):
    targets = np.zeros((64, 64), np.uint16)
    targets[20, 20] = 1
    targets[(60, 60) if apart else (21, 21)] = 300
    settings = replace(QUICK, kind="lora" if apart else "none")
    outcome, _ = run(fit(planes, [AnnotatedSlice(0, targets)], LABELS, settings, cache=cache))
    (one,) = segment(planes, outcome.adapter, [0], cache=cache)
    assert one.labels[20, 20] == 1
    check_contract(one, 0, (64, 64))


def test_a_label_painted_on_one_slice_alone_has_no_score_and_spoils_none(planes, stack, cache):
    annotated = []
    for index in (0, 2, 5):
        targets = np.zeros((64, 64), np.uint16)
        targets[::4, ::4] = stack[1][index, ::4, ::4]
        if index != 2:
            targets[targets == 300] = BACKGROUND if index == 0 else UNLABELLED
        annotated.append(AnnotatedSlice(index, targets))
    annotated[0].targets[38:56, 36:60] = UNLABELLED
    outcome, _ = run(fit(planes, annotated, LABELS, FIRST_FIT_ONLY, cache=cache))
    assert [name for name, _ in outcome.record.held_out_by_label] == ["disc"]
    assert outcome.record.held_out_after > 0.7
    (one,) = segment(planes, outcome.adapter, [2], cache=cache)
    assert dice(one.labels, stack[1][2], 300) > 0.7


def test_forty_labels_in_one_pass(planes, stack, cache):
    y, x = np.mgrid[:64, :64]
    checks = (y // 10 * 7 + x // 10).astype(np.uint16)
    targets = np.where(checks < 40, checks + 251, BACKGROUND).astype(np.uint16)
    targets[targets == 255] = 999  # the id of the background is no label
    targets[checks >= 40] = BACKGROUND
    ids = [i for i in np.unique(targets).tolist() if i != BACKGROUND]
    labels = [Label(i, f"region {i}") for i in ids]
    assert len(labels) == 40
    sparse = np.zeros_like(targets)
    sparse[::3, ::3] = targets[::3, ::3]
    outcome, _ = run(fit(planes, [AnnotatedSlice(0, sparse)], labels, FIRST_FIT_ONLY, cache=cache))
    (one,) = segment(planes, outcome.adapter, [0], cache=cache)
    assert one.labels.dtype == np.uint16
    assert set(np.unique(one.labels)) <= {0, *ids}
    assert set(one.summary.areas) == set(ids)
    json.loads(outcome.adapter.info.to_json())


# --- images of other kinds ------------------------------------------------------------------------


def test_colour_with_and_without_alpha(stack, planes_of, painted, cache):
    grey, truth = stack
    data = np.stack([grey[:1], 255 - grey[:1], grey[:1] // 2], -1)
    colour = planes_of(data, rgb=True)
    annotated = painted(truth, [0], every=3)
    outcome, _ = run(fit(colour, annotated, LABELS, FIRST_FIT_ONLY, cache=cache))
    (one,) = segment(colour, outcome.adapter, [0], cache=cache)
    assert dice(one.labels, truth[0], DISC.label_id) > 0.8
    alpha = planes_of(np.concatenate([data, np.full_like(data[..., :1], 255)], -1), rgb=True)
    (same,) = segment(alpha, outcome.adapter, [0], cache=cache)
    assert np.array_equal(same.labels, one.labels)
    with pytest.raises(InputError, match="trained on colour images and this one is 3-channel"):
        segment(planes_of(data), outcome.adapter, [0])


def test_a_single_float_image_with_holes(planes_of, cache):
    y, x = np.mgrid[:20, :20]
    image = np.where((y - 9) ** 2 + (x - 9) ** 2 < 30, 3.5, -1.0).astype(np.float32)
    targets = np.where(image > 0, 1, BACKGROUND).astype(np.uint16)
    image[:, 19] = np.nan
    planes = planes_of(np.stack([image, np.full_like(image, np.nan)]))
    outcome, _ = run(fit(planes, [AnnotatedSlice(0, targets, True)], [DISC], QUICK, cache=cache))
    assert outcome.adapter.info.zoom is None
    one, empty = segment(planes, outcome.adapter, [0, 1], cache=cache)
    check_contract(one, 0, (20, 20))
    assert np.isfinite(one.uncertainty).all()
    assert dice(one.labels, targets, 1) > 0.9
    assert (one.summary.blank, empty.summary.blank) == (False, True)


def test_a_large_image_with_tiny_objects_goes_through_tiles(planes_of, cache, monkeypatch):
    monkeypatch.setattr(drawing, "MOST_SAMPLES", 2000)
    rng = np.random.default_rng(7)
    truth = np.full((250, 500), BACKGROUND, np.uint16)
    y, x = np.mgrid[:250, :500]
    centres = [(r, c) for r in range(20, 240, 30) for c in range(20, 490, 30)]
    for r, c in centres:
        truth[(y - r) ** 2 + (x - c) ** 2 <= 16] = 1
    image = np.where(truth == 1, 180, 60) + rng.normal(0, 15, truth.shape)
    planes = planes_of(image[None].astype(np.float32))
    running = fit(planes, [AnnotatedSlice(0, truth, True)], [DISC], FIRST_FIT_ONLY, cache=cache)
    outcome, reports = run(running)
    assert outcome.adapter.info.zoom == pytest.approx(448 / 500)  # and not 1, of three frames
    assert sum(getattr(one, "phase", "") == "embedding" for one in reports) >= 2
    steps = list(predict(planes, outcome.adapter, [0], device="cpu", cache=cache))
    assert steps[:-1] == [None] * 2  # one pause for each frame
    check_contract(steps[-1], 0, (250, 500))
    assert dice(steps[-1].labels, truth, 1) > 0.85


# --- rounds that follow ---------------------------------------------------------------------------


def test_a_round_starts_from_the_one_before(planes, two, stack, cache, earlier):
    outcome, _ = run(fit(planes, two, LABELS, FIRST_FIT_ONLY, init=earlier, cache=cache))
    found, before = outcome.adapter.layer_state(), earlier.layer_state()
    assert set(found) == set(before)
    assert all(torch.equal(values, before[name]) for name, values in found.items())
    assert outcome.adapter.info.kind == "salt"  # what its layers are
    further, _ = run(fit(planes, two, LABELS, QUICK, init=earlier, cache=cache))
    moved = further.adapter.layer_state()
    assert set(moved) == set(before)
    assert not all(torch.equal(values, before[name]) for name, values in moved.items())
    for adapter in (outcome.adapter, further.adapter):
        (one,) = segment(planes, adapter, [3], cache=cache)
        assert dice(one.labels, stack[1][3], DISC.label_id) > 0.8


@pytest.mark.parametrize(
    ("change", "carried"),
    [({}, True), ({"kind": "none"}, False), ({"labels": LABELS[:1]}, False)],
)
def test_a_trial_without_gain_counts_for_the_same_method_and_labels(
    planes, two, cache, earlier, change, carried, monkeypatch
):
    no_gain = (5, 1, -1, -1)
    record = replace(earlier.info.record, no_gain=no_gain)
    start = replace(earlier, info=replace(earlier.info, record=record))
    handed = []

    def spy(data, segmenter, folds, settings, deadline, no_gain):
        handed.append(no_gain)
        return tuning.Tuned(no_gain=no_gain)
        yield

    monkeypatch.setattr(fit_module, "tune", spy)
    labels = change.get("labels", LABELS)
    known = [BACKGROUND, UNLABELLED, *(label.label_id for label in labels)]
    painted = [
        replace(one, targets=np.where(np.isin(one.targets, known), one.targets, BACKGROUND))
        for one in two
    ]
    settings = replace(QUICK, kind=change.get("kind", QUICK.kind))
    outcome, _ = run(fit(planes, painted, labels, settings, init=start, cache=cache))
    expected = no_gain if carried else ()
    assert handed == [expected]
    assert outcome.record.no_gain == outcome.adapter.info.record.no_gain == expected


def test_slices_that_the_start_was_trained_on_give_no_score(
    planes, two, cache, earlier, painted, stack
):
    assert earlier.layer_state()
    again, _ = run(fit(planes, two, LABELS, FIRST_FIT_ONLY, init=earlier, cache=cache))
    known = set(earlier.info.record.slices)
    assert known >= {one.index for one in two}
    assert again.record.held_out_after is None
    assert "new to the network" in again.record.score_note
    fresh = next(i for i in range(len(stack[1])) if i not in known)
    more = [*two, *painted(stack[1], [fresh])]
    outcome, _ = run(fit(planes, more, LABELS, FIRST_FIT_ONLY, init=earlier, cache=cache))
    assert outcome.record.held_out_after is not None


def test_a_round_may_have_other_labels_than_the_one_before(planes, two, cache, earlier):
    renamed = [replace(DISC, name="ball"), SQUARE]
    outcome, _ = run(fit(planes, two, renamed, FIRST_FIT_ONLY, init=earlier, cache=cache))
    assert [label.name for label in outcome.adapter.labels] == ["ball", "square"]


def test_an_adapter_of_other_weights_is_no_start(planes, two, earlier):
    stranger = AdapterFile(replace(earlier.info, weights_sha256="f" * 64), earlier.tensors)
    with pytest.raises(AdapterError, match="f" * 64):
        run(fit(planes, two, LABELS, QUICK, init=stranger))
    with pytest.raises(AdapterError, match="f" * 64):
        segment(planes, stranger, [0])


def test_an_adapter_of_another_kind_of_image_is_no_start(two, earlier, stack, planes_of):
    colour = planes_of(np.repeat(stack[0][..., None], 3, -1), rgb=True)
    with pytest.raises(InputError, match="trained on grey images"):
        run(fit(colour, two, LABELS, QUICK, init=earlier))
    assert colour.read == []


def test_an_adapter_of_another_method_is_no_start(planes, two, earlier):
    with pytest.raises(AdapterError, match="with 'salt' and cannot be continued with 'lora'"):
        next(fit(planes, two, LABELS, replace(QUICK, kind="lora"), init=earlier))


def test_percentiles_are_measured_anew(planes, cache, earlier, stack, planes_of):
    darker = planes_of(stack[0] // 2)
    (one,), (two_,) = (segment(p, earlier, [1], cache=cache) for p in (planes, darker))
    assert dice(two_.labels, one.labels, DISC.label_id) > 0.9


WINDOW = IntensityChoice("window", 10.0, 240.0)


@pytest.fixture(scope="module")
def in_window(planes, two, cache, backbone):
    """Adapter of a first fit to a window."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_module, "warm_backbone", lambda *_, **__: backbone)
        settings = replace(FIRST_FIT_ONLY, intensity=WINDOW)
        return run(fit(planes, two, LABELS, settings, cache=cache))[0].adapter


def test_a_window_is_kept_in_the_adapter_and_used_elsewhere(in_window, planes, stack, planes_of):
    assert in_window.info.intensity_choice == WINDOW
    assert in_window.trained_intensity() == Intensity((10.0,), (240.0,), "window")
    (one,) = segment(planes, in_window, [1])
    assert dice(one.labels, stack[1][1], DISC.label_id) > 0.8
    # the same intensities in another frame of percentiles: nothing is measured or matched
    brighter = stack[0].astype(np.int16)
    brighter[0] += 3000
    (other,) = segment(planes_of(brighter), in_window, [1])
    assert dice(other.labels, one.labels, DISC.label_id) > 0.95


def test_a_round_in_another_window_is_a_first_fit(in_window, planes, two):
    with pytest.raises(
        AdapterError, match=r"intensities 10 \.\. 240 and cannot be continued with 0\.5 %"
    ):
        run(fit(planes, two, LABELS, FIRST_FIT_ONLY, init=in_window))


def test_features_of_one_window_are_not_those_of_another(planes, two, backbone, tmp_path):
    kept = FeatureCache(tmp_path)
    for choice in (AUTO, WINDOW, IntensityChoice("window", 10.0, 241.0), WINDOW):
        scale = measure_intensity(planes, choice)
        list(Encoder(backbone, scale, Framing(256), cache=kept).steps(planes, 1))
    assert len(list(kept.folder.iterdir())) == 3


def test_a_window_that_shows_nothing_is_refused_before_work_starts(planes, two):
    dark = replace(FIRST_FIT_ONLY, intensity=IntensityChoice("window", -1350.0, -1000.0))
    with pytest.raises(InputError, match=r"outside of the window -1350 \.\. -1000"):
        run(fit(planes, two, LABELS, dark))
    with pytest.raises(InputError, match="the lower first"):
        next(fit(planes, two, LABELS, replace(dark, intensity=IntensityChoice("window", 5, 4))))


@pytest.mark.parametrize(
    ("kept", "dtype", "says"),
    [
        (
            {"low": [-160.0], "high": [240.0], "least": [-1024.0]},
            "uint8",
            "is uint8, which has none",
        ),
        ({"low": [900.0], "high": [1500.0], "least": [0.0]}, "uint8", "outside of the window 900"),
    ],
)
def test_a_stack_of_another_unit_is_refused(in_window, planes_of, stack, kept, dtype, says):
    info = replace(in_window.info, intensity={"method": "window", **kept})
    odd = AdapterFile(info, in_window.tensors)
    with pytest.raises(InputError, match=says):
        segment(planes_of(stack[0].astype(dtype)), odd, [0])


def test_percentiles_of_ones_own_are_kept_and_measured_elsewhere(planes, two, planes_of, stack):
    choice = IntensityChoice("percentile", 2.0, 98.0)
    settings = replace(FIRST_FIT_ONLY, intensity=choice)
    adapter = run(fit(planes, two, LABELS, settings))[0].adapter
    assert adapter.info.intensity_choice == choice
    assert adapter.info.intensity["low"] == [np.percentile(stack[0], 2)]
    told: list[str] = []
    (one,) = list(segment(planes, adapter, [1], tell=told.append))
    assert told == []
    assert dice(one.labels, stack[1][1], DISC.label_id) > 0.8


def test_a_damaged_adapter_is_refused(planes, earlier):
    lacking = {n: v for n, v in earlier.tensors.items() if n != "head.bias"}
    with pytest.raises(AdapterError, match="damaged"):
        segment(planes, AdapterFile(earlier.info, lacking), [0])
    misshapen = dict(earlier.tensors) | {"head.bias": torch.zeros(9)}
    with pytest.raises(AdapterError, match="damaged"):
        segment(planes, AdapterFile(earlier.info, misshapen), [0])


def test_the_record_survives_the_header(whole):
    info = whole[0].adapter.info
    assert type(info).from_json(info.to_json()) == info
    assert isinstance(info.record, FitRecord)
