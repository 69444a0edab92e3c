"""The workers of a client: asks them, hands out their answers as they come, asks anew what was lost with a worker."""

from __future__ import annotations

import queue
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeAlias

from napari_salt.errors import JobFailed, NapariSaltError
from napari_salt.scale.orders import Order, Ready, Refused, UnderWay
from napari_salt.scale.worker import look_around

Client: TypeAlias = Any
Future: TypeAlias = Any
"""distributed's own; it is optional, and half of it has no annotations."""

POLL_SECONDS = 0.5
TRIES = 3
"""How often a task is asked for; each time the scheduler gives it to several workers before it gives up."""
RETRIES = 2
"""How often a task that has raised is tried again."""


@dataclass(eq=False)
class _Asked:
    """A task on its way; ``what`` begins the sentence that tells of its failure."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    what: str
    tries: int = 1


class Crew:
    """Tasks under way on a cluster; leaving it takes back those that are not done.

    Attributes
    ----------
    topic
        Under which workers tell what is done of their tasks.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked: dict[Future, _Asked] = {}
        self._ended: queue.SimpleQueue[Future | UnderWay] = queue.SimpleQueue()
        self.topic = f"napari-salt-{uuid.uuid4().hex}"

    def __enter__(self) -> Crew:
        self._client.subscribe_topic(self.topic, self._hear)
        return self

    def _hear(self, event: tuple[float, list[int]]) -> None:
        """What a worker says in between, called in the client's own thread."""
        _, slices = event
        self._ended.put(UnderWay(tuple(slices)))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(Exception):  # the scheduler may be gone, and then nothing is under way
            if self._asked:
                self._client.cancel(list(self._asked), force=True)
            self._client.unsubscribe_topic(self.topic)
        self._asked.clear()

    def size(self) -> int:
        """How many workers there are now."""
        with _connected():
            return len(self._client.nthreads())

    @property
    def busy(self) -> int:
        """How many tasks are on their way."""
        return len(self._asked)

    def look_around(self, order: Order) -> list[Ready]:
        """Whether each worker of the moment can work; JobFailed, with its own words, when one cannot."""
        ready = []
        with _connected():
            answers = self._client.run(look_around, order, on_error="return")
        for answer in answers.values():
            if isinstance(answer, Ready):
                ready.append(answer)
            elif not isinstance(answer, OSError):  # lost since: its tasks go to another one
                raise _failure("The cluster cannot do this job", answer)
        return ready

    def ask(self, function: Callable[..., Any], *arguments: Any, what: str) -> None:
        """Have a worker run a function of `scale.worker`."""
        self._submit(_Asked(function, arguments, what))

    def answer(self) -> Any:
        """The next answer, or what is said in between (`UnderWay`), or None after half a second without either.

        Raises ``JobFailed`` when a worker refuses, or a task is lost or raises again and again.
        """
        self._check_connection()
        try:
            future = self._ended.get(timeout=POLL_SECONDS)
        except queue.Empty:
            return None
        if isinstance(future, UnderWay):
            return future
        asked = self._asked.pop(future)
        if future.status == "finished":
            answer = future.result()
            if isinstance(answer, Refused):
                raise _failure(asked.what, answer)
            return answer
        self._ask_again(asked, future)
        return None

    def _submit(self, asked: _Asked) -> None:
        future = self._client.submit(asked.function, *asked.arguments, pure=False, retries=RETRIES)
        self._asked[future] = asked
        future.add_done_callback(self._ended.put)

    def _ask_again(self, asked: _Asked, future: Future) -> None:
        """A task that went down with its workers is asked for again, a few times."""
        from distributed import KilledWorker

        self._check_connection()
        if (
            future.status == "cancelled"
        ):  # not by us: so the library tells that the scheduler is gone
            raise _disconnected()
        error = future.exception() if future.status == "error" else None
        lost = error is None or isinstance(error, KilledWorker)
        if not lost:
            raise _failure(asked.what, error)
        if asked.tries >= TRIES:
            raise JobFailed(
                f"{asked.what}: one worker after the other ended while working on it (out of memory?). Give the "
                "workers more memory, or start fewer on a machine; what is done is kept."
            )
        asked.tries += 1
        self._submit(asked)

    def _check_connection(self) -> None:
        if self._client.status not in ("running", "connecting"):
            raise _disconnected()


@contextmanager
def _connected() -> Iterator[None]:
    """What the library raises where a scheduler does not answer any more, as our own error."""
    try:
        yield
    except OSError as error:
        raise _disconnected() from error


def _disconnected() -> JobFailed:
    return JobFailed(
        "The connection to the scheduler is lost; what is done is kept. Go on when it is back."
    )


def _failure(what: str, answer: object) -> JobFailed:
    """What a worker has said or raised, as our own error."""
    if isinstance(answer, Refused):
        return JobFailed(f"{what}. {answer.sentence}")
    if isinstance(answer, ImportError):
        return JobFailed(
            f'{what}: a worker misses a package ({answer}); install there: pip install "napari-salt[cluster]", in '
            "the version that you have here."
        )
    if isinstance(answer, NapariSaltError):
        return JobFailed(f"{what}: {answer}")
    text = " ".join(str(answer).split())
    return JobFailed(f"{what}: a worker failed ({type(answer).__name__}: {text[:200]}).")
