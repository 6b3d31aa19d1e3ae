"""`TopicAdministration` on a real Kafka: creates what is missing, reports what is wrong, alters nothing."""

from __future__ import annotations

import threading

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from headgate.adapters.kafka import KafkaSettings
from headgate.adapters.kafka.topics import TopicAdministration, TopicCheck
from headgate.ports.errors import LogUnavailable
from headgate_events.topics import Topics as Names
from tests.conftest import Broker
from tests.support.kafka import Topics


def ensure(broker: Broker, namespace: str, partitions: int | None = None, create: bool = True) -> list[TopicCheck]:
    administration = TopicAdministration(KafkaSettings(broker.bootstrap_servers))
    return administration.ensure(Names(namespace).specs, partitions=partitions, create=create)


def config_of(broker: Broker, topic: str, name: str) -> str:
    client = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    resource = ConfigResource(ResourceType.TOPIC, topic)
    value = client.describe_configs([resource])[resource].result(30.0)[name].value
    assert isinstance(value, str)
    return value


def test_missing_topics_are_created_as_specified_and_fine_the_second_time(broker: Broker, namespace: str) -> None:
    first = ensure(broker, namespace, partitions=3)
    assert [check.verdict for check in first] == ["created"] * 7
    assert config_of(broker, f"{namespace}.commands", "message.timestamp.type") == "LogAppendTime"
    assert config_of(broker, f"{namespace}.state", "cleanup.policy") == "compact"
    second = ensure(broker, namespace)
    assert [(check.verdict, check.detail) for check in second[:4]] == [("ok", "With 3 partitions.")] * 4
    assert all(check.fine for check in second)


def test_nothing_is_created_when_only_asked(broker: Broker, namespace: str, topics: Topics) -> None:
    checks = ensure(broker, namespace, create=False)
    assert {check.verdict for check in checks} == {"missing"}
    assert topics.names() == []


def test_a_wrong_number_of_partitions_is_reported_and_stays(broker: Broker, namespace: str, topics: Topics) -> None:
    topics.create("history", partitions=2, config={"retention.ms": "-1"})
    checks = {check.topic: check for check in ensure(broker, namespace, partitions=3)}
    wrong = checks[f"{namespace}.history"]
    assert wrong.verdict == "wrong"
    assert "has 2 partitions, and needs 3" in wrong.detail
    assert wrong.hint
    again = {check.topic: check for check in ensure(broker, namespace, partitions=3)}
    assert again[f"{namespace}.history"].verdict == "wrong"


def test_a_wrong_setting_is_reported_with_its_remedy_and_stays(broker: Broker, namespace: str, topics: Topics) -> None:
    topics.create("state", partitions=2, config={"cleanup.policy": "delete"})
    checks = {check.topic: check for check in ensure(broker, namespace)}
    wrong = checks[f"{namespace}.state"]
    assert wrong.verdict == "wrong"
    assert "cleanup.policy is 'delete' and must be 'compact'" in wrong.detail
    assert wrong.hint is not None
    assert "--add-config cleanup.policy=compact" in wrong.hint
    assert config_of(broker, f"{namespace}.state", "cleanup.policy") == "delete"
    assert checks[f"{namespace}.commands"].detail == "With 2 partitions."


def test_two_that_create_at_once_both_find_everything_fine(broker: Broker, namespace: str) -> None:
    found: list[list[TopicCheck]] = []
    threads = [threading.Thread(target=lambda: found.append(ensure(broker, namespace, partitions=2))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    assert len(found) == 2
    assert all(check.fine for checks in found for check in checks), found


def test_an_unreachable_cluster_is_said_within_the_bound() -> None:
    administration = TopicAdministration(KafkaSettings("127.0.0.1:1"))
    with pytest.raises(LogUnavailable, match="Listing the topics failed"):
        administration.ensure(Names("any").specs, timeout_s=1.0)
