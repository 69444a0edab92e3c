"""The engine with cheap tasks in a real child process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from engine_helpers import BrokenPlanes, Call, CountingPlanes, CountingRegions

from napari_salt.engine.engine import GRACE_SECONDS, POLL_SECONDS, Engine
from napari_salt.engine.tasks import finish
from napari_salt.errors import JobFailed, JobStopped
from napari_salt.scratch import Scratch

HERE = Path(__file__).parent


def test_reports_arrive_in_order_and_the_result_last(engine):
    reports, result = finish(engine.submit(Call("count_up", 50), None))
    assert [report.step for report in reports] == list(range(50))
    assert result == 50


def test_planes_are_read_only_when_asked_for(engine):
    planes = CountingPlanes()
    _, total = finish(engine.submit(Call("sum_planes"), planes))
    assert planes.read == [3, 1]
    assert total == (3 + 1) * 24


@pytest.mark.parametrize(
    ("planes", "read"),
    [(CountingPlanes(), [2]), (CountingRegions(), [(2, slice(1, 3), slice(0, 5))])],
)
def test_a_job_can_ask_for_a_part_of_a_slice(engine, planes, read):
    assert finish(engine.submit(Call("sum_a_part"), planes))[1] == 2 * 10
    assert planes.read == read


def test_a_large_array_comes_in_its_file(engine):
    (array,), _ = finish(engine.submit(Call("gives_a_large_array"), None))
    assert isinstance(array, Scratch)
    assert array.shape == (600, 700)
    assert int(array.sum()) == 3 * 700


def test_the_child_stays_warm_between_jobs_and_is_another_process(engine):
    first = finish(engine.submit(Call("pid"), None))[1]
    second = finish(engine.submit(Call("pid"), None))[1]
    assert first == second == engine.pid != os.getpid()


def test_stop_is_promised_within_a_second():
    assert POLL_SECONDS + GRACE_SECONDS < 1


def test_stop_of_a_willing_job_cleans_up_and_keeps_the_child(engine, tmp_path):
    marker = tmp_path / "marker"
    job = engine.submit(Call("for_ever", path=str(marker)), None)
    next(job)
    child = engine.pid
    engine.stop()
    with pytest.raises(JobStopped):
        finish(job)
    assert marker.read_text() == "cleaned up"
    assert engine.pid == child


def test_stop_of_a_stubborn_job_kills_its_process(engine):
    job = engine.submit(Call("stubborn"), None)
    next(job)
    child = engine.pid
    engine.stop()
    with pytest.raises(JobStopped):
        finish(job)
    assert engine.pid is None
    assert finish(engine.submit(Call("count_up"), None))[1] == 3
    assert engine.pid != child


def test_stop_before_the_first_step_counts(engine):
    job = engine.submit(Call("for_ever"), None)
    engine.stop()
    with pytest.raises(JobStopped):
        finish(job)


def test_stop_reaches_a_job_that_runs_in_another_thread(engine):
    seen = threading.Event()
    endings = []

    def supervise():
        try:
            for _ in engine.submit(Call("for_ever"), None):
                seen.set()
        except JobStopped as ending:
            endings.append(ending)

    thread = threading.Thread(target=supervise)
    thread.start()
    assert seen.wait(30)
    engine.stop()
    thread.join(30)
    assert len(endings) == 1


def test_a_job_whose_reader_goes_away_is_stopped(engine, tmp_path):
    marker = tmp_path / "marker"
    job = engine.submit(Call("for_ever", path=str(marker)), None)
    next(job)
    job.close()
    assert marker.read_text() == "cleaned up"
    assert finish(engine.submit(Call("count_up"), None))[1] == 3


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("bad_input", "Paint at least one slice first."),
        (
            "runtime_error",
            "The job failed unexpectedly (RuntimeError: shapes do not match); your paint is safe; "
            "press Adapt again.",
        ),
        (
            "out_of_memory",
            "The graphics card ran out of memory; close other programs that use it or choose the "
            "device cpu under Advanced: your paint is safe; press Adapt again.",
        ),
        (
            "wants_more_memory_than_there_is",
            "The computer ran out of memory; close other programs: your paint is safe; press Adapt again.",
        ),
        (
            "dies",
            "The engine stopped unexpectedly (out of memory?); your paint is safe: "
            "press Adapt again.",
        ),
        ("no_such_task", None),
    ],
)
def test_a_failure_is_one_sentence_and_costs_one_job(engine, function, sentence):
    with pytest.raises(JobFailed) as failure:
        finish(engine.submit(Call(function), None))
    if sentence is not None:
        assert str(failure.value) == sentence
    assert "\n" not in str(failure.value)
    assert finish(engine.submit(Call("count_up"), None))[1] == 3


def test_a_killed_child_is_told_in_a_sentence_and_the_next_job_works(engine):
    job = engine.submit(Call("for_ever"), None)
    next(job)
    os.kill(engine.pid, signal.SIGKILL)
    with pytest.raises(JobFailed, match="your paint is safe: press Adapt again"):
        finish(job)
    assert finish(engine.submit(Call("count_up"), None))[1] == 3


def test_a_child_that_died_between_jobs_is_not_even_mentioned(engine):
    child = finish(engine.submit(Call("pid"), None))[1]
    os.kill(child, signal.SIGKILL)
    assert finish(engine.submit(Call("count_up"), None))[1] == 3


def test_an_idle_child_ends_and_the_next_job_starts_another():
    engine = Engine(idle_seconds=0.01)
    try:
        first = finish(engine.submit(Call("pid"), None))[1]
        engine._child.process.join(30)
        assert engine.pid is None
        assert finish(engine.submit(Call("pid"), None))[1] != first
    finally:
        engine.close()


def test_an_unreadable_plane_is_a_sentence(engine):
    with pytest.raises(JobFailed, match=r"Slice 3 .* \(RuntimeError: chunk is gone\)"):
        finish(engine.submit(Call("sum_planes"), BrokenPlanes()))
    assert finish(engine.submit(Call("sum_planes"), CountingPlanes()))[1] == 96


def test_two_jobs_at_once_are_refused(engine):
    job = engine.submit(Call("for_ever"), None)
    next(job)
    with pytest.raises(JobFailed, match="Another job is still running"):
        engine.submit(Call("count_up"), None)
    job.close()


def test_close_in_the_middle_ends_the_job_and_the_child(engine):
    job = engine.submit(Call("stubborn"), None)
    next(job)
    engine.close()
    with pytest.raises(JobStopped):
        finish(job)
    assert engine.pid is None


def test_a_torch_object_is_refused_at_the_door(engine):
    with pytest.raises(JobFailed, match="must not load"):
        finish(engine.submit(Call("sends_torch"), None))


def run_script(tmp_path: Path, body: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "script.py"
    script.write_text(f"import sys\nsys.path.insert(0, {str(HERE)!r})\n" + textwrap.dedent(body))
    return subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=True
    )


def test_the_parent_never_imports_torch_though_the_job_uses_it(tmp_path):
    done = run_script(
        tmp_path,
        """
        from engine_helpers import Call
        from napari_salt.engine.engine import Engine
        from napari_salt.engine.tasks import finish
        engine = Engine()
        print(finish(engine.submit(Call("uses_torch"), None))[1], "torch" in sys.modules)
        engine.close()
        """,
    )
    assert done.stdout.split() == ["2", "False"]


def test_a_script_without_a_main_guard_is_not_run_again(tmp_path):
    done = run_script(
        tmp_path,
        """
        print("top of the script")
        from engine_helpers import Call
        from napari_salt.engine.engine import Engine
        from napari_salt.engine.tasks import finish
        engine = Engine()
        print(finish(engine.submit(Call("count_up"), None))[1])
        engine.close()
        """,
    )
    assert done.stdout.split("\n") == ["top of the script", "3", ""]
    assert done.stderr == ""


def test_a_killed_child_leaves_no_complaint_in_the_terminal(tmp_path):
    done = run_script(
        tmp_path,
        """
        import os, signal
        from engine_helpers import Call
        from napari_salt.engine.engine import Engine
        from napari_salt.errors import JobFailed
        engine = Engine()
        job = engine.submit(Call("shows_a_bar"), None)
        next(job), next(job), next(job)
        os.kill(engine.pid, signal.SIGKILL)
        try:
            list(job)
        except JobFailed as error:
            print(error)
        engine.close()
        """,
    )
    assert "press Adapt again" in done.stdout
    assert done.stderr == ""


def test_other_spawned_processes_still_get_their_main_module():
    from multiprocessing import spawn

    from napari_salt.engine.spawning import CHILD_NAME, _without_main_module

    plain = spawn.get_preparation_data("Process-1")
    with _without_main_module():
        assert spawn.get_preparation_data("Process-1").keys() == plain.keys()
        ours = spawn.get_preparation_data(CHILD_NAME)
    assert not any(key.startswith("init_main") for key in ours)
    assert spawn.get_preparation_data(CHILD_NAME).keys() == plain.keys()


@pytest.mark.skipif(sys.platform == "win32", reason="uses SIGKILL")
def test_the_child_dies_with_its_parent_even_in_a_stubborn_step(tmp_path):
    done = run_script(
        tmp_path,
        """
        import os
        from engine_helpers import Call
        from napari_salt.engine.engine import Engine
        engine = Engine()
        job = engine.submit(Call("stubborn"), None)
        next(job)
        print(engine.pid, flush=True)
        os._exit(0)
        """,
    )
    child = int(done.stdout)
    deadline = time.monotonic() + 30
    while _alive(child) and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")
