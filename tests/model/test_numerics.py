"""Images, paint and labels at the edges of what arrays can be: each works, or is refused by one sentence."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_salt.engine.requests import AdaptRequest, SegmentRequest
from napari_salt.engine.tasks import finish, run_task
from napari_salt.errors import InputError
from napari_salt.intensity import WINDOWS
from napari_salt.io.read import read_labels, read_stack
from napari_salt.model import fit as fit_module
from napari_salt.model import predict as predict_module
from napari_salt.model import probe
from napari_salt.model.adapter_info import read_info
from napari_salt.records import (
    BACKGROUND,
    UNLABELLED,
    AnnotatedSlice,
    FitSettings,
    Label,
    SlicePrediction,
    StackInfo,
    StepReport,
)
from napari_salt.session.stack import Stack

SIDE = 24
LABELS = (Label(1, "disk"),)
FAST = FitSettings(kind="none", device="cpu", other_stacks=False)


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory, tiny_backbone):
    """A tiny network, few trees, and a cache of our own: all that is before the network is the real thing."""
    backbone = tiny_backbone()
    with pytest.MonkeyPatch.context() as patch:
        for module in (fit_module, predict_module):
            patch.setattr(module, "warm_backbone", lambda *_, **__: backbone)
        patch.setenv("NAPARI_SALT_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name, size in (("TREES", 6), ("FOLD_TREES", 4)):
            patch.setattr(probe, name, size)
        yield


def disk(count: int = 3, shape: tuple[int, int] = (SIDE, SIDE)) -> np.ndarray:
    """Boolean stack with a disk in each slice."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    middle = (shape[0] // 2, shape[1] // 2)
    one = (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 < 40
    return np.broadcast_to(one, (count, *shape))


def grey(dtype: str = "uint8", **shape) -> np.ndarray:
    """The disk, bright on noise."""
    mask = disk(**shape)
    noise = np.random.default_rng(0).integers(0, 20, mask.shape)
    return (np.where(mask, 100, 10) + noise).astype(dtype)


def paint_of(stack: Stack, slices: tuple[int, ...] = (0, 1)) -> tuple[AnnotatedSlice, ...]:
    """The disk and its background on some slices, completely painted."""
    count, *shape = stack.info.shape
    truth = np.where(disk(count, tuple(shape)), 1, BACKGROUND).astype(np.uint16)
    return tuple(
        AnnotatedSlice(index, truth[index], complete=True) for index in slices if index < count
    )


def through(stack: Stack, out, paint=None, labels=LABELS, settings=FAST) -> SlicePrediction:
    """Adapt and segment the first slice, by the engine's own tasks; what they say is checked."""
    annotated = paint_of(stack) if paint is None else paint
    reports, result = finish(run_task(AdaptRequest(annotated, labels, settings, out), stack))
    numbers = [one.loss for one in reports if isinstance(one, StepReport)]
    numbers += [result.record.held_out_before, result.record.seconds]
    assert all(np.isfinite(number) for number in numbers if number is not None)
    reports, _ = finish(run_task(SegmentRequest(out, (0,), None, "cpu"), stack))
    (found,) = [one for one in reports if isinstance(one, SlicePrediction)]
    assert found.labels.shape == found.uncertainty.shape == stack.info.shape[1:]
    assert found.labels.dtype.kind == "u"
    assert set(np.unique(found.labels)) <= {0, *(label.label_id for label in labels)}
    assert np.isfinite(found.uncertainty).all()
    assert np.isfinite(found.summary.descriptor).all()
    assert np.isfinite([found.summary.uncertainty, *found.summary.label_uncertainty.values()]).all()
    return found


def dice(found: SlicePrediction) -> float:
    truth, ours = disk(1, found.labels.shape)[0], found.labels == 1
    return float(2 * (truth & ours).sum() / (truth.sum() + ours.sum()))


@pytest.fixture
def out(tmp_path):
    return tmp_path / "a.salt.safetensors"


# --- pixels ---------------------------------------------------------------------------------------


def spoiled() -> np.ndarray:
    image = grey("float32")
    image[:, 0, :5], image[:, 1, 3], image[:, 2, 3] = np.nan, np.inf, -np.inf
    return image


PIXELS = {
    "NaN and inf": spoiled,
    "float16": lambda: grey("float16"),
    "float64": lambda: grey("float64") / 7,
    "float64, hardly apart": lambda: 1e9 + grey("float64") * 1e-4,
    "float64, tiny": lambda: grey("float64") * 1e-300,
    "float64, at its limits": lambda: (grey("float64") - 60) * 1e306,
    "float32, at its limits": lambda: ((grey("float64") - 60) * 4e36).astype(np.float32),
    "big-endian": lambda: (grey("uint16") * 300).astype(">u2"),
    "big-endian float": lambda: grey("float32").astype(">f4"),
    "negative": lambda: grey("int16") - 1024,
    "64 bits": lambda: grey("uint64") + np.uint64(2**60),
    "bool": lambda: np.array(disk()),
    "negative strides": lambda: np.array(grey()[::-1, ::-1, ::-1])[::-1, ::-1, ::-1],
    "columns first": lambda: np.asfortranarray(grey()),
    "read-only": lambda: np.frombuffer(grey().tobytes(), np.uint8).reshape(3, SIDE, SIDE),
}


@pytest.mark.parametrize("case", PIXELS)
def test_pixels_of_every_kind(case, out):
    assert dice(through(Stack(PIXELS[case]()), out)) > 0.9


NOTHING = {
    "constant": np.full((2, SIDE, SIDE), 7, np.uint8),
    "constant float": np.full((2, SIDE, SIDE), -3.5e4),
    "no number at all": np.full((2, SIDE, SIDE), np.nan, np.float32),
    "infinite": np.full((2, SIDE, SIDE), np.inf, np.float32),
}


@pytest.mark.parametrize("case", NOTHING)
def test_an_image_that_shows_nothing_is_refused(case, out):
    """Only places could be learned of it, and nothing found on another image."""
    stack = Stack(NOTHING[case])
    for request in (
        AdaptRequest(paint_of(stack), LABELS, FAST, out),
        SegmentRequest(out, (0,), None, "cpu"),
    ):
        with pytest.raises(InputError, match="on all slices that were looked at"):
            finish(run_task(request, stack))


@pytest.mark.parametrize("case", NOTHING)
def test_a_slice_that_shows_nothing_is_no_harm(case, out):
    """The disk lies at the same place in each slice, which is all that can be learned of it."""
    image = NOTHING[case].copy()
    image[1] = grey(image.dtype.name)[1]
    assert dice(through(Stack(image), out)) > 0.5


@pytest.mark.parametrize("dtype", ["complex64", "object", "U3", "datetime64[s]"])
def test_pixels_that_are_no_real_numbers_are_refused(dtype):
    with pytest.raises(InputError, match="cannot be segmented"):
        Stack(np.zeros((2, 4, 4), dtype))


def test_a_window_of_constant_slices(out):
    image = grey("int16") * 10 - 1024
    settings = FitSettings(kind="none", device="cpu", other_stacks=False, intensity=WINDOWS["lung"])
    assert dice(through(Stack(image), out, settings=settings)) > 0.9
    assert read_info(out).intensity_choice == WINDOWS["lung"]


# --- shapes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [(1, SIDE, SIDE), (SIDE, SIDE), (1, 3, SIDE, SIDE)], ids=["1 slice", "2-D", "1 time"]
)
def test_stacks_of_few_slices(shape, out):
    image = np.broadcast_to(grey(count=1)[0], shape)
    stack = Stack(image, slice_axis=max(0, len(shape) - 3))
    assert stack.info.shape == (1, 1, 1, *shape)[-3:]
    assert dice(through(stack, out)) > 0.9


