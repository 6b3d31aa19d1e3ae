"""The oracle of the soak finds what is planted, and nothing in a run where all is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from headgate_events.markers import marker_record
from tests.chaos.soak.judging import Logs, judge
from tests.chaos.soak.speaking import HEADER
from tests.support.kafka import Record

STREAM = "proof"
MARKERS = "ns.markers"


def record(topic: str, offset: int, number: int, at_ms: int, event_ms: int) -> Record:
    value = orjson.dumps({"p": 0, "n": number})
    return Record(topic, 0, offset, None, value, ((HEADER, str(event_ms).encode()),), at_ms, True)


class Story:
    """A run of one partition: three records, silence, two records of which one is aborted, silence."""

    def __init__(self) -> None:
        self.everything = [record("in", at, at, 1_000 + at, 1_000 + at) for at in range(3)]
        self.everything += [record("in", 3, 3, 5_000, 5_000), record("in", 4, 4, 5_001, 5_001)]
        self.committed = [each for each in self.everything if each.offset != 4]
        self.delivered = [
            replace(each, topic="out", offset=2 * each.offset, timestamp_ms=each.timestamp_ms + 20)
            for each in self.committed
        ]
        # What was said, with the time of its append: claim 7 all along.
        self.said: list[tuple[int, dict[str, Any]]] = [
            (1_010, self.marker("ACTIVE", 1)),
            (2_100, self.marker("IDLE", 2, 3, 1_001, dest=5)),
            (5_010, self.marker("ACTIVE", 3, watermark=1_001)),
            (5_900, self.marker("ACTIVE", 4, watermark=4_999, kind="WATERMARK", dest=7)),
            (6_100, self.marker("IDLE", 5, 6, 4_999, dest=7)),
        ]

    @staticmethod
    def marker(
        status: str,
        seq: int,
        position: int | None = None,
        watermark: int | None = None,
        *,
        kind: str = "STATUS",
        dest: int | None = None,
        claim: int = 7,
    ) -> dict[str, Any]:
        proof = {
            "position": position,
            "end": position,
            "high": position,
            "fetched_at_ms": 0,
            "isolation": "read_committed",
        }
        return {
            "kind": "marker",
            "marker": kind,
            "stream": STREAM,
            "channel": {"topic": "in", "partition": 0},
            "status": status,
            "watermark": watermark,
            "reason": "EMPTY" if status == "IDLE" else "RESUMED",
            "incarnation": 1,
            "epoch": 1,
            "claim": claim,
            "seq": seq,
            "worker": "w0",
            "evidence": proof if status == "IDLE" else None,
            "emitted_at_ms": 0,
            **({} if dest is None else {"dest_topic": "out", "dest_offsets": {"0": dest}}),
        }

    def logs(self) -> Logs:
        markers = []
        for number, (at_ms, said) in enumerate(self.said):
            made = marker_record(MARKERS, 1, {**said, "emitted_at_ms": at_ms - 50})
            headers = tuple(made.headers)
            markers.append(Record(MARKERS, 0, number, made.key, made.value, headers, at_ms, True))
        edges = [each for each, (_, said) in zip(markers, self.said, strict=True) if said["marker"] == "STATUS"]
        return Logs(STREAM, self.everything, self.committed, self.delivered, edges, markers)


def test_nothing_is_found_where_all_is_right() -> None:
    found = judge(Story().logs())
    assert found.problems == []
    assert (found.idle, found.active, found.watermarks, found.claims) == (2, 2, 4, 1)


def idle_while_a_record_waited(story: Story) -> None:
    story.said[4] = (6_100, story.marker("IDLE", 5, 3, 4_999, dest=7))


def idle_while_an_open_transaction_held_one(story: Story) -> None:
    story.everything.append(record("in", 5, 5, 5_500, 5_500))
    story.said[4] = (6_100, story.marker("IDLE", 5, 5, 4_999, dest=7))


def idle_before_it_was_durable(story: Story) -> None:
    story.said[1] = (2_100, story.marker("IDLE", 2, 3, 1_001, dest=4))


def no_active(story: Story) -> None:
    del story.said[2]


def active_after_its_record(story: Story) -> None:
    story.said[2] = (5_030, story.marker("ACTIVE", 3, watermark=1_001))


def a_watermark_that_falls(story: Story) -> None:
    story.said[4] = (6_100, story.marker("IDLE", 5, 6, 4_000, dest=7))


def a_new_owner_with_a_lower_watermark(story: Story) -> None:
    story.said.append((7_000, story.marker("IDLE", 1, 6, 4_000, dest=7, claim=9)))


def a_watermark_that_overtakes(story: Story) -> None:
    story.said[1] = (2_100, story.marker("IDLE", 2, 3, 5_000, dest=5))


def a_record_lost(story: Story) -> None:
    del story.delivered[1]


def an_aborted_record_delivered(story: Story) -> None:
    story.delivered.append(record("out", 8, 4, 5_050, 5_001))


@pytest.mark.parametrize(
    ("plant", "sentence"),
    [
        (idle_while_a_record_waited, "IDLE at 3, judged at 6050, while 2 records lay there, the first at 3"),
        (
            idle_while_an_open_transaction_held_one,
            "while 1 records lay there, the first at 5 since 5500 (never committed)",
        ),
        (idle_before_it_was_durable, "covers the destination up to 4, and 1 records before it are not there"),
        (no_active, "the record at 3 was written at 5020 while IDLE at 3 was the last word"),
        (no_active, "IDLE twice under one claim"),
        (active_after_its_record, "the record at 3 was written at 5020 while IDLE at 3 was the last word"),
        (a_watermark_that_falls, "the watermark went back from 4999"),
        (a_new_owner_with_a_lower_watermark, "to 4000 under claim (1, 1, 9)"),
        (a_watermark_that_overtakes, "behind 5 lies a record of 5000, which the watermark 5000 has overtaken"),
        (a_record_lost, "the destination holds 3 records, which are not the 4 committed ones"),
        (an_aborted_record_delivered, "the destination holds 5 records, which are not the 4 committed ones"),
    ],
)
def test_what_is_planted_is_found_and_named(plant: Callable[[Story], None], sentence: str) -> None:
    story = Story()
    plant(story)
    found = judge(story.logs()).problems
    assert any(sentence in each for each in found), found


def test_a_new_owner_may_say_idle_again_and_a_replaced_one_is_not_heard() -> None:
    story = Story()
    story.said.append((7_000, story.marker("IDLE", 1, 6, 4_999, dest=7, claim=9)))
    story.said.append((7_100, story.marker("IDLE", 6, 6, 4_000, dest=7, claim=8)))
    found = judge(story.logs())
    assert found.problems == []
    assert found.claims == 3
