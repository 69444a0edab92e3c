"""Head and adapter for other stacks: learned through instruments, kept where they help, and asked elsewhere alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from generators import run
from napari_salt.model import (
    elsewhere,
    instruments,
    invariance,
    mixing,
    other_adapter,
    other_stacks,
)
from napari_salt.model.adapter_file import load_adapter, save_adapter
from napari_salt.model.adapters import adapter_parameters, attach
from napari_salt.model.features import Standard
from napari_salt.model.fit import fit
from napari_salt.model.framing import Intensity
from napari_salt.model.invariance import draw_together
from napari_salt.model.other_adapter import OtherAdapter
from napari_salt.model.predict import predict, prepare
from napari_salt.records import BACKGROUND, FitRecord, FitSettings, Label, StepReport

pytestmark = pytest.mark.usefixtures("same_random_state")

SETTINGS = FitSettings(device="cpu")
STEPS = 2
LABELS = [Label(1, "square")]


@pytest.fixture(autouse=True)
def few_steps_and_instruments(monkeypatch):
    monkeypatch.setattr(other_adapter, "DEFAULT_STEPS", STEPS)
    monkeypatch.setattr(instruments, "INSTRUMENTS", instruments.INSTRUMENTS[:2])
    monkeypatch.setattr(mixing, "SMALLER_SHARES", ())  # the queries have a say


@pytest.fixture(scope="module")
def scene():
    """Bright squares on noise, and the same under a worse instrument."""
    rng = np.random.default_rng(0)
    truth = np.zeros((6, 64, 64), np.uint16)
    for index, one in enumerate(truth):
        one[8 + 4 * index : 28 + 4 * index, 10:40] = 1
    unit = 0.3 + 0.4 * (truth > 0) + 0.03 * rng.standard_normal(truth.shape)
    worse = unit**0.7 + 0.06 * rng.standard_normal(truth.shape)
    return (1000 * unit).astype(np.float32), (1000 * worse).astype(np.float32), truth


@pytest.fixture
def fitted(scene, planes_of, painted):
    def fit_to(slices, settings=SETTINGS, init=None):
        data, _, truth = scene
        paint = [
            replace(one, targets=np.where(one.targets == 0, BACKGROUND, one.targets))
            for one in painted(truth, slices)
        ]
        return run(fit(planes_of(data), paint, LABELS, settings, init=init))

    return fit_to


def masks(planes, adapter, slices):
    return [one.labels for one in predict(planes, adapter, slices) if one is not None]


@pytest.mark.usefixtures("small_network")
def test_a_worse_instrument_is_seen_through(scene, planes_of, fitted):
    outcome, _ = fitted((0, 3), replace(SETTINGS, kind="none"))
    _, worse, truth = scene
    (labels,) = masks(planes_of(worse), outcome.adapter, [2])
    assert np.mean(labels == truth[2]) > 0.95


@pytest.mark.usefixtures("small_network")
def test_the_painted_stack_is_not_asked_what_is_for_others(scene, planes_of, fitted):
    """The same masks there, whatever the head and the adapter for other stacks have become."""
    outcome, _ = fitted((0, 2, 4), replace(SETTINGS, kind="none"))
    adapter, data = outcome.adapter, scene[0]
    changed = {
        name: values.flip(1) if name.startswith("elsewhere") and name.endswith(".leaf") else values
        for name, values in adapter.tensors.items()
    }
    spoilt = replace(adapter, tensors=changed)
    (before,), (after,) = (masks(planes_of(data), one, [3]) for one in (adapter, spoilt))
    assert np.array_equal(before, after)
    (before,), (after,) = (masks(planes_of(scene[1]), one, [2]) for one in (adapter, spoilt))
    assert not np.array_equal(before, after)


@pytest.mark.usefixtures("small_network")
@pytest.mark.parametrize("slices", [(2,), (0, 2, 4)])
def test_a_stack_of_the_painted_range_and_noise_is_seen_as_the_painted_one(
    scene, planes_of, fitted, slices
):
    """But for the place along it: here the same slices come in another order."""
    adapter = fitted(slices, replace(SETTINGS, kind="none"))[0].adapter
    data, worse, truth = scene
    turned = planes_of(data[::-1].copy())
    conditions, _ = run(prepare(turned, adapter, device="cpu"))
    assert conditions.kin == "alike"
    found = masks(turned, adapter, range(6))
    assert np.mean(np.stack(found) == truth[::-1]) > 0.97
    which = "alike." if len(slices) > 1 else "forest."
    for prefix, same in (("elsewhere", True), (which, False)):
        spoilt = {
            name: values.flip(1) if name.startswith(prefix) and name.endswith(".leaf") else values
            for name, values in adapter.tensors.items()
        }
        after = masks(turned, replace(adapter, tensors=spoilt), range(6))
        assert np.array_equal(found, after) is same
    assert run(prepare(planes_of(worse), adapter, device="cpu"))[0].kin == "other"


@pytest.mark.usefixtures("small_network")
def test_a_noisier_stack_of_the_painted_range_is_another_one(scene, planes_of, fitted):
    adapter = fitted((2,), replace(SETTINGS, kind="none"))[0].adapter
    noise = 20 * np.random.default_rng(1).standard_normal(scene[0].shape).astype(np.float32)
    adapter = replace(adapter, info=replace(adapter.info, noise=0.5 * adapter.info.noise))
    conditions, _ = run(prepare(planes_of(scene[0] + noise), adapter, device="cpu"))
    measured = Intensity(conditions.low, conditions.high)
    assert elsewhere.on_one_scale(adapter.trained_intensity(), measured)
    assert conditions.kin == "other"


@pytest.mark.usefixtures("small_network")
def test_an_older_file_knows_no_stack_that_is_alike(scene, planes_of, fitted):
    adapter = fitted((0, 2, 4), replace(SETTINGS, kind="none"))[0].adapter
    turned = planes_of(scene[0][::-1].copy())
    without = {k: v for k, v in adapter.tensors.items() if not k.startswith("alike.")}
    silent = replace(adapter, info=replace(adapter.info, noise=None))
    for older in (replace(adapter, tensors=without), silent):
        assert run(prepare(turned, older, device="cpu"))[0].kin == "other"


@pytest.mark.usefixtures("small_network")
@pytest.mark.parametrize(
    ("slices", "found", "kept"),
    [
        ((2,), (0.5, 0.5), True),
        ((1, 3), (0.5, 0.4), False),
        ((0, 2, 4), (0.4, 0.5), True),
        ((0, 2, 4), (None, None), False),
    ],
)
def test_an_adapter_is_kept_where_labels_are_found_at_least_as_well(
    slices, found, kept, fitted, monkeypatch
):
    scores = iter(found)

    def judge(self, fold, tail):
        yield 1.0
        return next(scores)

    monkeypatch.setattr(OtherAdapter, "_judge", judge)
    outcome, reports = fitted(slices)
    record = outcome.record
    assert (record.elsewhere_before, record.elsewhere_after) == found
    assert record.elsewhere_steps == (STEPS if kept else 0)
    assert bool(outcome.adapter.layer_state(elsewhere=True)) is kept
    assert outcome.adapter.layer_state() == {}
    told = [one.message for one in reports if isinstance(one, StepReport)]
    assert other_stacks.LOOKING in told
    assert other_adapter.DRAWING in told
    assert other_stacks.FITTING in told


@pytest.mark.usefixtures("small_network")
def test_without_other_stacks_no_instrument_is_looked_through(scene, planes_of, fitted):
    alone = replace(SETTINGS, other_stacks=False)
    outcome, reports = fitted((0, 2, 4), alone)
    told = [one.message for one in reports if isinstance(one, StepReport)]
    assert other_stacks.LOOKING not in told
    assert outcome.adapter.has_other_head, "it is blind to the place along the stack"
    assert not fitted((2,), alone)[0].adapter.has_other_head


@pytest.mark.usefixtures("small_network")
def test_what_is_kept_survives_a_file_and_the_next_round_goes_on_from_it(
    scene, planes_of, fitted, monkeypatch, tmp_path
):
    monkeypatch.setattr(OtherAdapter, "_judge", _always_better(OtherAdapter._judge))
    outcome, _ = fitted((0, 2, 4))
    assert outcome.record.elsewhere_steps == STEPS
    save_adapter(tmp_path / "a.salt.safetensors", outcome.adapter)
    loaded = load_adapter(tmp_path / "a.salt.safetensors")
    assert loaded.info.record == outcome.record
    (before,), (after,) = (
        masks(planes_of(scene[1]), one, [3]) for one in (outcome.adapter, loaded)
    )
    assert np.array_equal(before, after)
    state = loaded.layer_state(elsewhere=True)
    started = []
    real = other_adapter.attach

    def attached(*args, **options):
        started.append(options["state"])
        return real(*args, **options)

    monkeypatch.setattr(other_adapter, "attach", attached)
    again, reports = fitted((0, 2, 4, 5), init=loaded)
    (given,) = started
    assert given.keys() == state.keys()
    assert all(torch.equal(given[name], state[name]) for name in state)
    told = {one.message for one in reports if isinstance(one, StepReport)}
    assert other_adapter.DRAWING not in told, "a slice more is not worth it"
    record, earlier = again.record, outcome.record
    assert (record.elsewhere_tried, record.elsewhere_asked) == (3, STEPS)
    assert record.elsewhere_after == earlier.elsewhere_after
    kept = again.adapter.layer_state(elsewhere=True)
    assert all(torch.equal(kept[name], state[name]) for name in state)


@pytest.mark.usefixtures("small_network")
@pytest.mark.parametrize("share", [0.0, 0.1])
def test_where_intensity_tells_labels_no_instrument_is_looked_through(share, fitted, monkeypatch):
    monkeypatch.setattr(mixing, "choose_share", lambda *_: share)
    assert not fitted((2,))[0].adapter.has_other_head, "that of the painted stack does"
    outcome, reports = fitted((0, 2, 4))
    told = {one.message for one in reports if isinstance(one, StepReport)}
    assert other_stacks.LOOKING not in told
    assert outcome.adapter.has_other_head, "it is blind to the place along the stack"
    assert not outcome.adapter.info.instruments
    assert outcome.record.elsewhere_tried == 0


@pytest.mark.usefixtures("small_network")
def test_another_method_starts_anew(fitted, monkeypatch):
    monkeypatch.setattr(OtherAdapter, "_judge", _always_better(OtherAdapter._judge))
    first, _ = fitted((2,))
    assert first.record.elsewhere_steps == STEPS
    other, _ = fitted((2,), replace(SETTINGS, kind="lora"), first.adapter)
    assert other.record.elsewhere_steps == STEPS
    names = {name.rpartition(".")[2] for name in other.adapter.layer_state(elsewhere=True)}
    assert "scale" not in names


@pytest.mark.parametrize(
    ("slices", "steps", "good"),
    [(4, None, True), (4, STEPS, True), (4, 20, False), (5, None, False)],
)
def test_what_an_earlier_round_found_is_found_again_with_half_as_many_slices_more(
    slices, steps, good
):
    earlier = FitRecord(
        *("salt", "lite-medsam", (0, 2, 4), 0, 9.0, 10, "first fit"),
        elsewhere_tried=3,
        elsewhere_asked=STEPS,
    )
    assert other_adapter._still_good(earlier, slices, steps) is good
    assert not other_adapter._still_good(replace(earlier, elsewhere_tried=0), 1, None)


def _always_better(real):
    """Scores of the judge that rise, whatever was found."""
    rising = iter(range(1, 100))

    def judge(self, fold, tail):
        yield from real(self, fold, tail)
        return next(rising) / 100

    return judge


@pytest.mark.usefixtures("small_network")
@pytest.mark.parametrize(
    "settings",
    [
        replace(SETTINGS, kind="none"),
        replace(SETTINGS, steps=0),
        replace(SETTINGS, time_budget=0.0),
    ],
)
def test_where_nothing_is_to_be_adapted_there_is_a_head_all_the_same(fitted, settings):
    outcome, _ = fitted((0, 2, 4), settings)
    assert outcome.adapter.has_other_head
    assert outcome.record.elsewhere_steps == 0
    assert outcome.record.elsewhere_before is None


@pytest.mark.usefixtures("small_network")
def test_with_one_painted_slice_there_is_one_as_well(scene, planes_of, fitted):
    outcome, _ = fitted((2,), replace(SETTINGS, kind="none"))
    assert outcome.adapter.has_other_head
    (labels,) = masks(planes_of(scene[1]), outcome.adapter, [3])
    assert np.mean(labels == scene[2][3]) > 0.9


class Tail(torch.nn.Module):
    """A single layer, in place of a tail."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.layer = torch.nn.utils.skip_init(torch.nn.Linear, 6, 6)
        with torch.no_grad():
            self.layer.weight.copy_(torch.randn(6, 6, generator=generator))
            self.layer.bias.zero_()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.layer(values)


