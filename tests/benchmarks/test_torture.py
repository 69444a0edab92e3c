"""Short versions of what `make torture` does at full size: nothing is lost, and what is counted is told."""

from __future__ import annotations

import subprocess
import sys
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest

import tally
import torture_faults
import torture_kill
import torture_loop
import torture_office
import torture_soak
from napari_salt.control import look_ahead_controller
from tally import Tally
from torture_tasks import FAULTS, STAGES, Fault

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc")


def killed(tmp_path, *options) -> Tally:
    driver = [sys.executable, "-W", "ignore", torture_kill.__file__, *options]
    subprocess.run([*driver, "--out", str(tmp_path / "told")], check=True)
    return Tally.read(tmp_path / "told")


@on_linux
def test_whatever_it_does_when_it_is_killed_the_work_is_whole(tmp_path):
    told = killed(tmp_path, "--count", "7", "--seed", "2")
    assert told.tried == 7
    assert told.lost == []


@on_linux
def test_masks_that_were_kept_are_those_of_the_adapter_that_they_are_said_to_be_of(tmp_path):
    """Killed while masks of one adapter take the place of another one's."""
    told = killed(tmp_path, "--count", "3", "--seed", "2", "--kinds", "segment")
    assert told.tried == 3
    assert told.lost == []
    assert int(told.facts["kept masks compared"]) > 0


@on_linux
def test_a_fault_costs_its_job_and_nothing_else(tmp_path, monkeypatch):
    """Every fault, each at another stage; the panel is idle again, and the next job works.

    Slices are looked at ahead all the time, as on a computer that was kept waiting for a job.
    """
    monkeypatch.setattr(look_ahead_controller, "PAUSE", 0.0)
    monkeypatch.setattr(torture_office, "TICK", 0.0)
    some = [Fault(name, stage) for name, stage in zip(FAULTS, STAGES, strict=True)]
    told = torture_faults.run(some, tmp_path)
    assert told.tried == len(FAULTS)
    assert told.lost == []


@pytest.mark.parametrize("stage", ["adapting", "segmenting"])
def test_an_image_deleted_while_a_job_runs_ends_the_job_and_keeps_the_paint(tmp_path, stage):
    office = torture_faults.working_office(tmp_path)
    before, image = office.session.annotations.paint.copy(), office.viewer.layers["t1"]
    office.runner.pause = 0.05
    wish = office.wishes.adapt if stage == "adapting" else office.wishes.segment_all
    wish.emit()
    office.until(lambda: office.controller.jobs.job.step is not None, "a report")
    office.viewer.layers.remove("t1")
    assert not office.busy
    assert "was removed from the viewer, so its job was stopped" in office.said
    office.until(lambda: not office.runner.running, "the end of the job")
    office.runner.pause = 0.0
    office.viewer.add_image(image.data, name="t1")
    assert (office.session.annotations.paint == before).all()
    torture_faults.adapt(office)
    assert office.said.startswith("round 2 done")
    office.close()
    office.runner.engine.close()


@on_linux
def test_shared_memory_of_programs_beside_is_not_ours(monkeypatch):
    memory = SharedMemory(create=True, size=16)
    try:
        assert memory.name in torture_loop.shared_memory()
        with subprocess.Popen(["sleep", "60"]) as other:
            monkeypatch.setattr(torture_loop.os, "getpid", lambda: other.pid)
            assert memory.name not in torture_loop.shared_memory()
            other.kill()
    finally:
        monkeypatch.undo()
        memory.close()
        memory.unlink()
    assert memory.name not in torture_loop.shared_memory()


@on_linux
def test_whatever_is_done_in_whatever_order_the_work_stays_as_it_was_said():
    told = torture_loop.run(6, 3)
    assert told.tried == 6
    assert told.lost == []
    assert told.facts["shared memory left"] == told.facts["engine processes left"] == "0"


@on_linux
def test_round_after_round_nothing_grows(tmp_path):
    told = torture_soak.run(4, tmp_path)
    assert told.tried == 5
    assert told.lost == []


def test_paint_older_than_five_seconds_counts_as_lost():
    ran = torture_kill.Run("painting", steps={1: 10.0, 2: 11.0, 3: 17.0}, killed=17.5)
    assert torture_kill._seconds_lost(ran, 3) == 0
    assert torture_kill._seconds_lost(ran, 1) == 6.5


def test_what_an_application_failed_of_is_told_in_one_line_with_its_place():
    with pytest.raises(FileNotFoundError) as caught:
        Tally.read(Path("no\nfile"))
    told = torture_kill._in_one_line(caught.value)
    assert told.startswith("FileNotFoundError: [Errno 2] No such file")
    assert "tally.py" in told
    assert "\n" not in told
    assert str(Path(tally.__file__).parent) not in told, "whose machine it was is nobody's business"


def test_counts_survive_a_file(tmp_path: Path):
    told = Tally("soak", 2, 1, ["round 2: the disk is full"], {"handles": "0"})
    told.write(tmp_path / "told")
    assert Tally.read(tmp_path / "told") == told
