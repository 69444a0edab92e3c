"""Nothing that a file holds is ever run: the source has no call that would, and pickles in every place stay shut."""

from __future__ import annotations

import ast
import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import napari_salt
from napari_salt.errors import NapariSaltError
from napari_salt.io.read import read_labels, read_stack
from napari_salt.io.session_folder import JOURNAL, PAINT, STATE, SessionFolder
from napari_salt.io.session_state import SessionState
from napari_salt.model.adapter_file import load_adapter
from napari_salt.model.backbones.checkpoint import read_state
from napari_salt.model.backbones.registry import load_backbone
from napari_salt.model.text_folder import text_folder
from napari_salt.records import StackInfo

SOURCES = Path(napari_salt.__file__).parent

LOADERS = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve", "marshal", "jsonpickle"}
"""Modules whose ``load`` runs what a file says."""
NEVER = {"eval", "exec", "compile", "__import__", "execfile"}

MAY_PICKLE = {
    ("engine/messages.py", "Unpickler"): "what our own child process sends through its pipe",
    ("engine/messages.py", "load"): "the same",
    ("engine/messages.py", "UnpicklingError"): "an error",
    ("engine/engine.py", "UnpicklingError"): "an error",
    ("model/backbones/checkpoint.py", "UnpicklingError"): "an error",
}
"""Where the name of a pickle module's member may stand, and why."""


class Call(ast.NodeVisitor):
    """Collects what a source file calls and which members of pickle modules it names."""

    def __init__(self, file: str) -> None:
        self.file, self.wrong = file, []

    def visit_Call(self, node: ast.Call) -> None:
        name = ast.unparse(node.func)
        options = {word.arg: word.value for word in node.keywords}
        if name in NEVER or name.split(".")[0] in {"builtins"}:
            self._say(node, name)
        if name.endswith("torch.load") and not _is(options.get("weights_only"), True):
            self._say(node, "torch.load without weights_only=True")
        if name in {"np.load", "numpy.load"} and not _is(options.get("allow_pickle"), False):
            self._say(node, "np.load without allow_pickle=False")
        if name.startswith("yaml.") and name != "yaml.safe_load":
            self._say(node, name)
        if "shell" in options and not _is(options["shell"], False):
            self._say(node, "shell=")
        if name in {"os.system", "os.popen"}:
            self._say(node, name)
        if "trust_remote_code" in options and not _is(options["trust_remote_code"], False):
            self._say(node, "trust_remote_code=")
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        module = getattr(node.value, "id", "")
        if module in LOADERS and (self.file, node.attr) not in MAY_PICKLE:
            self._say(node, f"{module}.{node.attr}")
        self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if (node.module or "").partition(".")[0] in LOADERS:
            self._say(node, f"from {node.module} import")

    def _say(self, node: ast.AST, what: str) -> None:
        self.wrong.append(f"{self.file}:{node.lineno} {what}")


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def wrong_in(source: str, file: str = "x.py") -> list[str]:
    found = Call(file)
    found.visit(ast.parse(source))
    return found.wrong


def test_the_source_runs_nothing_that_a_file_says():
    files = sorted(SOURCES.rglob("*.py"))
    assert len(files) > 150
    wrong = [
        each
        for file in files
        for each in wrong_in(file.read_text(encoding="utf-8"), file.relative_to(SOURCES).as_posix())
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "source",
    [
        "pickle.loads(x)",
        "from pickle import load",
        "torch.load(x)",
        "torch.load(x, weights_only=False)",
        "np.load(x)",
        "np.load(x, allow_pickle=True)",
        "yaml.load(x)",
        "eval(x)",
        "subprocess.run(x, shell=True)",
        "os.system(x)",
        "joblib.load(x)",
        "AutoModel.from_pretrained(x, trust_remote_code=True)",
    ],
)
def test_the_search_finds_what_it_searches(source):
    assert wrong_in(source)


# ---- and one that tries


class Evil:
    """Makes a file where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self):
        return (open, (self.mark, "w"))


@pytest.fixture
def mark(tmp_path) -> Iterator[Path]:
    """A path that must never come to be; the payload is seen to work first."""
    path = tmp_path / "code has run"
    pickle.loads(pickle.dumps(Evil(path))).close()
    assert path.exists()
    path.unlink()
    yield path
    assert not path.exists(), "code from a file has run"


@pytest.fixture
def payload(mark) -> bytes:
    return pickle.dumps({"model": Evil(mark)})


def torch_zip(payload: bytes) -> bytes:
    """The payload in the zip archive that torch.save makes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/version", "3\n")
    return content.getvalue()


