"""Calls of the client library that take no bound of their own, given one, and clients thrown away without waiting.

A synchronous commit and a close wait as long as librdkafka likes, and even the collection of a client object joins its
threads. They run on a thread of their own, and the owner waits for that thread no longer than it wants to. The thread
is a daemon, so a call that never returns cannot keep the process alive either.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from confluent_kafka import KafkaException, Producer

from headgate.adapters.kafka.settings import logger
from headgate.ports.errors import LogUnavailable

T = TypeVar("T")


class _Outcome(Generic[T]):
    """What a call on another thread came to: `value`, or `error` when that is not None."""

    value: T
    error: BaseException | None = None


def within(timeout_s: float, call: Callable[[], T], doing: str) -> T:
    """Return what `call` returns or raise what it raises, or LogUnavailable when it has done neither in time.

    In the last case the call goes on unseen, so its effect is unknown.
    """
    outcome: _Outcome[T] = _Outcome()

    def run() -> None:
        try:
            outcome.value = call()
        except BaseException as error:  # noqa: BLE001 - it is raised again, on the thread that asked
            outcome.error = error

    thread = threading.Thread(target=run, name=f"headgate {doing}", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        raise LogUnavailable(
            f"{doing[:1].upper()}{doing[1:]} took longer than {timeout_s:g} s.",
            hint="Check that the brokers run and can be reached; whether it took effect is not known.",
        )
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


class Caller:
    """A thread that makes calls for its owner, one after the other, for which the owner does not wait for ever.

    Unlike `within` it keeps its thread, so that a call costs two hand-overs and no new thread. After a call that did
    not end in time it is of no use any more, and neither is the client whose call that was.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._started = False

    def call(self, timeout_s: float, call: Callable[[], Any], doing: str) -> None:
        """Make a call; raise what it raises, or LogUnavailable when it has not ended in time."""
        if not self._started:
            self._started = True
            threading.Thread(target=self._run, name=f"headgate {self._name}", daemon=True).start()
        self._calls.put(call)
        try:
            error = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            raise LogUnavailable(
                f"{doing[:1].upper()}{doing[1:]} took longer than {timeout_s:g} s.",
                hint="Check that the brokers run and can be reached; whether it took effect is not known.",
            ) from None
        if error is not None:
            raise error

    def end(self) -> None:
        """Let the thread go, once its call is over."""
        if self._started:
            self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            except BaseException as error:  # noqa: BLE001 - it is raised again, on the thread that asked
                self._answers.put(error)
            else:
                self._answers.put(None)
            del call


def throw_away(held: list[Producer]) -> None:
    """Let go of the producers in `held`, without waiting for anything that they have queued or sent.

    `held` is emptied; nobody else may have a reference, so that the last one dies on the thread that may wait.
    """
    doomed: list[Any] = held[:]
    held.clear()

    def run() -> None:
        for producer in doomed:
            try:
                producer.purge(in_queue=True, in_flight=True, blocking=False)
                producer.poll(0)
            except (KafkaException, RuntimeError) as error:
                logger.debug("a producer that is thrown away could not be purged: %s", error)
        doomed.clear()

    threading.Thread(target=run, name="headgate producer end", daemon=True).start()
