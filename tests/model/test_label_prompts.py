"""From a typed name to a trained label: near names are found, far and contrary ones refused."""

from __future__ import annotations

import pytest
import torch

from descriptions import described
from napari_salt.errors import UnknownLabelName, WeightsError
from napari_salt.model import label_prompts
from napari_salt.model.adapter_file import HEAD, AdapterFile
from napari_salt.model.label_prompts import embed_names, load_text_model, resolve_labels
from napari_salt.records import BACKGROUND_NAME, FitRecord, Label

RECORD = FitRecord("salt", "lite-medsam", (0,), 0, 0.0, 0, "first fit")


def adapter_of(*names: str, embeddings: torch.Tensor | None = None) -> AdapterFile:
    """An adapter that knows nothing but its labels."""
    labels = tuple(Label(i, name) for i, name in enumerate(names, start=1))
    if embeddings is None:
        embeddings = embed_names([BACKGROUND_NAME, *names])
    return AdapterFile(described(labels, RECORD), {HEAD + "embeddings": embeddings})


@pytest.fixture(scope="module")
def brain() -> AdapterFile:
    return adapter_of("gray matter", "hippocampus", "nucleus")


@pytest.fixture
def no_text_model(monkeypatch):
    def refuse(*_):
        raise AssertionError("the text model was loaded")

    monkeypatch.setattr(label_prompts, "load_text_model", refuse)
    label_prompts._embed.cache_clear()


def test_embeddings_are_of_unit_length_and_computed_once(monkeypatch):
    found = embed_names(["cell", "dog", "cell"])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    assert torch.equal(found[0], found[2])
    assert found[0] @ found[1] < 0.9
    model = load_text_model(None)
    monkeypatch.setattr(model, "encode", None)
    assert torch.equal(embed_names(["cell"])[0], found[0])


@pytest.mark.parametrize(
    ("asked", "trained"),
    [
        ("nuclei", "nucleus"),
        ("hippocampal region", "hippocampus"),
        ("grey matters", "gray matter"),
    ],
)
def test_a_near_name_is_found_and_how_near_it_is(brain, asked, trained):
    (found,) = resolve_labels(brain, [asked])
    assert (found.asked, found.label.name, found.exact) == (asked, trained, False)
    assert label_prompts.NEAR <= found.similarity < 1
    expected = float(embed_names([asked])[0] @ embed_names([trained])[0])
    assert found.similarity == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    "asked",
    ["gray matter", "Gray Matter", "grey matter", " gray_matter ", "gray-matter", "GREY  matter"],
)
def test_other_spellings_are_exact_and_load_no_text_model(no_text_model, asked):
    adapter = adapter_of("gray matter", "nucleus", embeddings=torch.eye(3))
    (found,) = resolve_labels(adapter, [asked])
    assert found.label.name == "gray matter"
    assert found.exact
    assert found.similarity == 1


def test_a_name_is_exact_in_every_form_of_unicode(no_text_model):
    adapter = adapter_of("Zellk\u00f6rper", "nucleus", embeddings=torch.eye(3))
    (found,) = resolve_labels(adapter, ["zellko\u0308rper"])
    assert found.exact


def test_names_keep_their_order_and_may_repeat(no_text_model):
    adapter = adapter_of("a cell", "b cell", embeddings=torch.eye(3))
    found = resolve_labels(adapter, ["b cell", "a cell", "b cell"])
    assert [one.label.label_id for one in found] == [2, 1, 2]
    assert resolve_labels(adapter, []) == []


def test_the_very_name_wins_over_another_spelling_of_it(no_text_model):
    adapter = adapter_of("gray matter", "grey matter", "gray_matter", embeddings=torch.eye(4))
    for label in adapter.labels:
        assert resolve_labels(adapter, [label.name])[0].label == label


@pytest.mark.parametrize("asked", ["liver", "", "  ", "_", "white matter", "xyzzy"])
def test_a_far_name_is_refused_with_the_trained_ones(brain, asked):
    with pytest.raises(UnknownLabelName) as refusal:
        resolve_labels(brain, ["nucleus", asked])
    message = str(refusal.value)
    assert f"never trained on '{asked}'" in message
    assert all(f"'{label.name}'" in message for label in brain.labels)


@pytest.mark.parametrize(
    ("trained", "asked"),
    [
        ("gray matter", "white matter"),
        ("grey matter", "white matter"),
        ("left lung", "right lung"),
        ("right lung", "the left lung"),
        ("anterior horn", "posterior horn"),
        ("live cells", "dead cells"),
        ("Left_Kidney", "RIGHT kidney"),
    ],
)
def test_the_opposite_is_refused_however_near_its_embedding(trained, asked):
    with pytest.raises(UnknownLabelName):
        resolve_labels(adapter_of(trained), [asked])


def test_a_name_between_two_trained_ones_is_refused():
    first, second = (
        embed_names(["renal cortex", "renal medulla"]) @ embed_names(["kidney"])[0]
    ).tolist()
    assert first - second < label_prompts.CLEAR
    assert second > label_prompts.NEAR - label_prompts.CLEAR
    with pytest.raises(UnknownLabelName):
        resolve_labels(adapter_of("renal cortex", "renal medulla"), ["kidney"])


@pytest.mark.parametrize(("asked", "similar"), [("cortex", False), ("brain cortex", True)])
def test_a_renamed_label_is_found_by_its_name_now(asked, similar):
    """The queries go on being made of what the name was when it was trained."""
    adapter = adapter_of(
        "cortex", "vessel", embeddings=embed_names(["background", "xyzzy", "vessel"])
    )
    (found,) = resolve_labels(adapter, [asked])
    assert (found.label.name, found.exact) == ("cortex", not similar)
    with pytest.raises(UnknownLabelName):
        resolve_labels(adapter, ["xyzzy"])


def test_a_text_model_that_is_not_there_is_an_error_of_ours(tmp_path):
    with pytest.raises(WeightsError, match="leave it out to use the embedded one"):
        load_text_model(str(tmp_path / "nowhere"))
