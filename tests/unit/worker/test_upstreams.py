"""Which streams write a topic: what tasks ask before they judge a source by its end."""

from __future__ import annotations

from typing import Any

from headgate.worker.upstreams import Upstreams


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
