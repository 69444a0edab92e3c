"""What becomes of tasks that do not come back; with a client that only pretends."""

from __future__ import annotations

import pytest

from napari_salt.errors import JobFailed
from napari_salt.scale.crew import TRIES, Crew
from napari_salt.scale.orders import Refused, UnderWay


class Future:
    def __init__(self, status: str, answer: object = None) -> None:
        self.status, self._answer = status, answer

    def result(self):
        return self._answer

    def exception(self):
        return self._answer

    def add_done_callback(self, call) -> None:
        call(self)


class Client:
    """Answers each task with the next of ``futures``."""

    status = "running"

    def __init__(self, *futures: Future) -> None:
        self.futures = list(futures)
        self.cancelled: list[Future] = []
        self.handlers: dict[str, object] = {}

    def submit(self, function, *arguments, **options) -> Future:
        return self.futures.pop(0)

    def cancel(self, futures, force) -> None:
        self.cancelled += futures

    def subscribe_topic(self, topic, handler) -> None:
        self.handlers[topic] = handler

    def unsubscribe_topic(self, topic) -> None:
        del self.handlers[topic]


def killed() -> Future:
    from distributed import KilledWorker

    return Future("error", KilledWorker("task", None, 3))


def test_a_task_that_went_down_with_its_worker_is_asked_for_again():
    crew = Crew(Client(killed(), Future("lost"), Future("finished", "done")))
    crew.ask(print, what="Slices 0 to 3")
    assert [crew.answer(), crew.answer(), crew.answer()] == [None, None, "done"]
    assert crew.busy == 0


def test_a_task_that_ends_one_worker_after_the_other_is_given_up_with_a_sentence():
    crew = Crew(Client(*(killed() for _ in range(TRIES))))
    crew.ask(print, what="Slices 0 to 3")
    for _ in range(TRIES - 1):
        assert crew.answer() is None
    with pytest.raises(JobFailed, match=r"^Slices 0 to 3: one worker after the other ended"):
        crew.answer()


@pytest.mark.parametrize(
    ("future", "words"),
    [
        (Future("finished", Refused("On n1: no disk.")), r"Slices 0 to 3\. On n1: no disk\."),
        (Future("error", ZeroDivisionError("odd")), "a worker failed"),
        (Future("cancelled"), "connection to the scheduler is lost"),
    ],
)
def test_what_trying_again_would_not_mend_is_a_sentence_at_once(future, words):
    crew = Crew(Client(future))
    crew.ask(print, what="Slices 0 to 3")
    with pytest.raises(JobFailed, match=words):
        crew.answer()


def test_a_client_that_is_closed_is_told():
    client = Client()
    client.status = "closed"
    with pytest.raises(JobFailed, match="connection to the scheduler is lost"):
        Crew(client).answer()


def test_leaving_takes_back_what_is_under_way():
    waiting = Future("finished", 1)
    client = Client(waiting)
    with Crew(client) as crew:
        crew.ask(print, what="Slices 0 to 3")
    assert client.cancelled == [waiting]
    assert client.handlers == {}


def test_what_workers_say_in_between_is_no_answer_of_a_task():
    client = Client(Future("finished", "done"))
    with Crew(client) as crew:
        client.handlers[crew.topic]((1.5, [4, 5]))
        crew.ask(print, what="Slices 4 to 7")
        assert crew.answer() == UnderWay((4, 5))
        assert (crew.busy, crew.answer(), crew.busy) == (1, "done", 0)


def test_a_scheduler_that_goes_while_workers_are_waited_for_is_told():
    client = Client()

    def gone(*_, **__):
        raise OSError("Timed out trying to connect to tls://127.0.0.1:1 after 10 s")

    client.nthreads = client.run = gone
    crew = Crew(client)
    for ask in (crew.size, lambda: crew.look_around(None)):
        with pytest.raises(JobFailed, match="connection to the scheduler is lost"):
            ask()
