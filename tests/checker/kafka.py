"""What a run left in Kafka: the source, a destination topic, the pauses of the history, and how long lanes are now.

The value of each record is a JSON object: `n` numbers it, `k` repeats its key. A value without `n` is of aborted work.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import orjson
from confluent_kafka import Consumer, TopicPartition

from headgate_events.markers import IN_BAND_HEADER
from tests.checker.model import Delivered, Pause, Place, Receipt, Seen, Sent
from tests.support.kafka import REQUEST_S, read_to_end

READ_S = 300.0


def parsed(value: bytes | None) -> tuple[int | None, bytes | None]:
    """Return the number and the key that stand in a value; None for both where it is none of the sender's."""
    content: Any = orjson.loads(value or b"{}")
    return content.get("n"), content["k"].encode() if "k" in content else None


def sent(bootstrap_servers: str, topic: str) -> tuple[Sent, ...]:
    """Read the committed records of the source."""
    found = []
    for each in read_to_end(bootstrap_servers, topic, timeout_s=READ_S):
        number, _ = parsed(each.value)
        assert number is not None, f"the source holds a committed record without a number at {each.offset}"
        found.append(Sent(number, Place(each.topic, each.partition, each.offset), each.key))
    return tuple(found)


def delivered(bootstrap_servers: str, topic: str) -> tuple[Delivered, ...]:
    """Read what a read_committed reader of a destination topic sees. A lane is a partition, its index the offset."""
    return tuple(
        Delivered(parsed(each.value)[0], f"{topic}-{each.partition}", each.offset, each.key)
        for each in read_to_end(bootstrap_servers, topic, timeout_s=READ_S)
        if each.header(IN_BAND_HEADER) is None
    )


def seen(bootstrap_servers: str, topic: str) -> Seen:
    """Return how far a read_committed reader can read now: what an open transaction holds back is not visible."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "never-joined",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    try:
        known = consumer.list_topics(topic, timeout=REQUEST_S).topics[topic].partitions
        return {
            f"{topic}-{number}": consumer.get_watermark_offsets(TopicPartition(topic, number), REQUEST_S)[1]
            for number in known
        }
    finally:
        consumer.close()


def pauses(
    bootstrap_servers: str, history: str, stream: str, samples: Sequence[tuple[Seen, Seen | None]]
) -> tuple[Pause, ...]:
    """Read a stream's pauses from its history, and give each the two samples that were taken of the destination."""
    found: list[Pause] = []
    receipts: defaultdict[int, dict[tuple[str, int], Receipt]] = defaultdict(dict)
    for record in read_to_end(bootstrap_servers, history, timeout_s=READ_S):
        step = orjson.loads(record.value or b"{}")
        if step["stream"] != stream:
            continue
        if step["kind"] == "partition-drained":
            told = step["receipt"]
            receipt = Receipt(*(told[name] for name in ("topic", "partition", "start", "end", "read", "written")))
            receipts[step["epoch"]][receipt.topic, receipt.partition] = receipt
        elif step["kind"] == "stream-paused":
            assert len(found) < len(samples), "the stream was paused when nobody asked for it"
            before, until = samples[len(found)]
            forced = bool(step.get("unclean"))
            drained = () if forced else tuple(receipts[step["epoch"]].values())
            found.append(Pause(step["epoch"], before, until, forced, drained))
    assert len(found) == len(samples), f"{len(samples)} pauses were seen and {len(found)} stand in the history"
    return tuple(found)
