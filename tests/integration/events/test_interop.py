"""Records that we write are read by tools that we did not write, and theirs by us, through a real Kafka."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime
from typing import Any

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event, to_binary_event
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import Producer

from headgate_events.codec import decode_input
from headgate_events.partitioner import partition_of
from headgate_events.records import Input
from headgate_events.testing import StoredRecord
from headgate_events.topics import Topics as Names
from tests.golden.samples import samples
from tests.integration.events.conftest import PARTITIONS
from tests.support.kafka import Record, read_to_end


def produce(broker: Any, topic: str, records: list[tuple[bytes, list[tuple[str, bytes]], bytes]]) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for key, headers, value in records:
        producer.produce(topic, value, key=key, headers=list(headers))
    assert producer.flush(30) == 0


def as_message(record: Record) -> StoredRecord:
    """A record as our codec takes it."""
    return StoredRecord(
        record.topic, record.partition, record.offset, record.key, record.value, record.headers, record.timestamp_ms
    )


def test_the_cloudevents_sdk_reads_every_kind_of_record_that_we_write(broker: Any, names: Names) -> None:
    written = samples()
    produce(broker, names.history, [(sample.key, list(sample.headers), sample.value) for sample in written])
    found = {}
    for record in read_to_end(broker.bootstrap_servers, names.history):
        assert record.value is not None
        headers = {name: value for name, value in record.headers if value is not None}
        event = from_binary_event(KafkaMessage(headers=headers, key=record.key, value=record.value))
        found[event.get_type()] = event
    assert len(found) == len(written)
    for sample in written:
        headers = {name: value.decode() for name, value in sample.headers}
        event = found[headers["ce_type"]]
        assert event.get_data() == json.loads(sample.value)
        assert (event.get_id(), event.get_source(), event.get_specversion()) == (
            headers["ce_id"],
            headers["ce_source"],
            "1.0",
        )
        assert event.get_subject() == headers["ce_subject"] == "departures"
        assert event.get_datacontenttype() == "application/json"
        assert event.get_time() == datetime(2026, 1, 1, tzinfo=UTC)
        for extension in ("actor", "correlationid", "causationid", "expectedversion"):
            assert event.get_extension(extension) == headers.get(f"ce_{extension}")


def test_a_command_that_the_cloudevents_sdk_writes_is_read_by_us(broker: Any, names: Names) -> None:
    event = CloudEvent(
        attributes={
            "type": "headgate.command.pause.v1",
            "source": "somebody/else",
            "id": "sdk-1",
            "subject": "departures",
            "time": datetime(2026, 1, 1, tzinfo=UTC),
            "datacontenttype": "application/json",
            "actor": "mara",
            "expectedversion": "4",
        },
        data={"reason": "maintenance", "force": True},
    )
    message = to_binary_event(event, key_mapper=lambda written: written.get_subject() or "")
    assert isinstance(message.key, str)
    produce(broker, names.commands, [(message.key.encode(), list(message.headers.items()), message.value)])
    (record,) = read_to_end(broker.bootstrap_servers, names.commands)
    found = decode_input("commands", as_message(record))
    assert isinstance(found, Input), found
    assert (found.kind, found.id, found.actor, found.expected_version) == ("pause", "sdk-1", "mara", 4)
    assert found.payload == {"kind": "pause", "reason": "maintenance", "force": True}
    assert record.log_append_time
    assert found.at_ms == record.timestamp_ms


def test_a_command_that_kcat_sends_with_two_headers_and_a_key_is_read_wherever_it_lands(
    broker: Any, names: Names
) -> None:
    kcat = shutil.which("kcat")
    assert kcat is not None, "kcat is missing: install the Debian package kcat"
    streams = [f"departures-{number}" for number in range(12)]
    for stream in streams:
        arguments = [kcat, "-P", "-b", broker.bootstrap_servers, "-t", names.commands, "-k", stream]
        arguments += ["-H", "ce_type=headgate.command.start.v1", "-H", f"ce_id=kcat-{stream}"]
        sent = subprocess.run(arguments, input=b"{}", capture_output=True, timeout=30, check=False)
        assert sent.returncode == 0, sent.stderr
    records = read_to_end(broker.bootstrap_servers, names.commands)
    found = [decode_input("commands", as_message(record)) for record in records]
    assert all(isinstance(item, Input) for item in found), found
    assert {(item.stream, item.id) for item in found} == {(stream, f"kcat-{stream}") for stream in streams}
    misplaced = [item for item in found if item.partition != partition_of(item.stream or "", PARTITIONS)]
    assert misplaced, "kcat's own partitioner puts some streams elsewhere, or this would show nothing"


def test_our_partitioner_and_the_clients_agree(broker: Any, names: Names) -> None:
    streams = [f"stream-{number}" for number in range(50)]
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "partitioner": "murmur2_random"})
    for stream in streams:
        producer.produce(names.commands, b"{}", key=stream)
    assert producer.flush(30) == 0
    for record in read_to_end(broker.bootstrap_servers, names.commands):
        assert record.key is not None
        assert record.partition == partition_of(record.key, PARTITIONS)
