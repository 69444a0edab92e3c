"""Fine-tuning on a tiny backbone: only the adapter moves, honest judges, and kept only where it helps."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from generators import run
from napari_salt.model import fine_tune as fine_tune_module
from napari_salt.model import probe, tuning
from napari_salt.model.adapters import adapter_parameters, adapter_state, attach
from napari_salt.model.encoder import Encoder
from napari_salt.model.fine_tune import TuneReport, fine_tune
from napari_salt.model.framing import Framing, Intensity
from napari_salt.model.queries import NEVER
from napari_salt.model.segmenter import join_taps
from napari_salt.model.training_set import TrainingSet
from napari_salt.model.tuning import tune
from napari_salt.records import BACKGROUND, AnnotatedSlice, FitSettings, Label, StepReport

pytestmark = pytest.mark.usefixtures("same_random_state")

LABELS = (Label(1, "left"), Label(5, "top"))
SETTINGS = FitSettings(steps=3, device="cpu")
SIDE = 16


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((SIDE, SIDE), np.float32)


@pytest.fixture
def make_data(tiny_backbone, planes_of, monkeypatch):
    """A training set of slices with noise, a bright left and a dim top; each call anew."""
    for name, size in (("TREES", 4), ("FOLD_TREES", 3)):
        monkeypatch.setattr(probe, name, size)

    def make(count: int = 4, planes: dict[int, np.ndarray] | None = None, **options) -> TrainingSet:
        backbone = tiny_backbone()
        encoder = Encoder(backbone, Intensity((0.0,), (1.0,)), Framing(SIDE))
        encoded, annotated = [], []
        for index in range(count):
            targets = np.full((SIDE, SIDE), BACKGROUND, np.uint16)
            targets[:, : 6 + index % 3] = 1
            targets[: 4 + index % 2, 9:] = 5
            plane = noise(index) / 2 + (targets == 1) * 0.4 - (targets == 5) * 0.2
            plane = (planes or {}).get(index, plane).astype(np.float32)
            *_, slice_ = encoder.steps(planes_of(np.stack([plane] * count)), index)
            encoded.append(slice_)
            annotated.append(AnnotatedSlice(index, targets, complete=True))
        embeddings = F.normalize(
            torch.randn(3, 8, generator=torch.Generator().manual_seed(0)), dim=1
        )
        data = TrainingSet(
            backbone,
            encoded,
            annotated,
            LABELS,
            embeddings,
            seed=0,
            device=torch.device("cpu"),
            **options,
        )
        run(data.measure())
        return data

    return make


def adapted_tail(data: TrainingSet, kind: str = "salt"):
    tail = data.tail()
    attach(tail, kind, data.backbone.adaptable_layers(tail), seed=0)
    return tail


def judges_of(data: TrainingSet) -> dict:
    folds, _ = run(data.fit_folds())
    return {fold: (fitted.queries, fitted.bias) for fold, fitted in folds.items()}


# --- training -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["salt", "lora", "ssam", "full"])
def test_only_the_adapter_moves(make_data, kind):
    data = make_data()
    tail, judges = adapted_tail(data, kind), judges_of(data)
    trained = {id(p) for each in adapter_parameters(tail).values() for p in each}
    frozen = {
        name: p.detach().clone() for name, p in tail.named_parameters() if id(p) not in trained
    }
    assert frozen
    before, kept = adapter_state(tail), {f: (w.clone(), b.clone()) for f, (w, b) in judges.items()}
    deep = data.samples.deep.clone()
    done, reports = run(fine_tune(data, tail, data.everything(), judges, steps=6))
    assert done == 6
    now = dict(tail.named_parameters())
    assert all(torch.equal(now[name], values) for name, values in frozen.items())
    after = adapter_state(tail)
    assert any(not torch.equal(after[name], values) for name, values in before.items())
    for fold, (weight, bias) in judges.items():
        assert torch.equal(weight, kept[fold][0])
        assert torch.equal(bias, kept[fold][1])
        assert not weight.requires_grad
        assert weight.grad is None
    assert torch.equal(data.samples.deep, deep)
    losses = [one.loss for one in reports if one.step and one.loss is not None]
    assert losses[-1] < losses[0]


def test_reports_follow_each_slice_of_each_step(make_data):
    data = make_data()
    _, reports = run(
        fine_tune(data, adapted_tail(data), data.everything(), judges_of(data), steps=2)
    )
    assert [one.step for one in reports] == [0, 0, 0, 0, 1, 1, 1, 1, 1, 2]
    assert {one.steps for one in reports} == {2}
    assert [one.loss is None for one in reports] == [True] * 4 + [False] * 6
    assert isinstance(reports[0], TuneReport)


def test_a_step_is_that_of_the_mean_over_all_pixels(make_data):
    data = make_data()
    judges, tail = judges_of(data), adapted_tail(data)
    _, reports = run(fine_tune(data, tail, data.everything(), judges, steps=1))
    samples = data.samples
    expected = sum(
        F.cross_entropy(
            samples.deep[samples.fold == fold] @ weight.T + bias,
            samples.targets[samples.fold == fold],
            reduction="sum",
        )
        for fold, (weight, bias) in judges.items()
    )
    assert reports[-1].loss == pytest.approx(float(expected) / len(samples.targets), rel=1e-3)


def test_pixels_whose_label_their_judge_does_not_know_do_not_count(make_data):
    data = make_data()
    tail = adapted_tail(data)
    one, judges = data.everything()[1], judges_of(data)
    weight, bias = judges[1]
    lost = bias.clone()
    lost[2] = NEVER
    found = fine_tune_module._loss(data, tail, one, {1: (weight, lost)})
    known = one.targets != 2
    assert 0 < known.sum() < len(known)
    deep = data.tap_standard(
        one.encoded.view.taps_at(join_taps(data.taps, one.encoded, tail), one.rows, one.columns)
    )
    expected = F.cross_entropy(deep[known] @ weight.T + lost, one.targets[known])
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)
    assert math.isfinite(float(found.detach()))
    nothing = fine_tune_module._loss(data, tail, one, {1: (weight, torch.full_like(bias, NEVER))})
    assert nothing == 0
    assert not nothing.requires_grad


def test_each_pixel_has_the_judge_of_its_fold(make_data):
    data = make_data(1)  # one slice, whose folds are the halves of a chequered pattern
    one, tail, judges = data.everything()[0], adapted_tail(data), judges_of(data)
    assert sorted(judges) == sorted(one.fold.unique().tolist()) == [0, 1]
    found = fine_tune_module._loss(data, tail, one, judges)
    samples = data.samples
    logits = torch.where(
        (samples.fold == 0)[:, None],
        samples.deep @ judges[0][0].T + judges[0][1],
        samples.deep @ judges[1][0].T + judges[1][1],
    )
    expected = F.cross_entropy(logits, samples.targets)
    assert float(found.detach()) == pytest.approx(float(expected), rel=1e-3)


def test_judges_that_know_nothing_change_nothing(make_data):
    data = make_data()
    tail = adapted_tail(data)
    before = adapter_state(tail)
    empty = {f: (w, torch.full_like(b, NEVER)) for f, (w, b) in judges_of(data).items()}
    done, reports = run(fine_tune(data, tail, data.everything(), empty, steps=2))
    assert done == 2
    assert reports[-1].loss == 0
    assert all(torch.equal(values, before[name]) for name, values in adapter_state(tail).items())


@pytest.mark.parametrize("slices", [0, 1, 3, 4, 5])
def test_half_a_step_is_not_taken(make_data, monkeypatch, slices):
    """The time is up after so many slices; the fifth is the first of the second step."""
    data = make_data()
    judges, states = judges_of(data), []
    for steps, deadline in ((None, 10.0), (slices // 4, None)):
        tail = adapted_tail(data)
        clock = iter([0.0] * slices + [99.0])
        monkeypatch.setattr(fine_tune_module.time, "monotonic", lambda clock=clock: next(clock))
        # a schedule of 5 steps, stopped by the deadline or by hand
        running = fine_tune(data, tail, data.everything(), judges, steps=5, deadline=deadline)
        if deadline is None:
            while steps and next(running).step < steps:
                pass
            running.close()
        else:
            done, reports = run(running)
            assert done == slices // 4
            assert sum(one.step == done for one in reports) == slices % 4 + bool(done)
        monkeypatch.undo()
        states.append(adapter_state(tail))
    assert all(torch.equal(values, states[1][name]) for name, values in states[0].items())


def test_of_many_frames_a_few_are_drawn_by_the_seed(make_data, monkeypatch):
    monkeypatch.setattr(fine_tune_module, "MOST_FRAMES", 2)
    data = make_data()
    judges = judges_of(data)
    states = []
    for seed in (0, 0, 1):
        tail = adapted_tail(data)
        _, reports = run(fine_tune(data, tail, data.everything(), judges, steps=2, seed=seed))
        assert len(reports) == 2 * 3
        states.append(adapter_state(tail))
    same = [
        all(torch.equal(values, other[name]) for name, values in states[0].items())
        for other in states[1:]
    ]
    assert same == [True, False]


# --- losses that are not numbers ------------------------------------------------------------------


@pytest.fixture
def broken_loss(monkeypatch):
    """Makes the loss of some steps not a number; slices of a step count from 0."""

    def breaks(*steps: int, slices: int = 4, how: float = math.nan) -> None:
        real, calls = fine_tune_module._loss, iter(range(10**6))

        def loss(*args):
            found = real(*args)
            return found * how if next(calls) // slices + 1 in steps else found

        monkeypatch.setattr(fine_tune_module, "_loss", loss)

    return breaks


def rates(monkeypatch) -> list[float]:
    """Learning rate of every step taken, as they come."""
    seen: list[float] = []
    real = torch.optim.AdamW.step

    def step(self, *args, **kwargs):
        seen.append(self.param_groups[0]["lr"])
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    return seen


@pytest.mark.parametrize("how", [math.nan, math.inf])
def test_a_loss_that_is_no_number_takes_the_last_good_state_up_again(
    make_data, broken_loss, monkeypatch, how
):
    data = make_data()
    judges, tail = judges_of(data), adapted_tail(data)
    plain = rates(monkeypatch)
    run(fine_tune(data, tail, data.everything(), judges, steps=6))
    monkeypatch.undo()
    slowed, tail = rates(monkeypatch), adapted_tail(data)
    broken_loss(4, how=how)
    states, reports = [], []
    running = fine_tune(data, tail, data.everything(), judges, steps=6)
    while True:
        try:
            reports.append(next(running))
        except StopIteration as stop:
            done = stop.value
            break
        states.append(adapter_state(tail))
    ends = [i for i, one in enumerate(reports) if one.step != reports[i - 1].step and one.step]
    after = dict(zip((reports[i].step for i in ends), (states[i] for i in ends), strict=True))
    # the third step led to where the loss is no number: it is taken back, and two more follow
    assert all(torch.equal(values, after[4][name]) for name, values in after[2].items())
    assert not all(torch.equal(values, after[4][name]) for name, values in after[3].items())
    assert done == 4
    assert next(one.faults for one in reports if one.step == 4) == 1
    assert all(math.isfinite(one.loss) for one in reports if one.loss is not None)
    assert slowed[:3] == plain[:3]
    assert slowed[3:] == [rate * fine_tune_module.SLOWER for rate in plain[4:]]
    assert all(torch.isfinite(values).all() for values in adapter_state(tail).values())


def test_losses_that_stay_no_numbers_end_the_training(make_data, broken_loss):
    data = make_data()
    tail, judges = adapted_tail(data), judges_of(data)
    before = adapter_state(tail)
    broken_loss(*range(1, 100))
    done, reports = run(fine_tune(data, tail, data.everything(), judges, steps=50))
    assert done == 0
    assert reports[-1].faults == fine_tune_module.MOST_FAULTS
    assert all(torch.equal(values, before[name]) for name, values in adapter_state(tail).items())


def test_a_last_step_into_nothing_is_taken_back(make_data, monkeypatch):
    data = make_data()
    tail, judges = adapted_tail(data), judges_of(data)
    trained = [p for each in adapter_parameters(tail).values() for p in each]
    real, calls = torch.optim.AdamW.step, []

    def step(self, *args, **kwargs):
        real(self, *args, **kwargs)
        calls.append(None)
        if len(calls) == 3:
            trained[0].data.fill_(math.nan)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    done, _ = run(fine_tune(data, tail, data.everything(), judges, steps=3))
    assert done == 2
    assert all(torch.isfinite(one).all() for one in trained)


# --- the trial ------------------------------------------------------------------------------------


def test_the_trial_never_sees_the_slices_left_out(make_data, monkeypatch):
    """Whatever the left-out slice shows, the adapter and the fit of the trial are the same, and the score is not."""
    out = make_data().trial_fold()
    assert out == 2
    plain = make_data()
    seen = []
    real = TrainingSet.fit_without

    def spy(self, fold, samples):
        fitted = yield from real(self, fold, samples)
        seen.append((fold, fitted, samples.deep[samples.fold != fold]))
        return fitted

    monkeypatch.setattr(TrainingSet, "fit_without", spy)
    scores = []
    for planes in ({}, {out: 1 - noise(77)}):
        data = make_data(planes=planes)
        # what is measured before the trial: the scaling of taps, over all painted pixels, without labels
        data.tap_standard = plain.tap_standard
        raw, _ = run(data._tap_values(data.starting_tail()))
        data.samples = replace(data.samples, deep=plain.tap_standard(raw))
        folds, _ = run(data.fit_folds())
        trial, _ = run(tuning._Run(data, SETTINGS).trial(folds, 3, None))
        assert trial.steps == 3
        scores.append(trial.after)
    (fold, one, deep), (_, other, other_deep) = seen
    assert fold == out
    assert torch.equal(deep, other_deep)  # the tails are the same
    # main directions come from all slices, but without labels; the forests may differ for them
    assert torch.equal(one.queries, other.queries)
    assert torch.equal(one.bias, other.bias)
    assert scores[0] != scores[1]


def test_slices_of_the_fold_left_out_are_not_trained_on(make_data):
    data = make_data(7)
    for out in range(data.folds):
        inside = data.outside(out)
        assert {one.number for one in inside} == {i for i in range(7) if i % 5 != out}
        assert out not in run(data.judges(out))[0]


# --- what is kept ---------------------------------------------------------------------------------


@pytest.fixture
def tuned(make_data, monkeypatch):
    """Tune with the held-out Dice of the trial set by hand; returns what came of it and the segmenter before."""

    def work(
        gain: float,
        count: int = 5,
        settings: FitSettings = SETTINGS,
        deadline=None,
        no_gain=(),
        **options,
    ):
        data = make_data(count, **options)
        segmenter = data.segmenter(run(data.fit_all())[0])
        before = {name: values.clone() for name, values in segmenter.state_dict().items()}
        monkeypatch.setattr(
            TrainingSet,
            "score_on",
            lambda _, fold, fitted, samples=None: {1: 0.5 + (samples is not None) * gain},
        )
        folds, _ = run(data.fit_folds())
        found, reports = run(tune(data, segmenter, folds, settings, deadline, no_gain))
        after = segmenter.state_dict()
        same = set(before) == set(after) and all(
            torch.equal(values, after[name]) for name, values in before.items()
        )
        assert all(isinstance(one, StepReport) for one in reports)
        return found, same, reports

    return work


@pytest.mark.parametrize("gain", [-0.2, 0.0, tuning.WORTH / 2])
def test_too_small_a_gain_leaves_the_first_fit(tuned, gain):
    found, same, reports = tuned(gain)
    assert same
    assert reports
    assert (found.layers, found.steps, found.after) == ({}, 0, {})
    assert found.note == tuning.NO_GAIN_NOTE
    assert found.parameters > 0


def test_a_gain_is_kept_with_its_score(tuned):
    found, same, _ = tuned(2 * tuning.WORTH)
    assert not same
    assert found.steps == SETTINGS.steps
    assert {name.rpartition(".")[0] for name in found.layers} == {"neck"}
    assert found.before == {1: 0.5}
    assert found.after == {1: 0.5 + 2 * tuning.WORTH}
    assert found.note == tuning.SCORE_NOTE


def test_the_note_tells_of_a_loss_that_was_no_number(tuned, broken_loss):
    broken_loss(2)  # of the trial
    found, same, reports = tuned(2 * tuning.WORTH)
    assert not same
    assert found.note == f"{tuning.SCORE_NOTE} {tuning.FAULT_NOTE.format('1 time')}"
    assert any("slower" in one.message for one in reports)


def test_losses_that_are_never_numbers_leave_the_first_fit(tuned, broken_loss):
    broken_loss(*range(1, 1000))
    found, same, _ = tuned(2 * tuning.WORTH)
    assert same
    assert (found.steps, found.layers) == (0, {})
    assert found.note.endswith(tuning.FAULT_NOTE.format("3 times"))
    few, same, _ = tuned(1.0, 2)
    assert same
    assert few.note == tuning.FAULT_NOTE.format("3 times")


ASKED = (SETTINGS.steps, -1, -1)  # the ranks are the method's own


def test_a_trial_without_gain_is_remembered(tuned):
    assert tuned(0.0)[0].no_gain == (5, *ASKED)
    assert tuned(2 * tuning.WORTH)[0].no_gain == ()
    assert tuned(0.0, deadline=0.0)[0].no_gain == ()  # there was no time for one


@pytest.mark.parametrize(
    ("no_gain", "tried"),
    [
        ((4, *ASKED), False),  # 6 slices are worth another trial
        ((5, *ASKED), False),
        ((3, *ASKED), True),
        ((4, ASKED[0] + 1, *ASKED[1:]), True),
        ((4, ASKED[0], 8, -1), True),
        ((4, ASKED[0], -1, 8), True),
        ((4,), True),
        ((), True),
    ],
)
def test_a_trial_is_repeated_only_with_half_as_many_slices_more_or_other_settings(
    tuned, no_gain, tried
):
    found, same, reports = tuned(0.3, no_gain=no_gain)
    assert same is not tried
    assert bool(reports) is tried
    if not tried:
        assert found.no_gain == no_gain
        assert found.note == tuning.EARLIER_NOTE.format(6 if no_gain[0] == 4 else 8)


def test_slices_of_an_earlier_round_choose_but_give_no_score(tuned, make_data):
    data = make_data()
    layers = adapter_state(adapted_tail(data))
    found, same, _ = tuned(0.3, layers=layers, learned_from=(0,))
    assert not same
    assert found.steps == SETTINGS.steps
    assert (found.before, found.after, found.note) == ({}, {}, tuning.STALE_NOTE)


@pytest.mark.parametrize("change", [{"kind": "none"}, {"steps": 0}])
def test_nothing_asked_for_is_nothing_done(tuned, change):
    found, same, reports = tuned(1.0, settings=replace(SETTINGS, **change))
    assert same
    assert reports == []
    assert (found.layers, found.steps, found.parameters, found.note) == ({}, 0, 0, "")


def test_no_time_left_leaves_the_first_fit(tuned):
    found, same, reports = tuned(1.0, deadline=0.0)
    assert same
    assert reports == []
    assert (found.steps, found.note) == (0, tuning.TIME_NOTE)


def test_time_that_is_up_in_the_trial_leaves_the_first_fit(tuned, monkeypatch):
    monkeypatch.setattr(tuning, "_part", lambda *_: 0.0)
    found, same, _ = tuned(1.0, deadline=float("inf"))
    assert same
    assert (found.steps, found.layers) == (0, {})


@pytest.mark.parametrize(("seconds", "kept"), [(11.0, False), (40.0, True)])
def test_a_trial_that_has_no_time_for_enough_steps_ends_at_once(tuned, monkeypatch, seconds, kept):
    """A frame takes a second by this clock; a trial of eight steps has 32 of them."""
    now = [100.0]
    real = tuning.fine_tune

    def slow(*args, **options):
        working = real(*args, **{**options, "deadline": None})
        while True:
            try:
                report = next(working)
            except StopIteration as stop:
                return stop.value
            now[0] += 1
            yield report

    monkeypatch.setattr(tuning, "fine_tune", slow)
    monkeypatch.setattr(tuning.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(tuning, "_part", lambda *_: 100 + seconds)
    settings = replace(SETTINGS, steps=8)
    found, same, _ = tuned(1.0, settings=settings, deadline=1000.0)
    assert same is not kept
    assert found.note == (tuning.SCORE_NOTE if kept else tuning.SLOW_NOTE)
    if not kept:
        assert now[0] < 106, "it was given up after a few frames"
        assert found.no_gain == ()


def test_unless_steps_are_asked_for_the_backbone_stays_as_it_is(tuned):
    found, same, reports = tuned(1.0, 5, FitSettings(device="cpu"))
    assert same
    assert (reports, found.note, found.steps) == ([], "", 0)


def test_with_two_slices_there_is_no_trial(tuned):
    found, same, _ = tuned(-1.0, 2)  # steps are asked for: no trial stands in their way
    assert not same
    assert found.steps == SETTINGS.steps
    assert found.after == {}


def test_what_is_kept_is_a_new_fit_to_what_the_changed_backbone_sees(make_data, monkeypatch):
    monkeypatch.setattr(TrainingSet, "score_on", lambda *a: {1: float(len(a) > 3)})
    data = make_data()
    segmenter = data.segmenter(run(data.fit_all())[0])
    found, _ = run(tune(data, segmenter, run(data.fit_folds())[0], SETTINGS, None))
    assert found.steps
    samples, _ = run(data.with_tail(segmenter.tail))
    assert not torch.equal(samples.deep, data.samples.deep)
    expected, _ = run(data.fit_all(samples))
    torch.testing.assert_close(segmenter.head.queries(), expected.queries, atol=1e-5, rtol=1e-4)
    assert torch.equal(segmenter.head.directions, expected.directions)
    for name, values in expected.forest.tensors().items():
        assert torch.equal(segmenter.head.forest.tensors()[name], values)


@pytest.mark.parametrize(("scores", "mean"), [({}, None), ({1: 0.5}, 0.5), ({1: 0.2, 4: 1.0}, 0.6)])
def test_the_mean_over_labels(scores, mean):
    assert tuning.mean_dice(scores) == (None if mean is None else pytest.approx(mean))
