"""What a stream may set of its Kafka clients: a short list with bounds, which every client takes at both ends."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from headgate.adapters.kafka import KafkaLog, KafkaSettings
from headgate.adapters.kafka.topics import TopicAdministration
from headgate.client_settings import CONSUMER_SETTINGS, PRODUCER_SETTINGS, Bound, Choice, Number
from headgate.destinations.kafka import KafkaDestinationSettings
from headgate.ports.errors import LogError
from headgate.sources.kafka import KafkaSourceSettings
from headgate_events.findings import explain

DANGEROUS = {
    "plugin.library.paths": "/tmp/x.so",
    "ssl.ca.location": "/etc/passwd",
    "ssl.key.location": "/etc/passwd",
    "sasl.kerberos.kinit.cmd": "id",
    "sasl.oauthbearer.token.endpoint.url": "http://169.254.169.254/",
    "sasl.password": "x",
    "security.protocol": "PLAINTEXT",
    "bootstrap.servers": "elsewhere:9092",
    "transactional.id": "another-stream",
    "group.id": "another-group",
    "enable.auto.commit": True,
    "isolation.level": "read_uncommitted",
    "auto.offset.reset": "latest",
    "enable.idempotence": False,
    "acks": "0",
    "partitioner": "random",
    "debug": "all",
    "statistics.interval.ms": 1,
}


@pytest.mark.parametrize("model", [KafkaSourceSettings, KafkaDestinationSettings])
@pytest.mark.parametrize("name", sorted(DANGEROUS))
def test_what_is_not_on_the_list_is_refused_with_the_list(model: type[BaseModel], name: str) -> None:
    with pytest.raises(ValidationError) as raised:
        model.model_validate({"topic": "t", "client": {name: DANGEROUS[name]}})
    allowed = CONSUMER_SETTINGS if model is KafkaSourceSettings else PRODUCER_SETTINGS
    said = explain(raised.value, model)
    assert said == f"client: {name} is not for a stream to set; it may set {', '.join(allowed)}"


@pytest.mark.parametrize(
    ("model", "client", "said"),
    [
        (KafkaSourceSettings, {"fetch.max.bytes": 1}, "fetch.max.bytes has to be a whole number from 1048576 to"),
        (KafkaSourceSettings, {"fetch.max.bytes": True}, "fetch.max.bytes has to be a whole number"),
        (KafkaSourceSettings, {"check.crcs": "yes"}, "check.crcs has to be true or false"),
        (KafkaDestinationSettings, {"linger.ms": 1_001}, "linger.ms has to be a whole number from 0 to 1000"),
        (KafkaDestinationSettings, {"compression.type": "brotli"}, "has to be one of none, gzip, snappy, lz4, zstd"),
        (KafkaDestinationSettings, {"fetch.max.bytes": 1_048_576}, "fetch.max.bytes is not for a stream to set"),
    ],
)
def test_each_setting_has_a_bound(model: type[BaseModel], client: Mapping[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        model.model_validate({"topic": "t", "client": client})
    assert said in explain(raised.value, model)


def ends(bound: Bound) -> list[Any]:
    if isinstance(bound, Number):
        return [bound.low, bound.high]
    return list(bound.words) if isinstance(bound, Choice) else [True, False]


@pytest.mark.parametrize("name", CONSUMER_SETTINGS)
def test_a_consumer_can_be_made_with_either_end_of_each_bound(name: str) -> None:
    log = KafkaLog(KafkaSettings("127.0.0.1:1"))
    for value in ends(CONSUMER_SETTINGS[name]):
        settings = KafkaSourceSettings.model_validate({"topic": "t", "client": {name: value}})
        log.consumer(client=settings.client).close()


@pytest.mark.parametrize("name", PRODUCER_SETTINGS)
def test_a_producer_can_be_made_with_either_end_of_each_bound(name: str) -> None:
    log = KafkaLog(KafkaSettings("127.0.0.1:1"))
    for value in ends(PRODUCER_SETTINGS[name]):
        settings = KafkaDestinationSettings.model_validate({"topic": "t", "client": {name: value}})
        log.producer(client=settings.client).close()
        log.transactional_producer("id", client=settings.client).drop()


@pytest.mark.parametrize(
    "client",
    [
        {"sasl.mechanism": "canary", "security.protocol": "SASL_SSL"},
        {"security.protocol": "canary"},
        {"ssl.key.pem": "canary", "security.protocol": "SSL"},
    ],
)
def test_a_secret_in_the_wrong_place_is_not_quoted(client: Mapping[str, Any]) -> None:
    log = KafkaLog(KafkaSettings("127.0.0.1:1", client))
    assert "canary" not in repr(KafkaSettings("127.0.0.1:1", client))
    makes: list[Callable[[], object]] = [
        log.consumer,
        log.producer,
        lambda: log.transactional_producer("id"),
        lambda: log.partitions("topic", 1.0),
        lambda: TopicAdministration(KafkaSettings("127.0.0.1:1", client)),
    ]
    for make in makes:
        with pytest.raises(LogError) as raised:
            make()
        assert "canary" not in "".join(traceback.format_exception(raised.value))
        assert raised.value.hint
