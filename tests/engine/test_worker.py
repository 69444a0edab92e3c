"""The runner in a real Qt event loop: every job ends in exactly one callback on the main thread."""

from __future__ import annotations

import threading

import pytest
from engine_helpers import Call

from napari_salt.engine.worker import EngineRunner
from napari_salt.errors import JobFailed


class Log:
    """Collects what a job calls back, and in which thread."""

    def __init__(self) -> None:
        self.events: list[tuple[str, object]] = []
        self.threads: set[threading.Thread] = set()

    def _note(self, kind: str, value: object = None) -> None:
        self.threads.add(threading.current_thread())
        self.events.append((kind, value))

    def callbacks(self):
        return {
            "on_report": lambda report: self._note("report", report.step),
            "on_done": lambda result: self._note("done", result),
            "on_failed": lambda sentence: self._note("failed", sentence),
            "on_stopped": lambda: self._note("stopped"),
        }

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]


@pytest.fixture
def runner(qtbot, engine):
    runner = EngineRunner(engine)
    yield runner
    runner.close()
    qtbot.waitUntil(lambda: not engine.busy)


def test_reports_in_order_then_done_on_the_main_thread(qtbot, runner):
    log = Log()
    number = runner.submit(Call("count_up", 4), None, **log.callbacks())
    assert runner.running
    qtbot.waitUntil(lambda: not runner.running, timeout=30_000)
    assert log.events == [*(("report", step) for step in range(4)), ("done", 4)]
    assert log.threads == {threading.main_thread()}
    assert runner.submit(Call("count_up"), None, **Log().callbacks()) == number + 1


@pytest.mark.parametrize("function", ["bad_input", "runtime_error", "dies"])
def test_a_failure_is_told_and_never_silent(qtbot, runner, function):
    log = Log()
    runner.submit(Call(function), None, **log.callbacks())
    qtbot.waitUntil(lambda: not runner.running, timeout=30_000)
    assert log.kinds == ["report", "failed"]
    assert "\n" not in log.events[-1][1]
    assert log.events[-1][1].endswith(".")


def test_a_runtime_error_on_this_side_is_not_silent_either(qtbot, runner, monkeypatch):
    def broken(request, planes):
        yield from ()
        raise RuntimeError("wrapped object has been deleted")

    monkeypatch.setattr(runner.engine, "submit", broken)
    log = Log()
    runner.submit(Call("count_up"), None, **log.callbacks())
    qtbot.waitUntil(lambda: not runner.running, timeout=30_000)
    assert log.kinds == ["failed"]
    assert "wrapped object has been deleted" in log.events[0][1]


@pytest.mark.parametrize("function", ["for_ever", "stubborn"])
def test_stop_ends_in_stopped_without_an_error(qtbot, runner, function):
    log = Log()
    runner.submit(Call(function), None, **log.callbacks())
    qtbot.waitUntil(lambda: "report" in log.kinds, timeout=30_000)
    runner.stop()
    qtbot.waitUntil(lambda: not runner.running, timeout=30_000)
    assert log.kinds[-1] == "stopped"
    assert set(log.kinds) == {"report", "stopped"}


def test_a_second_job_while_one_runs_is_refused(qtbot, runner):
    runner.submit(Call("for_ever"), None, **Log().callbacks())
    with pytest.raises(JobFailed, match="Another job is still running"):
        runner.submit(Call("count_up"), None, **Log().callbacks())


def test_a_callback_may_submit_the_next_job(qtbot, runner):
    first, second = Log(), Log()
    callbacks = first.callbacks()
    callbacks["on_done"] = lambda result: runner.submit(
        Call("count_up", 2), None, **second.callbacks()
    )
    runner.submit(Call("count_up"), None, **callbacks)
    qtbot.waitUntil(lambda: "done" in second.kinds, timeout=30_000)


def test_nothing_is_called_back_after_close(qtbot, runner, engine):
    log = Log()
    runner.submit(Call("for_ever"), None, **log.callbacks())
    qtbot.waitUntil(lambda: "report" in log.kinds, timeout=30_000)
    runner.close()
    seen = len(log.events)
    qtbot.waitUntil(lambda: not engine.busy, timeout=30_000)
    qtbot.wait(1)
    assert len(log.events) == seen
    assert not runner.running


def test_quitting_the_worker_as_a_closing_window_does_stops_the_job(qtbot, runner, engine):
    from napari.qt.threading import WorkerBase

    log = Log()
    runner.submit(Call("for_ever"), None, **log.callbacks())
    qtbot.waitUntil(lambda: "report" in log.kinds, timeout=30_000)
    for worker in list(WorkerBase._worker_set):
        worker.quit()
    qtbot.waitUntil(lambda: "stopped" in log.kinds, timeout=30_000)
