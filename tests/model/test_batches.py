"""Batches that follow the free memory, and the way to the CPU, with devices and networks that only pretend."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from napari_salt.engine import tasks
from napari_salt.engine.requests import SegmentRequest
from napari_salt.errors import JobFailed
from napari_salt.model import batches as batches_module
from napari_salt.model import encoder as encoder_module
from napari_salt.model import fit as fit_module
from napari_salt.model import predict as predict_module
from napari_salt.model import segmenter as segmenter_module
from napari_salt.model.adapter_file import AdapterFile, save_adapter
from napari_salt.model.batches import ON_THE_CPU, Batches, with_fallback
from napari_salt.model.conditions import Conditions
from napari_salt.model.encoder import Encoder, head_taps
from napari_salt.model.feature_cache import FOLDER_VARIABLE, FeatureCache
from napari_salt.model.fit import FirstFit, FitOutcome, fit
from napari_salt.model.framing import Framing, Intensity, measure_intensity
from napari_salt.model.predict import predict
from napari_salt.model.segment_slices import segment_slices, segment_steadied
from napari_salt.model.segmenter import join_taps
from napari_salt.records import BACKGROUND, FitSettings, Label, SlicePrediction, StepReport

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory.")


@dataclass
class Work:
    """Runs where a part is at most ``most`` frames, and remembers every try."""

    most: int
    tries: list[int] = field(default_factory=list)

    def __call__(self, part: slice) -> list[int]:
        frames = list(range(part.start, part.stop))
        self.tries.append(len(frames))
        if len(frames) > self.most:
            raise OUT_OF_MEMORY
        return frames


@pytest.fixture
def gpu(monkeypatch):
    """A CUDA device on which a frame takes 100 of 1000 free bytes, of which 60 % may be planned."""
    monkeypatch.setattr(batches_module, "measure_peak", lambda _, work: (work(), 100))
    monkeypatch.setattr(batches_module, "free_memory", lambda _: 1000)


@pytest.mark.parametrize(
    ("most", "count", "tries"),
    [
        (99, 1, [1]),
        (99, 8, [1, 6, 1]),  # the first frame is measured
        (4, 8, [1, 6, 3, 3, 1]),
        (2, 8, [1, 6, 3, 1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_batches_on_a_gpu(gpu, most, count, tries):
    work = Work(most)
    results = list(Batches(CUDA).run(count, work))
    assert work.tries == tries
    assert [frame for part in results for frame in part] == list(range(count))


def test_the_size_found_is_kept_for_the_next_run(gpu):
    batches, work = Batches(CUDA), Work(4)
    for _ in range(2):
        list(batches.run(6, work))
    assert batches.size == 2
    assert work.tries == [1, 5, 2, 2, 1, 2, 2, 2]


@pytest.mark.parametrize("kind", ["cpu", "mps"])
def test_one_frame_at_once_where_nothing_can_be_measured(kind):
    work = Work(99)
    assert len(list(Batches(torch.device(kind)).run(3, work))) == 3
    assert work.tries == [1, 1, 1]


def test_one_frame_that_does_not_fit_is_for_the_caller(gpu):
    with pytest.raises(torch.OutOfMemoryError):
        list(Batches(CUDA).run(3, Work(0)))


def test_other_errors_are_not_retried():
    batches, tries = Batches(CPU), []
    batches.size = 4

    def work(part: slice) -> None:
        tries.append(part)
        raise RuntimeError("a mistake")

    with pytest.raises(RuntimeError, match="a mistake"):
        list(batches.run(8, work))
    assert len(tries) == 1


def test_memory_is_given_back_before_the_next_try(monkeypatch):
    released = []
    monkeypatch.setattr(batches_module, "release_memory", lambda: released.append(len(work.tries)))
    batches, work = Batches(CPU), Work(2)
    batches.size = 8
    list(batches.run(8, work))
    assert work.tries[:3] == [8, 4, 2]
    assert released == [1, 2]


def numbers(fails_on: str, tries: list[str]):
    """Work that yields the kind of its device, and runs out of memory afterwards on some."""

    def work(device: torch.device) -> Generator[str, None, str]:
        tries.append(device.type)
        yield device.type
        if device.type in fails_on:
            raise OUT_OF_MEMORY
        return f"done on {device.type}"

    return work


def drain(generator: Generator) -> tuple[list, object]:
    found = []
    while True:
        try:
            found.append(next(generator))
        except StopIteration as stop:
            return found, stop.value


def test_a_full_gpu_leads_to_the_cpu():
    tries: list[str] = []
    found, result = drain(with_fallback(CUDA, numbers("cuda", tries), lambda text: text))
    assert found == ["cuda", ON_THE_CPU, "cpu"]
    assert result == "done on cpu"


def test_nothing_is_repeated_where_memory_does():
    tries: list[str] = []
    found, result = drain(with_fallback(CUDA, numbers("", tries), lambda text: text))
    assert (found, result, tries) == (["cuda"], "done on cuda", ["cuda"])


def test_a_full_computer_is_a_sentence():
    with pytest.raises(JobFailed, match="smaller backbone"):
        drain(with_fallback(CUDA, numbers("cuda cpu", []), lambda text: text))


# --- memory that is really not there -----------------------------------------------------------------

MORE_THAN_ANY_COMPUTER_HAS = 2**50


def test_a_real_refusal_of_the_computers_memory_is_a_sentence():
    def work(device):
        yield device.type
        return torch.empty(MORE_THAN_ANY_COMPUTER_HAS, dtype=torch.uint8)

    with pytest.raises(JobFailed, match="smaller backbone") as failed:
        drain(with_fallback(CPU, work, lambda text: text))
    assert type(failed.value.__cause__) is RuntimeError


def test_numpys_refusal_is_known_too():
    def work(device):
        yield device.type
        return np.empty(MORE_THAN_ANY_COMPUTER_HAS, np.uint8)

    with pytest.raises(JobFailed, match="smaller backbone"):
        drain(with_fallback(CPU, work, lambda text: text))


def test_a_batch_that_the_computer_refuses_is_halved_until_it_fits():
    batches, tries = Batches(CPU), []
    batches.size = 4

    def work(part: slice) -> int:
        count = part.stop - part.start
        tries.append(count)
        return torch.empty(
            MORE_THAN_ANY_COMPUTER_HAS if count > 1 else 1, dtype=torch.uint8
        ).numel()

    assert list(batches.run(4, work)) == [1, 1, 1, 1]
    assert tries == [4, 2, 1, 1, 1, 1]


# --- encoder, prediction and fit ------------------------------------------------------------------


@pytest.fixture(scope="module")
def planes(planes_of):
    """Ten slices of 16 x 40 pixels, a row of three frames each: bright on the left of a moving line."""
    x = np.arange(40)
    images = [np.tile(np.where(x < 14 + i, 200, 40), (16, 1)) for i in range(10)]
    noise = np.random.default_rng(0).normal(0, 9, (10, 16, 40))
    return planes_of((np.stack(images) + noise).astype(np.float32))


@pytest.fixture
def annotated(planes, painted):
    truth = np.where(planes.data > 120, 1, BACKGROUND).astype(np.uint16)
    return painted(truth, [0, 4, 9])


def encoder_of(backbone, size: int, cache: FeatureCache | None = None) -> Encoder:
    encoder = Encoder(backbone, Intensity((0.0,), (255.0,)), Framing(16, 1.0), cache=cache)
    encoder.batches.size = size
    return encoder


def test_encoding_goes_on_with_smaller_batches(tiny_backbone, planes):
    roomy, tight = tiny_backbone(), tiny_backbone(most=2)
    whole = list(encoder_of(roomy, 8).steps(planes, 3))[-1]
    parts = list(encoder_of(tight, 8).steps(planes, 3))[-1]
    frames = len(whole.view.layout.origins)
    assert frames > 2
    assert roomy.passes == [frames]
    assert tight.passes[0] == frames
    assert max(tight.passes[1:]) <= 2
    torch.testing.assert_close(parts.tail_input, whole.tail_input)
    torch.testing.assert_close(parts.taps["stage1"], whole.taps["stage1"])


def test_cached_frames_serve_batches_of_any_size(tiny_backbone, planes, tmp_path):
    backbone, cache = tiny_backbone(), FeatureCache(tmp_path)
    first = list(encoder_of(backbone, 1, cache).steps(planes, 3))[-1]
    frames = len(first.view.layout.origins)
    assert backbone.passes == [1] * frames
    again = list(encoder_of(backbone, 8, cache).steps(planes, 3))[-1]
    assert backbone.passes == [1] * frames  # nothing was run again
    assert torch.equal(again.tail_input, first.tail_input)
    assert torch.equal(again.taps["stage1"], first.taps["stage1"])
    newest = max(cache.folder.iterdir())
    newest.unlink()
    list(encoder_of(backbone, 8, cache).steps(planes, 3))
    assert backbone.passes == [1] * (frames + 1)  # only the missing one


def test_half_precision_features_are_cached_apart(tiny_backbone, planes, tmp_path, monkeypatch):
    backbone, cache = tiny_backbone(), FeatureCache(tmp_path)
    list(encoder_of(backbone, 1, cache).steps(planes, 3))
    run = len(backbone.passes)
    monkeypatch.setattr(encoder_module, "autocast_dtype", lambda _: torch.bfloat16)
    list(encoder_of(backbone, 1, cache).steps(planes, 3))
    assert len(backbone.passes) == 2 * run


def test_networks_run_in_the_precision_of_the_device(tiny_backbone, planes, monkeypatch):
    for module in (encoder_module, segmenter_module):
        monkeypatch.setattr(module, "autocast", lambda _: torch.autocast("cpu", torch.bfloat16))
    backbone = tiny_backbone()
    encoded = list(encoder_of(backbone, 1).steps(planes, 3))[-1]
    exact = backbone.prefix(encoder_of(backbone, 1).view(planes, 3, planes.plane(3))[1])
    assert encoded.tail_input.dtype is torch.float32  # what is kept and cached stays float32
    assert not torch.equal(encoded.tail_input, exact.tail_input)
    torch.testing.assert_close(encoded.tail_input, exact.tail_input, atol=0.02, rtol=0.02)
    tail = backbone.make_tail()
    taps = join_taps(head_taps(backbone), encoded, tail)
    assert {values.dtype for values in taps.values()} == {torch.float32}
    assert not torch.equal(taps["neck"], tail(encoded.tail_input)["neck"])


@pytest.fixture
def adapter(small_network, planes, annotated) -> AdapterFile:
    settings = FitSettings(kind="none", device="cpu", other_stacks=False)
    _, outcome = drain(fit(planes, annotated, [Label(1, "left")], settings))
    assert isinstance(outcome, FitOutcome)
    return outcome.adapter


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_slices_share_batches_without_a_difference(adapter, planes, tiny_backbone, noise):
    backbone = tiny_backbone()
    segmenter = predict_module.build_segmenter(adapter, backbone)
    encoder = encoder_of(backbone, 5)
    encoder.intensity = scale = measure_intensity(planes)
    seen = Conditions(scale.low, scale.high, scale.method, scale.gamma, "painted", noise)
    running = predict(planes, adapter, [1, 2, 3], device="cpu", conditions=seen)
    alone = [one for one in running if one]
    encoder.framing = adapter.framing()
    frames = len(encoder.framing.layout(16, 40).origins)
    assert frames > 1
    if noise:
        running = segment_steadied(
            segmenter, encoder, planes, [1, 2, 3], adapter.labels, None, noise, {}
        )
    else:
        running = segment_slices(segmenter, encoder, planes, [1, 2, 3], adapter.labels)
    found = list(running)
    assert backbone.passes[0] == 5  # over the end of a slice
    assert sum(backbone.passes) == (5 if noise else 3) * frames
    together = [one for one in found if one]
    assert [one.index for one in together] == [1, 2, 3]
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one.labels, other.labels)
        np.testing.assert_allclose(one.uncertainty, other.uncertainty, atol=2e-3)
        np.testing.assert_allclose(
            one.summary.descriptor, other.summary.descriptor, rtol=1e-4, atol=1e-6
        )


@pytest.fixture
def full_gpu(monkeypatch, adapter, tiny_backbone):
    """A CUDA device that works for so many slices (of predictions) and then has no memory."""
    real = predict_module._network
    asked: list[str] = []

    def network(planes, adapter, conditions, device, cache):
        asked.append(device.type)
        segmenter, encoder = real(planes, adapter, conditions, CPU, cache)
        if device.type == "cuda":
            backbone = tiny_backbone()
            encoder.backbone = backbone
            run = backbone._run_prefix

            def prefix(frames: torch.Tensor):
                if len(backbone.passes) >= 4:
                    raise OUT_OF_MEMORY
                return run(frames)

            backbone._run_prefix = prefix
        return segmenter, encoder

    monkeypatch.setattr(predict_module, "_network", network)
    monkeypatch.setattr(predict_module, "pick_device", lambda _: CUDA)
    return asked


def test_a_prediction_goes_on_on_the_cpu(full_gpu, adapter, planes):
    told: list[str] = []
    wanted = [5, 1, 0, 3, 6, 8, 9]  # the stack is looked at by 5, which is not seen again
    found = [one for one in predict(planes, adapter, wanted, tell=told.append) if one]
    assert [one.index for one in found] == wanted
    assert full_gpu == ["cuda", "cpu"] * 2, "once to prepare for the stack, once for its slices"
    assert told == [ON_THE_CPU], "it is said once"


def test_the_message_reaches_the_user(full_gpu, adapter, planes, tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    path = tmp_path / "a.salt.safetensors"
    save_adapter(path, adapter)
    reports, result = tasks.finish(tasks.segment(SegmentRequest(path, (5, 1, 7)), planes))
    messages = [one.message for one in reports if isinstance(one, StepReport) and one.message]
    assert ON_THE_CPU in messages
    assert sum(isinstance(one, SlicePrediction) for one in reports) == result.slices == 3


@pytest.fixture
def half_full_gpu(monkeypatch, tiny_backbone) -> Iterator[list[str]]:
    """A CUDA device on which not even the weights find room."""
    asked: list[str] = []

    def load(name: str, device: torch.device):
        asked.append(torch.device(device).type)
        if asked[-1] == "cuda":
            raise OUT_OF_MEMORY
        return tiny_backbone()

    for module in (fit_module, predict_module):
        monkeypatch.setattr(module, "warm_backbone", load)
        monkeypatch.setattr(module, "pick_device", lambda _: CUDA)
    return asked


def test_a_fit_goes_on_on_the_cpu(half_full_gpu, planes, annotated):
    settings = FitSettings(kind="none")
    reports, outcome = drain(fit(planes, annotated, [Label(1, "left")], settings))
    assert half_full_gpu == ["cuda", "cpu"]
    assert outcome.record.device == "cpu"
    messages = [one.message for one in reports if isinstance(one, StepReport)]
    assert ON_THE_CPU in messages
    assert sum(isinstance(one, FirstFit) for one in reports) == 1