@pytest.mark.parametrize("shape", [(1, 60), (60, 1), (2, 3), (1, 1), (3, 100)])
def test_slices_of_few_pixels(shape, out):
    image = grey(shape=shape)
    truth = np.full(shape, BACKGROUND, np.uint16)
    truth.ravel()[: max(1, truth.size // 2)] = 1
    paint = (AnnotatedSlice(0, truth, complete=True), AnnotatedSlice(1, truth, complete=True))
    if truth.size == 1:
        with pytest.raises(InputError, match="Only one label"):
            through(Stack(image), out, paint)
    else:
        through(Stack(image), out, paint)


def test_a_time_axis_of_length_1_in_a_file(tmp_path, out):
    path = tmp_path / "t.tif"
    tifffile.imwrite(path, grey()[None, :, None], imagej=True, metadata={"axes": "TZCYX"})
    stack = read_stack(path)
    assert stack.info.shape == (3, SIDE, SIDE)
    assert dice(through(stack, out)) > 0.9


@pytest.mark.parametrize("shape", [(0, 4, 4), (3, 0, 4), (4,), ()])
def test_what_has_no_pixels_is_refused(shape):
    with pytest.raises(InputError):
        Stack(np.zeros(shape))


# --- paint and labels -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (UNLABELLED, "No pixel of a label is painted yet"),
        (BACKGROUND, "No pixel of a label is painted yet"),
        (1, "Only one label is painted"),
        (9, "unknown label id 9"),
    ],
)
def test_paint_that_says_too_little_is_refused_before_work_starts(value, says, out):
    stack = Stack(grey())
    paint = (AnnotatedSlice(0, np.full((SIDE, SIDE), value, np.uint16)),)
    task = run_task(AdaptRequest(paint, LABELS, FAST, out), stack)
    with pytest.raises(InputError, match=says):
        finish(task)
    assert not out.exists()


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_a_label_of_one_pixel(slices, out):
    targets = np.full((SIDE, SIDE), BACKGROUND, np.uint16)
    paint = [AnnotatedSlice(index, targets.copy(), complete=True) for index in range(slices)]
    paint[0].targets[12, 12] = 1
    through(Stack(grey()), out, tuple(paint))


