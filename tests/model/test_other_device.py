"""Everything on a device that is not the CPU: no step mixes the two, and what comes out is the same."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from generators import run
from napari_salt.model import (
    assist,
    large_paint,
    large_slice,
    limits,
    mixing,
    segment_large,
    volume_filters,
)
from napari_salt.model import encode_painted as encode_painted_module
from napari_salt.model import fit as fit_module
from napari_salt.model import noise as noise_module
from napari_salt.model import predict as predict_module
from napari_salt.model import segment_slices as segment_slices_module
from napari_salt.model.assist import Assistant, Recent, intensity_of
from napari_salt.model.feature_cache import FeatureCache
from napari_salt.model.fit import fit
from napari_salt.model.framing import Framing
from napari_salt.model.predict import predict
from napari_salt.records import BACKGROUND, AnnotatedSlice, FitSettings, Label
from napari_salt.session.stack import Stack
from pretended_device import DEVICE, Pretended, pretended_device

CPU = torch.device("cpu")
LABELS = [Label(1, "left"), Label(2, "dot")]


def test_the_pretended_device_notices_what_a_gpu_would():
    with pretended_device() as device:
        weights = torch.nn.Linear(3, 2).to(device)
        there, here = torch.ones(4, 3).to(device), torch.ones(3)
        weights(there).sum().backward()
        assert weights.weight.grad.device == device
        assert torch.equal(there[torch.tensor([0, 2])].cpu(), torch.ones(2, 3))
        for mixing in (lambda: there + here, lambda: weights(here), lambda: here.add_(there[0])):
            with pytest.raises(RuntimeError, match="mixes devices"):
                mixing()
        with pytest.raises(RuntimeError, match="numpy"):
            there.numpy()
        copied = there.cpu()
        there.zero_()
        assert copied.sum() == 12


def stack(noise=0):
    """Nine slices whose left part is bright, with a brighter dot; (images, targets)."""
    rng = np.random.default_rng(0)
    data = rng.integers(0, 40, (9, 24, 40))
    targets = np.full(data.shape, BACKGROUND, np.uint16)
    for index in range(9):
        data[index, :, : 16 + index % 3] += 80
        targets[index, :, : 16 + index % 3] = 1
        data[index, 8:14, 4 + index : 10 + index] += 80
        targets[index, 8:14, 4 + index : 10 + index] = 2
    data = data + rng.normal(0, noise, data.shape) if noise else data
    return np.clip(data, 0, 255).astype(np.uint8), targets


def fit_and_segment(planes_of, backbone, device, settings, data, targets, slices, **options):
    """The outcome of painted slices, and masks: of others, and where there are several, of another stack."""
    painted, others = slices
    with pytest.MonkeyPatch.context() as patch:
        for module in (fit_module, predict_module):
            patch.setattr(module, "warm_backbone", lambda *_: backbone)
            patch.setattr(module, "pick_device", lambda _: device)
        annotated = [AnnotatedSlice(index, targets[index], complete=True) for index in painted]
        fitting = fit(planes_of(data), annotated, LABELS, settings, preview=0, **options)
        outcome, _ = run(fitting)
        found = list(predict(planes_of(data), outcome.adapter, others))
        if len(others) > 1:
            darker = (data[:, ::-1] // 2).astype(np.uint8)
            found += predict(planes_of(darker), outcome.adapter, others[:1])
    return outcome, [one.labels for one in found if one is not None]


ONE, SEVERAL = ((1, 4, 7), (3,)), ((1, 4, 7), (0, 3, 5))


def on_both(planes_of, backbone, settings, data, targets, slices=ONE, options=dict):
    """Asserts that both devices give the same; the outcome on the pretended one."""
    work = settings, data, targets, slices
    expected, masks = fit_and_segment(planes_of, backbone, CPU, *work, **options())
    with pretended_device():
        moved = copy.deepcopy(backbone).to(DEVICE)
        outcome, found = fit_and_segment(planes_of, moved, DEVICE, *work, **options())
    assert outcome.record.device == str(DEVICE)
    assert outcome.record.kept == expected.record.kept
    assert not any(isinstance(one, Pretended) for one in outcome.adapter.tensors.values())
    for one, other in zip(masks, found, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(mask.any() for mask in masks)
    return outcome


@pytest.mark.parametrize("kind", ["none", "salt", "ssam", "lora", "full"])
def test_each_kind(planes_of, tiny_backbone, kind):
    """With three painted slices all steps asked for are taken and kept."""
    settings = FitSettings(kind=kind, steps=2)
    outcome = on_both(planes_of, tiny_backbone(), settings, *stack())
    assert outcome.record.kept == ("first fit" if kind == "none" else "adapted")


def test_a_trial_and_a_round_after_it(planes_of, tiny_backbone, monkeypatch):
    monkeypatch.setattr("napari_salt.model.tuning.FEWEST_SLICES", 3)
    settings = FitSettings(kind="salt", steps=2)
    first = on_both(planes_of, tiny_backbone(), settings, *stack(), SEVERAL)
    on_both(planes_of, tiny_backbone(), settings, *stack(), options=lambda: {"init": first.adapter})


def test_several_frames_a_slice(planes_of, tiny_backbone, monkeypatch):
    monkeypatch.setattr(fit_module, "choose_framing", lambda *_: Framing(16, zoom=1.0, fine=2.0))
    on_both(planes_of, tiny_backbone(), FitSettings(kind="salt", steps=2), *stack())


@pytest.mark.parametrize("framing", [Framing(16), Framing(16, zoom=1.0, fine=2.0)])
def test_the_contrast_of_another_stack(planes_of, tiny_backbone, monkeypatch, framing):
    monkeypatch.setattr(fit_module, "choose_framing", lambda *_: framing)
    monkeypatch.setattr(mixing, "choose_share", lambda *_: 0.0)
    outcome = on_both(planes_of, tiny_backbone(), FitSettings(kind="none"), *stack(), SEVERAL)
    assert outcome.adapter.likeness() is not None


def test_forests_that_look_along_the_stack(planes_of, tiny_backbone, monkeypatch):
    monkeypatch.setattr("napari_salt.model.look_along.WORTH", 100.0)
    outcome = on_both(planes_of, tiny_backbone(), FitSettings(kind="none"), *stack(), SEVERAL)
    assert outcome.adapter.info.volume


def test_features_from_the_cache(planes_of, tiny_backbone, tmp_path):
    def cached():
        return {"cache": FeatureCache(tmp_path, 10**8)}

    on_both(planes_of, tiny_backbone(), FitSettings(kind="none"), *stack(), options=cached)


def test_slices_that_decide_together(planes_of, tiny_backbone, monkeypatch):
    steadied = []
    real = predict_module.segment_steadied

    def noted(*args):
        steadied.append(args)
        return real(*args)

    monkeypatch.setattr(predict_module, "segment_steadied", noted)
    on_both(planes_of, tiny_backbone(), FitSettings(kind="none"), *stack(noise=25), SEVERAL)
    assert steadied


def test_large_slices(planes_of, tiny_backbone, monkeypatch):
    for module in (
        encode_painted_module,
        predict_module,
        segment_slices_module,
        noise_module,
        limits,
        volume_filters,
    ):
        monkeypatch.setattr(module, "is_large", lambda _: True)
    monkeypatch.setattr(large_slice, "SMALLEST_WINDOW", 16)
    monkeypatch.setattr(large_slice, "LARGEST_WINDOW", 32)
    monkeypatch.setattr(segment_large, "BLOCK_VALUES", 3 * 20 * 20)
    monkeypatch.setattr(large_paint, "MOST_FRAMES", 4)
    monkeypatch.setattr(fit_module, "choose_framing", lambda *_: Framing(16, zoom=1.0, fine=2.0))
    on_both(planes_of, tiny_backbone(), FitSettings(kind="salt", steps=2), *stack())


def test_the_embedded_network(planes_of, backbone):
    data, targets = (np.kron(one, np.ones((1, 3, 3), one.dtype)) for one in stack())
    settings = FitSettings(kind="salt", steps=1, other_stacks=False)  # the small one has those
    on_both(planes_of, backbone, settings, data, targets, ((4,), (5,)))


def test_box_to_mask(backbone, monkeypatch):
    data, _ = stack()
    shown = Stack(np.kron(data, np.ones((1, 4, 4), np.uint8)))
    box = (30.0, 30.0, 58.0, 62.0)

    def masks(network):
        monkeypatch.setattr(assist, "_looks", Recent(4))
        asked = Assistant(network, shown.plane(5), intensity_of(shown, f"on {network}"))
        return list(asked.masks(box))

    expected = masks(backbone)
    with pretended_device():
        found = masks(copy.deepcopy(backbone).to(DEVICE))
    assert expected[0].any()
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)
