"""What came of the torture is kept part by part and batch by batch, and told with what was lost."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

import torture
import torture_store
from tally import Tally
from torture_store import Batch

HOW = ("2026-03-04T05:06:07+00:00", "abc1234", "a machine")


def batch(first=0, size=10, *, lost=(), seed=0, **facts) -> Batch:
    tally = Tally("kill -9", size, size - len(lost), list(lost), facts)
    return Batch(first, size, seed, 1.5, *HOW, tally)


@pytest.fixture
def played(monkeypatch):
    """(first, size, seed) of each batch of kills that was run; each loses one, and a whole is 28."""
    asked = []

    def run(first, size, seed):
        asked.append((first, size, seed))
        if size == 13:
            raise RuntimeError("no screen")
        return Tally("kill -9", size, size - 1, [f"kill {first + 1}: torn"])

    for name, part in torture.PARTS.items():
        monkeypatch.setitem(torture.PARTS, name, replace(part, run=run))
    return asked


def run_kills(folder, wanted, seed=0, **how):
    return list(torture.batch_by_batch("kill", wanted, seed, folder, **how))[-1]


def test_a_batch_survives_its_file(tmp_path):
    kept = [batch(lost=["kill 3: torn"], masks="4"), batch(10)]
    torture_store.write(tmp_path / "new", "kill", kept)
    assert torture_store.read(tmp_path / "new", "kill") == kept
    assert torture_store.read(tmp_path / "new", "fuzz") == []
    assert [one.name for one in (tmp_path / "new").iterdir()] == ["kill.json"]


def test_every_batch_is_kept_when_it_ends_with_what_it_lost(tmp_path, played):
    run = torture.batch_by_batch("kill", 60, 3, tmp_path)
    next(run)
    assert [one.end for one in torture_store.read(tmp_path, "kill")] == [28]
    assert len(list(run)) == 2
    assert played == [(0, 28, 3), (28, 28, 3), (56, 4, 3)]
    kept = torture_store.read(tmp_path, "kill")
    assert torture_store.whole(kept).lost == ["kill 1: torn", "kill 29: torn", "kill 57: torn"]
    entry = json.loads((tmp_path / "kill.json").read_text())[1]
    assert {"date", "commit", "machine", "load", "seed", "minutes", "tally"} <= entry.keys()


def test_an_interrupted_run_goes_on_and_a_complete_one_begins_anew(tmp_path, played):
    torture_store.write(tmp_path, "kill", [batch(0, 28)])
    assert len(run_kills(tmp_path, 56)) == 2
    assert played == [(28, 28, 0)]
    assert len(run_kills(tmp_path, 56)) == 2
    assert played[1:] == [(0, 28, 0), (28, 28, 0)]


def test_another_seed_and_a_fresh_start_begin_anew(tmp_path, played):
    torture_store.write(tmp_path, "kill", [batch(0, 28)])
    run_kills(tmp_path, 56, seed=1)
    assert played[0] == (0, 28, 1)
    del played[:]
    torture_store.write(tmp_path, "kill", [batch(0, 28)])
    run_kills(tmp_path, 56, fresh=True)
    assert played[0] == (0, 28, 0)


def test_what_was_kept_stays_until_the_first_batch_of_the_new_run_has_ended(tmp_path, monkeypatch):
    torture_store.write(tmp_path, "kill", [batch(0, 28)])

    def killed(first, size, seed):
        raise KeyboardInterrupt

    monkeypatch.setitem(torture.PARTS, "kill", replace(torture.PARTS["kill"], run=killed))
    with pytest.raises(KeyboardInterrupt):
        run_kills(tmp_path, 56, seed=1)
    assert torture_store.read(tmp_path, "kill") == [batch(0, 28)]


def test_a_part_in_one_go_is_always_run_as_a_whole(tmp_path, played):
    for _ in range(2):
        assert len(list(torture.batch_by_batch("soak", 500, 0, tmp_path))) == 1
    assert played == [(0, 500, 0)] * 2
    assert len(torture_store.read(tmp_path, "soak")) == 1


def test_a_batch_that_breaks_off_is_a_loss(tmp_path, played):
    kept = run_kills(tmp_path, 41)
    assert played[-1] == (28, 13, 0)
    assert kept == torture_store.read(tmp_path, "kill")
    whole = torture_store.whole(kept)
    assert (whole.tried, whole.survived) == (29, 27)
    assert whole.lost[1] == "kill -9, 29 to 41: broke off: RuntimeError: no screen"
    assert torture_store.unfinished(kept, 41, 0) == []


def test_batches_add_up():
    one = {"most paint lost, s": "0.8", "kept masks compared": "20"}
    other = {"most paint lost, s": "1.3", "kept masks compared": "9"}
    whole = torture_store.whole([batch(**one), batch(10, lost=["kill 11: torn"], **other)])
    assert (whole.tried, whole.survived, whole.lost) == (20, 19, ["kill 11: torn"])
    assert whole.facts == {"most paint lost, s": "1.3", "kept masks compared": "29"}


def test_every_row_says_when_and_at_which_commit_it_was_run_and_what_was_lost():
    later = replace(batch(10, 5), date="2026-03-06T01:00:00+00:00", commit="def5678+", load=7.25)
    soak = replace(batch(), tally=Tally("soak", 501, 500, ["round 2: full"], {"handles": "0"}))
    text = torture.report({"kill": [batch(), later], "soak": [soak], "fuzz": []})
    row = "| kill -9 | 2026-03-04 to 2026-03-06 | abc1234 (10), def5678+ (5) | 15 | 15 | 0 |"
    assert row in text
    assert "| soak | 2026-03-04 | abc1234 | 501 | 500 | 1 |" in text
    assert "- round 2: full" in text
    assert "minutes: 3.0; seed: 0; most load of the machine: 7.2. On a machine." in text
    assert "handles: 0; minutes: 1.5; seed: 0. On a machine." in text
    assert "Not run: faults, loop, fuzz." in text


def test_one_part_run_again_leaves_the_rows_of_the_others(tmp_path, played, monkeypatch):
    monkeypatch.setattr(torture, "FOLDER", tmp_path)
    torture_store.write(tmp_path, "soak", [replace(batch(), tally=Tally("soak", 7, 7))])
    out = tmp_path / "RELIABILITY.md"
    assert run_program(monkeypatch, "--only", "kill", "--kills", "5", "--out", str(out)) == 1
    assert "| soak | 2026-03-04 | abc1234 | 7 | 7 | 0 |" in out.read_text()
    assert "| 5 | 4 | 1 |" in out.read_text()


def test_a_short_look_writes_nothing(tmp_path, played, monkeypatch):
    monkeypatch.setattr(torture, "FOLDER", tmp_path / "kept")
    run_program(monkeypatch, "--only", "kill", "--quick", "--out", str(tmp_path / "RELIABILITY.md"))
    assert played == [(0, torture.QUICK["kills"], 0)]
    assert list(tmp_path.iterdir()) == []


def run_program(monkeypatch, *options) -> int:
    monkeypatch.setattr(sys, "argv", ["torture.py", *options])
    with pytest.raises(SystemExit) as ended:
        torture.main()
    return int(ended.value.code)
