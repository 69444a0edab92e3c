"""What is fitted for other stacks later is what the rest of the fit would have given at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from generators import run
from napari_salt.errors import InputError
from napari_salt.model import instruments, mixing, other_adapter
from napari_salt.model.adapter_file import load_adapter, save_adapter
from napari_salt.model.extend import extend
from napari_salt.model.feature_cache import FeatureCache
from napari_salt.model.fit import fit
from napari_salt.model.predict import predict
from napari_salt.records import BACKGROUND, AnnotatedSlice, FitSettings, IntensityChoice, Label

pytestmark = pytest.mark.usefixtures("same_random_state", "small_network")

AT_ONCE = FitSettings(device="cpu")
FIRST = replace(AT_ONCE, other_stacks=False)
LABELS = [Label(1, "square"), Label(4, "frame")]


@pytest.fixture(autouse=True)
def few_steps_and_instruments(monkeypatch):
    monkeypatch.setattr(other_adapter, "DEFAULT_STEPS", 2)
    monkeypatch.setattr(instruments, "INSTRUMENTS", instruments.INSTRUMENTS[:2])


@pytest.fixture
def queries_have_a_say(monkeypatch):
    monkeypatch.setattr(mixing, "SMALLER_SHARES", ())


@pytest.fixture
def queries_have_none(monkeypatch):
    monkeypatch.setattr(mixing, "AS_GOOD", 1e9)  # any share is as good as the best
    monkeypatch.setattr(mixing, "choose_share", lambda *_: 0.0)


@pytest.fixture
def stack(planes_of):
    rng = np.random.default_rng(0)
    truth = np.full((6, 32, 32), BACKGROUND, np.uint16)
    truth[:, 20:28, 2:30] = 4
    for index, one in enumerate(truth):
        one[2 + 2 * index : 12 + 2 * index, 6:20] = 1
    image = (300 + 400 * (truth == 1) + 200 * (truth == 4) + rng.normal(0, 30, truth.shape)).astype(
        np.float32
    )
    return planes_of(image), truth


def paint(truth, slices=(0, 2, 4)):
    return [AnnotatedSlice(index, truth[index], complete=True) for index in slices]


def same(one, other):
    assert sorted(one.tensors) == sorted(other.tensors)
    for name, values in one.tensors.items():
        assert torch.equal(values, other.tensors[name]), name


@pytest.mark.parametrize("share", ["queries_have_a_say", "queries_have_none"])
@pytest.mark.parametrize("settings", [AT_ONCE, replace(AT_ONCE, kind="none")])
def test_later_gives_what_at_once_gives(stack, share, settings, request, tmp_path):
    request.getfixturevalue(share)
    planes, truth = stack
    cache = FeatureCache(tmp_path)
    at_once, _ = run(fit(planes, paint(truth), LABELS, settings, cache=cache))
    first, _ = run(
        fit(planes, paint(truth), LABELS, replace(settings, other_stacks=False), cache=cache)
    )
    assert first.adapter.info.this_stack_only
    assert not at_once.adapter.info.this_stack_only
    path = tmp_path / "first.salt.safetensors"
    save_adapter(path, first.adapter)
    later, reports = run(
        extend(
            planes, paint(truth), load_adapter(path), replace(settings, kind="lora"), cache=cache
        )
    )
    same(later, at_once.adapter)
    seconds = at_once.record.seconds
    described = replace(later.info, record=replace(later.info.record, seconds=seconds))
    assert replace(described, created="") == replace(at_once.adapter.info, created="")
    assert reports
    has_a_say = share == "queries_have_a_say"
    assert later.info.instruments is has_a_say
    assert (later.likeness() is None) is has_a_say


@pytest.mark.usefixtures("queries_have_a_say")
def test_the_painted_stack_keeps_its_masks(stack):
    planes, truth = stack
    outcome, _ = run(fit(planes, paint(truth), LABELS, replace(FIRST, steps=2)))
    later, _ = run(extend(planes, paint(truth), outcome.adapter, AT_ONCE))
    before, after = (
        [one.labels for one in predict(planes, adapter, [1, 3]) if one is not None]
        for adapter in (outcome.adapter, later)
    )
    assert all(map(np.array_equal, before, after))
    assert later.layer_state().keys() == outcome.adapter.layer_state().keys()


@pytest.mark.usefixtures("queries_have_a_say")
def test_paint_may_have_changed_since(stack):
    """A label wiped out meanwhile, or a slice, is no reason to refuse."""
    planes, truth = stack
    outcome, _ = run(fit(planes, paint(truth), LABELS, FIRST))
    less = np.where(truth == 4, BACKGROUND, truth)
    later, _ = run(extend(planes, paint(less, (0, 2)), outcome.adapter, AT_ONCE))
    assert [label.name for label in later.labels] == ["square", "frame"]
    (found,) = (one.labels for one in predict(planes, later, [3]) if one is not None)
    assert set(np.unique(found)) == {0, 1, 4}


@pytest.mark.usefixtures("queries_have_a_say")
def test_intensities_and_sizes_are_those_of_the_adapter(stack):
    planes, truth = stack
    window = replace(FIRST, intensity=IntensityChoice("window", 100, 900), low_rank=3)
    outcome, _ = run(fit(planes, paint(truth), LABELS, window))
    later, _ = run(extend(planes, paint(truth), outcome.adapter, AT_ONCE))
    assert later.info.intensity == outcome.adapter.info.intensity
    assert later.info.low_rank == 3
    assert later.likeness() is None


def test_what_cannot_be_trained_on_is_refused_before_work_starts(stack):
    planes, truth = stack
    outcome, _ = run(fit(planes, paint(truth), LABELS, FIRST))
    with pytest.raises(InputError, match="unknown label id 9"):
        next(extend(planes, paint(np.where(truth == 4, 9, truth)), outcome.adapter, AT_ONCE))
    with pytest.raises(InputError, match="paint at least one slice"):
        next(extend(planes, [], outcome.adapter, AT_ONCE))
