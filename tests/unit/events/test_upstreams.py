"""Which streams write a topic: what tasks ask before they judge a source by its end."""

from __future__ import annotations

from typing import Any

from headgate_events.markers import ChannelId
from headgate_events.upstreams import Upstreams


def state(topic: str, status: str = "RUNNING", **more: Any) -> dict[str, Any]:
    return {"status": status, "config": {"destination": {"kind": "kafka", "topic": topic, **more}}}


def source(topic: str, **more: Any) -> dict[str, Any]:
    return {"kind": "kafka", "topic": topic, **more}


def test_all_streams_that_write_a_topic_are_known_whatever_their_status() -> None:
    upstreams = Upstreams()
    upstreams.note("a", state("t"))
    upstreams.note("b", state("t", "PAUSED"))
    upstreams.note("c", state("u", "FAILED"))
    assert upstreams.of(source("t")) == {"a", "b"}
    assert upstreams.of(source("u")) == {"c"}
    assert upstreams.of(source("v")) == frozenset()


def test_a_stream_that_writes_elsewhere_now_or_is_gone_is_not_among_them() -> None:
    upstreams = Upstreams()
    for each in ("a", "b", "c"):
        upstreams.note(each, state("t"))
    upstreams.note("a", state("u"))
    upstreams.note("b", state("t", "DELETED"))
    upstreams.note("c", None)
    assert upstreams.of(source("t")) == frozenset()
    assert upstreams.of(source("u")) == {"a"}


def test_a_topic_of_the_same_name_on_another_cluster_is_another_topic() -> None:
    upstreams = Upstreams()
    upstreams.note("a", state("t", connection="far"))
    assert upstreams.of(source("t")) == frozenset()
    assert upstreams.of(source("t", connection="far")) == {"a"}


def test_what_is_no_kafka_topic_is_written_by_nobody() -> None:
    upstreams = Upstreams()
    upstreams.note("a", {"status": "RUNNING", "config": {"destination": {"kind": "http", "url": "http://x"}}})
    assert upstreams.of({"kind": "http"}) == frozenset()


def test_a_stream_is_known_with_its_channels_and_whether_it_runs() -> None:
    upstreams = Upstreams()
    upstreams.note("a", state("t") | {"incarnation": 7, "partitions": None})
    found = upstreams.get("a")
    assert found is not None
    assert (found.incarnation, found.channels, found.runs) == (7, None, True)
    upstreams.note("a", state("t", "PAUSED") | {"incarnation": 7, "partitions": {"s": 2}})
    found = upstreams.get("a")
    assert found is not None
    assert found.channels == {ChannelId("a", "s", 0), ChannelId("a", "s", 1)}
    assert (found.runs, upstreams.version) == (False, 2)
    assert upstreams.get("b") is None
    upstreams.note("a", state("t", "PAUSED") | {"drain": {"silence": {"s": {"0": 3}}}})
    found = upstreams.get("a")
    assert found is not None
    assert found.asleep


def test_a_stream_that_is_to_write_elsewhere_writes_here_until_all_its_tasks_run_the_new_revision() -> None:
    upstreams = Upstreams()
    upstreams.note("a", state("t") | {"revision": {"desired": 1, "applied": 1}})
    upstreams.note("a", state("u") | {"revision": {"desired": 2, "applied": 1}})
    assert upstreams.of(source("t")) == upstreams.of(source("u")) == {"a"}
    upstreams.note("a", state("u") | {"revision": {"desired": 2, "applied": 2}})
    assert upstreams.of(source("t")) == frozenset()
    upstreams.note("a", {"status": "RUNNING", "config": {"destination": {"kind": "http"}}})
    assert upstreams.of(source("u")) == frozenset()


def test_a_deleted_stream_counts_until_its_stragglers_are_fenced() -> None:
    upstreams = Upstreams()
    upstreams.note("a", state("t", "DELETED") | {"conditions": {"fence_pending": {}}})
    assert upstreams.of(source("t")) == {"a"}
    upstreams.note("a", state("t", "DELETED") | {"conditions": {}})
    assert upstreams.of(source("t")) == frozenset()


def test_streams_are_watched_for_as_long_as_somebody_asks() -> None:
    upstreams = Upstreams()
    upstreams.watch("first", frozenset({"a", "b"}))
    upstreams.watch("second", frozenset({"b"}))
    assert upstreams.watched == {"a", "b"}
    upstreams.watch("first", frozenset())
    assert upstreams.watched == {"b"}