class Look:
    """In place of a glance: the input of the tail, turned a little by an instrument."""

    key = (0, 0)

    def __init__(self, values: torch.Tensor) -> None:
        self.values = values

    def tail_taps(self, tail: torch.nn.Module) -> torch.Tensor:
        return tail(self.values)


@pytest.fixture
def pair():
    """A tail with an adapter, looks through an instrument, and what the tail itself shows."""
    generator = torch.Generator().manual_seed(1)
    plain = torch.randn(200, 6, generator=generator)
    tail = Tail()
    with torch.no_grad():
        shown = tail(plain)
    standard = Standard.measure(shown)
    attach(tail, "salt", ["layer"], rank=3, low_rank=2)
    turn = torch.eye(6) + 0.2 * torch.randn(6, 6, generator=generator)
    return tail, [Look(plain @ turn)], {(0, 0): standard(shown)}, standard


def test_what_an_instrument_shows_comes_closer_to_what_is_there(pair):
    tail, looks, targets, standard = pair

    def apart() -> float:
        with torch.no_grad():
            return float((standard(looks[0].tail_taps(tail)) - targets[0, 0]).square().mean())

    before = apart()
    done, reports = run(draw_together(tail, looks, targets, standard, steps=40, seconds=None))
    assert done == 40
    assert apart() < 0.9 * before
    assert reports[-1].loss is not None
    assert reports[-1].loss < before