@pytest.mark.parametrize("wrap", [bytes, torch_zip])
@pytest.mark.parametrize(
    "name", ["x.salt.safetensors", "x.pth", "x.npy", "x.tif", "x.png", "x.jpg"]
)
def test_a_pickle_under_any_name_stays_shut(tmp_path, payload, wrap, name):
    path = tmp_path / name
    path.write_bytes(wrap(payload))
    readers = {".safetensors": (load_adapter,), ".pth": (read_state, load_backbone)}
    for read in readers.get(path.suffix, (read_stack, read_labels)):
        with pytest.raises(NapariSaltError) as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_an_array_of_objects_stays_shut(tmp_path, mark):
    np.save(tmp_path / "x.npy", np.array([Evil(mark)], object), allow_pickle=True)
    with pytest.raises(NapariSaltError):
        read_stack(tmp_path / "x.npy")


@pytest.fixture
def session(tmp_path) -> Path:
    path = tmp_path / "x.salt"
    state = SessionState(StackInfo((3, 4, 4)), "abc", painted=(1,))
    made = SessionFolder.create(path, state)
    made.save(state, {1: np.ones((4, 4), np.uint16)})
    made.close()
    return path


@pytest.mark.parametrize("part", [STATE, JOURNAL, f"{PAINT}/zarr.json", f"{PAINT}/c/1/0/0"])
def test_a_pickle_anywhere_in_a_session_stays_shut(session, payload, part):
    (session / part).write_bytes(payload)
    with pytest.raises(NapariSaltError):
        SessionFolder.open_folder(session).paint(1)


def test_a_journal_of_objects_stays_shut(session, mark):
    content = io.BytesIO()
    np.save(content, np.array([[Evil(mark)]], object), allow_pickle=True)
    with zipfile.ZipFile(session / JOURNAL, "w") as journal:
        journal.writestr(STATE, (session / STATE).read_text())
        journal.writestr("1.npy", content.getvalue())
    with pytest.raises(NapariSaltError):
        SessionFolder.open_folder(session)


@pytest.mark.parametrize("version", [2, 3])
def test_a_codec_that_unpickles_stays_shut(session, mark, monkeypatch, version):
    import numcodecs.pickles

    monkeypatch.setattr(numcodecs.pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)
    shutil.rmtree(session / PAINT)
    old = {
        "zarr_format": 2,
        "shape": [3, 4, 4],
        "chunks": [1, 4, 4],
        "dtype": "<u2",
        "order": "C",
        "fill_value": 0,
        "filters": [{"id": "pickle"}],
        "compressor": None,
    }
    new = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [3, 4, 4],
        "data_type": "uint16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 4, 4]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "numcodecs.pickle", "configuration": {}}],
    }
    chunk = session / PAINT / ("1.0.0" if version == 2 else "c/1/0/0")
    chunk.parent.mkdir(parents=True)
    chunk.write_bytes(pickle.dumps(Evil(mark)))
    name, content = (".zarray", old) if version == 2 else ("zarr.json", new)
    (session / PAINT / name).write_text(json.dumps(content))
    with pytest.raises(NapariSaltError):
        SessionFolder.open_folder(session).paint(1)


def test_a_text_model_with_code_of_its_own_is_refused(tmp_path, mark):
    (tmp_path / "own.py").write_text(f"open({str(mark)!r}, 'w')\nclass Own: pass\n")
    (tmp_path / "modules.json").write_text(
        json.dumps([{"idx": 0, "name": "0", "path": "", "type": "own.Own"}])
    )
    with pytest.raises(NapariSaltError, match="not of plain tensors"):
        text_folder(str(tmp_path))


def test_a_text_model_of_pickles_is_refused(tmp_path, payload):
    kind = "sentence_transformers.models.Transformer"
    (tmp_path / "modules.json").write_text(json.dumps([{"type": kind}]))
    (tmp_path / "pytorch_model.bin").write_bytes(payload)
    with pytest.raises(NapariSaltError, match="not of plain tensors"):
        text_folder(str(tmp_path))


def test_a_text_model_is_never_fetched():
    with pytest.raises(NapariSaltError, match="not on this machine"):
        text_folder("someone/some-model-that-is-not-here")
