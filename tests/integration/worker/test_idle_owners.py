"""IDLE while partitions change hands: nobody who lost one is heard, and no heir says what was not found out anew."""

from __future__ import annotations

import time
from itertools import groupby
from typing import Any

import orjson

from headgate_events import ActivityReader
from headgate_events.idleness.signals import Status
from headgate_events.markers import ChannelId, marker_record
from headgate_events.topics import Topics as Namespace
from tests.integration.worker.conftest import PARTITIONS, WAIT_S, Headgate
from tests.integration.worker.sayings import Sayings
from tests.support.eventually import eventually

IDLE_ACTIVE_IDLE = ["IDLE", "ACTIVE", "IDLE"]


def tokens(edges: list[dict[str, Any]]) -> list[tuple[int, int, int]]:
    return [(each["incarnation"], each["epoch"], each["claim"]) for each in edges]


def until_owners_say_idle(
    orders: Sayings, owners: dict[int, str], after: dict[int, tuple[int, int, int]] | None = None
) -> dict[int, list[dict[str, Any]]]:
    """Wait until the last word about each partition is its owner's IDLE, under a claim later than `after`."""

    def look() -> dict[int, list[dict[str, Any]]]:
        found = orders.words()
        for place, owner in owners.items():
            last = found[place][-1]
            assert (last["worker"], last["status"]) == (owner, "IDLE"), found
            assert after is None or tokens([last])[0] > after[place], found
        return found

    return eventually(look, WAIT_S, f"{owners} say IDLE", every_s=0.2)


def changes(edges: list[dict[str, Any]]) -> list[str]:
    """Leave out what only repeats the status before it, as each new owner does."""
    return [status for status, _ in groupby(each["status"] for each in edges)]


def test_a_rebalance_in_the_middle_of_idle_and_a_restart_wake_nobody_and_each_owner_says_what_it_saw(
    headgate: Headgate,
) -> None:
    orders = Sayings(headgate, "orders")
    headgate.worker("a")
    orders.start(parallelism=2)
    orders.until({0: ["IDLE"], 1: ["IDLE"]})
    with ActivityReader(headgate.servers, headgate.namespace) as reader:
        reader.refresh()

        headgate.worker("b")
        headgate.until_shared("orders", {"a": 1, "b": 1})
        moved = eventually(lambda: heard_of("b", orders), WAIT_S, "the heir looked for itself", every_s=0.2)[0]
        kept = 1 - moved
        said = until_owners_say_idle(orders, {moved: "b", kept: "a"})
        assert tokens(said[moved]) == sorted(tokens(said[moved])), "an heir's token is higher"
        assert reader.refresh() == [], "IDLE said again is no edge"

        orders.produce(moved, b"1")
        headgate.until_moved(orders.destination, 1)
        until_owners_say_idle(orders, {moved: "b"})
        headgate.stop_worker("b")
        said = until_owners_say_idle(orders, {moved: "a", kept: "a"})
        headgate.stop_worker("a")
        headgate.worker("a")
        before = {place: tokens(edges)[-1] for place, edges in said.items()}
        said = until_owners_say_idle(orders, {moved: "a", kept: "a"}, before)
        assert changes(said[kept]) == ["IDLE"], "nobody was woken without a record"
        assert changes(said[moved]) == IDLE_ACTIVE_IDLE
        assert [edge.status for edge in reader.refresh() if edge.channel is not None] == [Status.ACTIVE, Status.IDLE]
        assert reader.table.status("orders") is Status.IDLE

        orders.produce(kept, b"2")
        headgate.until_moved(orders.destination, 2)
        for place, edges in until_owners_say_idle(orders, {moved: "a", kept: "a"}).items():
            assert changes(edges) == IDLE_ACTIVE_IDLE, place
            assert tokens(edges) == sorted(tokens(edges)), f"tokens of partition {place} only rise"
        assert sorted(orders.values()) == [b"1", b"2"]


def heard_of(worker: str, orders: Sayings) -> list[int]:
    """Return the partitions of which a worker had the last word."""
    return [place for place, words in orders.words().items() if words[-1]["worker"] == worker]


def test_of_two_who_claim_a_partition_only_the_owner_is_heard(headgate: Headgate) -> None:
    orders = Sayings(headgate, "orders", partitions=1)
    headgate.worker("a")
    orders.start()
    (idle,) = orders.until({0: ["IDLE"]})[0]
    with ActivityReader(headgate.servers, headgate.namespace) as reader:
        reader.refresh()

        # A claim that its sender never followed by anything: it was delayed, and lands last.
        say_as("rival", headgate, idle, marker="CLAIM", status=None, claim=None)
        orders.produce(0, b"1")
        _, active, again = orders.until({0: IDLE_ACTIVE_IDLE})[0]
        assert tokens([active, again]) == tokens([idle, idle]), "the owner goes on under its own claim"
        orders.produce(0, b"2")
        orders.until({0: [*IDLE_ACTIVE_IDLE, "ACTIVE", "IDLE"]})
        orders.produce(0, b"3")
        orders.until({0: [*IDLE_ACTIVE_IDLE, "ACTIVE", "IDLE", "ACTIVE", "IDLE"]})
        # What a former owner says lands after what the owner said, and does not count.
        say_as("rival", headgate, again, status="ACTIVE", claim=idle["claim"] - 1)
        channel = [edge.status for edge in reader.refresh() if edge.channel is not None]
        assert channel == [Status.ACTIVE, Status.IDLE] * 3
        assert reader.table.channels("orders")[0].worker == "a"
        assert reader.table.status("orders") is Status.IDLE


def say_as(worker: str, headgate: Headgate, like: dict[str, Any], **other: Any) -> None:
    """Write a marker of another worker by hand."""
    channel = ChannelId(like["stream"], like["channel"]["topic"], like["channel"]["partition"])
    payload = like | {"kind": "marker", "worker": worker, "emitted_at_ms": round(time.time() * 1_000)} | other
    topic = Namespace(headgate.namespace).markers
    record = marker_record(topic, PARTITIONS, payload)
    assert orjson.loads(record.value)["channel"]["topic"] == channel.topic
    producer = headgate.plain_producer()
    producer.produce(topic, record.value, record.key, partition=record.partition, headers=record.headers)
    assert producer.flush(30) == 0