@pytest.mark.parametrize(("seconds", "steps"), [(0.0, 0), (2.5, 2), (1000.0, 5)])
def test_steps_are_as_many_as_there_is_time_for(pair, monkeypatch, seconds, steps):
    """A frame takes a second by this clock, and a step has one."""
    tail, looks, targets, standard = pair
    now = iter(range(1000))
    monkeypatch.setattr(invariance.time, "monotonic", lambda: float(next(now)))
    monkeypatch.setattr(invariance, "LOOKED_AT", 1)
    done, _ = run(draw_together(tail, looks, targets, standard, steps=5, seconds=seconds))
    assert done == steps


def test_a_loss_that_is_no_number_leaves_the_last_good_state(pair):
    tail, looks, targets, standard = pair
    looks[0].values = looks[0].values * float("nan")
    done, _ = run(draw_together(tail, looks, targets, standard, steps=5, seconds=None))
    assert done == 0
    values = [p for each in adapter_parameters(tail).values() for p in each]
    assert all(torch.isfinite(one).all() for one in values)


@pytest.mark.usefixtures("small_network")
def test_instruments_are_seen_no_more_once_time_is_up(fitted, monkeypatch):
    looked = []
    real = other_stacks.seen_through

    def seen(*args, **options):
        looked.append(args)
        return real(*args, **options)

    monkeypatch.setattr(other_stacks, "seen_through", seen)
    fitted((0, 2), replace(SETTINGS, time_budget=0.0))
    assert looked == []
    fitted((0, 2), replace(SETTINGS, kind="none"))
    assert len(looked) == 2 * len(instruments.INSTRUMENTS)
