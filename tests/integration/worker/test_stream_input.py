"""A program's own consumer with a StreamInput around it: records, watermarks and statuses in the one right order."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from confluent_kafka import KafkaError, Message, Producer

from headgate_events.errors import TopicsMissing
from tests.integration.worker.conftest import WAIT_S, Headgate
from tests.integration.worker.test_downstream import stream, until_edges
from tests.support.eventually import eventually
from tests.support.stream_input import reading

TIMED: dict[str, Any] = {"event_time": {"source": "timestamp"}}


def send(producer: Producer, topic: str, *records: tuple[bytes, int]) -> None:
    for value, at_ms in records:
        producer.produce(topic, value, partition=0, timestamp=at_ms)
    producer.flush(WAIT_S)


def test_a_program_gets_records_watermarks_and_statuses_in_order_and_the_same_again_after_a_restart(
    headgate: Headgate,
) -> None:
    first, last = headgate.source("first", 1), headgate.source("last", 1)
    headgate.worker("a")
    send(headgate.plain_producer(), first, (b"a", 5_000), (b"b", 6_000))
    stream(headgate, "orders", first, last, idleness=TIMED)
    until_edges(headgate, "orders", ["ACTIVE", "IDLE"])
    with reading(headgate.servers, headgate.namespace, last) as program:
        program.until(["a", "b", 5_999, "IDLE"])
        assert program.input.upstreams == ("orders",)
        assert (program.input.status(0), program.input.holds) == ("IDLE", ())
        send(headgate.plain_producer(), first, (b"c", 9_000))
        program.until(["a", "b", 5_999, "IDLE", "ACTIVE", "c", 8_999, "IDLE"])
    with reading(
        headgate.servers, headgate.namespace, last, position=1
    ) as program:  # the next program, from what this one has committed
        again = ["b", 5_999, "IDLE", "ACTIVE", "c", 8_999, "IDLE"]
        program.until(again)
        headgate.done(headgate.commands.pause("orders"))
        headgate.until_status("orders", "PAUSED")

        def held() -> bool:
            program.until([*again, "ACTIVE"])
            return [(each.reason, each.because) for each in program.input.holds] == [("HELD", "orders is PAUSED")]

        eventually(held, WAIT_S, "it is told why")  # while orders was DRAINING, that was the reason
        headgate.done(headgate.commands.delete("orders"))
        program.until([*again, "ACTIVE", "IDLE"])
        assert program.input.upstreams == ()


def test_markers_among_the_records_take_effect_there_and_are_no_records(headgate: Headgate) -> None:
    first, last = headgate.source("first", 1), headgate.source("last", 1)
    headgate.worker("a")
    send(headgate.plain_producer(), first, (b"a", 5_000))
    stream(headgate, "orders", first, last, idleness=TIMED | {"markers": "in_band"})
    until_edges(headgate, "orders", ["ACTIVE", "IDLE"])
    send(headgate.plain_producer(), first, (b"b", 7_000))
    until_edges(headgate, "orders", ["ACTIVE", "IDLE", "ACTIVE", "IDLE"])
    assert len(headgate.read(last)) > 2, "there are markers among them"
    with reading(headgate.servers, headgate.namespace, last) as program:
        program.until(["a", 4_999, "IDLE", "ACTIVE", "b", 6_999, "IDLE"])
        assert all(not isinstance(each, Message) for each in program.input.poll(0.3))


def test_a_topic_that_is_not_there_is_named(headgate: Headgate) -> None:
    message: Any = Mock(**{"error.return_value": KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)})
    with (
        reading(headgate.servers, headgate.namespace, "no-such-topic") as program,
        pytest.raises(TopicsMissing, match="The topic no-such-topic does not exist"),
    ):
        program.input.put([message])
