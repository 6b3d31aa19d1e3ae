"""`CommandClient`: commands to a cluster, and the outcomes that come back through the history.

A command is answered by the projector with a record in the history, so the client reads that from where it ended
*before* the command was written: an answer cannot come before its question, and none is missed. One thread of the
client's own (`outcomes.py`) reads; any number of threads may send.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from threading import Lock
from typing import Any, Final, Unpack

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from headgate_events.client.handle import CommandHandle
from headgate_events.client.interfaces import Commands
from headgate_events.client.kafka import Settings, make_producer, wrapped
from headgate_events.client.outcomes import OutcomeFeed
from headgate_events.client.request import DEFAULT_SOURCE, CommandOptions, build_request, check_actor, default_actor
from headgate_events.errors import HeadgateError, SendFailed
from headgate_events.names import DEFAULT_NAMESPACE
from headgate_events.schema.common import InputPosition
from headgate_events.topics import Topics

MAX_IN_FLIGHT: Final = 10_000


class CommandClient(Commands):
    """Sends commands and hears their outcomes. Safe to use from any thread; contacts nobody before the first command.

    `actor` is who is asking (by default the name of whoever runs this program), `source` the program that sends.
    `send_timeout_s` bounds both the first contact and each command's way into the log. `max_in_flight` bounds how many
    handles may wait at once; `send` waits for room. `kafka` are further client settings, for security for instance.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        namespace: str = DEFAULT_NAMESPACE,
        *,
        actor: str | None = None,
        source: str = DEFAULT_SOURCE,
        send_timeout_s: float = 10.0,
        max_in_flight: int = MAX_IN_FLIGHT,
        kafka: Settings | None = None,
    ) -> None:
        self._topics = Topics(namespace)
        self._actor = check_actor(default_actor() if actor is None else actor)
        self._source = source
        self._send_timeout_s = send_timeout_s
        self._bootstrap_servers = bootstrap_servers
        self._kafka = kafka
        self._lock = Lock()
        self._producer: Producer | None = None
        self._feed = OutcomeFeed(bootstrap_servers, self._topics, kafka, max_in_flight, self._serve_deliveries)

    def send(
        self, kind: str, stream: str, payload: Mapping[str, Any] | None = None, **options: Unpack[CommandOptions]
    ) -> CommandHandle:
        """Send any command: `kind` as in its record type (`cancel-drain`), `payload` its own fields.

        Raises InvalidRequest before anything is sent; ClusterUnreachable or TopicsMissing when the cluster cannot be
        asked; SendFailed when the command could not be queued. Later failures are raised by the handle.
        """
        request = build_request(
            kind,
            stream,
            payload,
            options,
            actor=self._actor,
            source=self._source,
            at_ms=time.time_ns() // 1_000_000,
        )
        deadline = time.monotonic() + self._send_timeout_s
        handle = CommandHandle(request)
        self._feed.expect(handle, deadline)
        try:
            self._produce(handle, list(request.headers), request.value, deadline)
        except HeadgateError:
            self._feed.forget(handle)
            raise
        return handle

    def close(self, timeout_s: float = 5.0) -> None:
        """Wait for what is queued to be written, then let go; handles that still wait hear that the client closed."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            producer.flush(max(0.0, timeout_s * 0.8))
        self._feed.close(max(0.1, deadline - time.monotonic()))

    def _produce(
        self, handle: CommandHandle, headers: list[tuple[str, str | bytes | None]], value: bytes, deadline: float
    ) -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None:
                handle.tell_position(
                    InputPosition(
                        topic=message.topic() or "", partition=message.partition() or 0, offset=message.offset() or 0
                    )
                )
            else:
                handle.fail(_send_failed(handle, error))

        producer = self._current_producer()
        while True:
            try:
                producer.produce(
                    self._topics.commands,
                    value,
                    key=handle.stream.encode(),
                    headers=headers,
                    on_delivery=delivered,
                )
            except BufferError:
                if time.monotonic() > deadline:
                    raise SendFailed(
                        f"The {handle.kind} of {handle.stream!r} found no room to be queued in time.",
                        hint="Commands come faster than the cluster takes them: wait for outcomes in between.",
                    ) from None
                producer.poll(0.01)
            except KafkaException as problem:
                raise _send_failed(handle, problem.args[0]) from problem
            else:
                return

    def _current_producer(self) -> Producer:
        with self._lock:
            if self._producer is None:
                self._producer = make_producer(self._bootstrap_servers, self._kafka, self._send_timeout_s)
            return self._producer

    def _serve_deliveries(self) -> None:
        producer = self._producer
        if producer is not None:
            producer.poll(0)


def _send_failed(handle: CommandHandle, error: KafkaError) -> SendFailed:
    cause = wrapped(error, "writing the command")
    return SendFailed(
        f"The {handle.kind} of {handle.stream!r} could not be written: {cause.message}",
        hint=f"{cause.hint or ''} Sending it again with the id {handle.command_id} is safe.".strip(),
    )