def test_a_label_and_a_background_of_one_pixel_each(out):
    targets = np.zeros((SIDE, SIDE), np.uint16)
    targets[12, 12], targets[0, 0] = 1, BACKGROUND
    through(Stack(grey()), out, (AnnotatedSlice(0, targets),))


def test_two_labels_without_any_background(out):
    targets = np.where(disk(1)[0], 1, 2).astype(np.uint16)
    found = through(Stack(grey()), out, (AnnotatedSlice(0, targets),), (*LABELS, Label(2, "rest")))
    assert dice(found) > 0.9


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.int64, ">u2"])
def test_paint_of_any_integer_type(dtype, out):
    stack = Stack(grey())
    paint = tuple(
        AnnotatedSlice(one.index, one.targets.astype(dtype), complete=True)
        for one in paint_of(stack)
    )
    assert dice(through(stack, out, paint)) > 0.9


def test_more_than_255_labels(out):
    """Ids go around 255 (background) and into 16 bits; none is wrapped."""
    ids = [one for one in range(1, 262) if one != BACKGROUND]
    labels = tuple(Label(one, f"part {one}") for one in ids)
    targets = np.full((SIDE, SIDE), BACKGROUND, np.uint16)
    targets.ravel()[: len(ids)] = ids
    image = np.broadcast_to(
        np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE), (2, SIDE, SIDE)
    )
    found = through(Stack(image), out, (AnnotatedSlice(0, targets, complete=True),), labels)
    assert found.labels.dtype == np.uint16
    assert len(read_info(out).labels) == len(ids)


def test_a_label_image_of_every_kind_reads_as_ids(tmp_path):
    path = tmp_path / "labels.npy"
    for dtype in (bool, np.float64, ">i4", np.int64):
        np.save(path, disk(2).astype(dtype))
        assert set(np.unique(read_labels(path).labels)) == {0, 1}
    for value in (np.nan, np.inf, 0.5, -1):
        np.save(path, np.full((2, 4, 4), value))
        with pytest.raises(InputError, match="label ids are whole numbers"):
            read_labels(path).plane(0)


def test_the_geometry_of_a_stack_needs_numbers():
    for spacing in ((0, 1, 1), (np.nan, 1, 1), (np.inf, 1, 1), (1, 1)):
        with pytest.raises(InputError, match="three positive numbers"):
            Stack(grey(), spacing=spacing)
    assert Stack(grey()).info == StackInfo((3, SIDE, SIDE))
