"""Creates the topics of a namespace that are missing, and says of the others what is wrong with them.

Nothing that exists is ever altered: a topic with the wrong number of partitions cannot be mended anyway (keys would
change their places), and a wrong setting may be somebody's intention. So each topic is one item with a verdict and,
where it is wrong, the remedy. A topic that somebody creates at the same moment is checked like any other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, Literal

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from headgate.adapters.kafka.errors import kafka_error, not_made, translate
from headgate.adapters.kafka.settings import KafkaSettings
from headgate.ports.errors import LogError, LogUnavailable
from headgate_events.topics import DEFAULT_PARTITIONS, TopicSpec

TIMEOUT_S: Final = 30.0
BROKERS_DEFAULT: Final = -1
"""As replication factor: what the brokers have as `default.replication.factor`."""

Verdict = Literal["created", "ok", "missing", "wrong", "failed"]


@dataclass(frozen=True, slots=True)
class TopicCheck:
    """What was found of one topic. `detail` is one sentence; `hint` is the remedy, None when there is nothing to do."""

    topic: str
    verdict: Verdict
    detail: str
    hint: str | None = None

    @property
    def fine(self) -> bool:
        """Say whether the topic is there as it must be."""
        return self.verdict in {"created", "ok"}


class TopicAdministration:
    """Creates and checks topics on one cluster. Keep it while it works; one thread."""

    def __init__(self, settings: KafkaSettings) -> None:
        try:
            # It needs a name of its own: a client that is collected takes its unfinished requests along.
            self._client = AdminClient(settings.base())
        except (KafkaException, ValueError, TypeError) as error:
            raise not_made(error, "a client for the administration of topics", settings.base()) from None

    def ensure(
        self,
        specs: Sequence[TopicSpec],
        *,
        partitions: int | None = None,
        replication_factor: int = BROKERS_DEFAULT,
        create: bool = True,
        timeout_s: float = TIMEOUT_S,
    ) -> list[TopicCheck]:
        """Create what is missing and check the rest; one item for each specification, in their order.

        `partitions` is the number for topics that share the namespace's; None takes that of one that exists, else the
        default. With `create` False nothing is created and a missing topic is an item. Returns when the new topics have
        leaders. Raises LogUnavailable or another LogError when the cluster cannot be asked at all.
        """
        deadline = time.monotonic() + timeout_s
        found = self._partitions(timeout_s)
        shared = partitions or _shared(specs, found) or DEFAULT_PARTITIONS
        checks: dict[str, TopicCheck] = {}
        missing = [spec for spec in specs if spec.name not in found]
        if create:
            checks = self._create(missing, shared, replication_factor, deadline)
            found = self._partitions(_left(deadline))
        else:
            checks = {
                spec.name: TopicCheck(spec.name, "missing", "It does not exist.", "Run `headgate init`.")
                for spec in missing
            }
        unchecked = [spec for spec in specs if spec.name not in checks]
        configs = self._configs([spec.name for spec in unchecked], deadline)
        for spec in unchecked:
            checks[spec.name] = _check(spec, found.get(spec.name, 0), spec.partitions or shared, configs[spec.name])
        return [checks[spec.name] for spec in specs]

    def config(self, topic: str, timeout_s: float = TIMEOUT_S) -> Mapping[str, str]:
        """Return a topic's settings, defaults included. Raises LogError."""
        found = self._configs([topic], time.monotonic() + timeout_s)[topic]
        if isinstance(found, LogError):
            raise found
        return found

    def _partitions(self, timeout_s: float) -> Mapping[str, int]:
        """Return the numbers of partitions of all topics."""
        try:
            topics = self._client.list_topics(timeout=timeout_s).topics
        except (KafkaException, RuntimeError) as error:
            raise translate(error, "listing the topics") from error
        return {name: len(topic.partitions) for name, topic in topics.items() if topic.error is None}

    def _create(
        self, specs: Sequence[TopicSpec], shared: int, replication_factor: int, deadline: float
    ) -> dict[str, TopicCheck]:
        """Create topics; one that exists by now is left out of the answer."""
        if not specs:
            return {}
        new = [
            NewTopic(
                spec.name,
                num_partitions=spec.partitions or shared,
                replication_factor=replication_factor,
                config=dict(spec.config),
            )
            for spec in specs
        ]
        try:
            futures = self._client.create_topics(
                new, operation_timeout=_left(deadline), request_timeout=_left(deadline)
            )
        except (KafkaException, RuntimeError, ValueError, TypeError) as error:
            raise translate(error, "creating topics") from error
        checks = {}
        for spec in specs:
            refusal = _error(futures[spec.name], deadline)
            if refusal is None:
                checks[spec.name] = TopicCheck(spec.name, "created", _with(spec.partitions or shared))
            elif not _exists(refusal):
                failure = translate(refusal, f"creating {spec.name}")
                checks[spec.name] = TopicCheck(spec.name, "failed", failure.message, failure.hint)
        # Also those that somebody else has just created: they are checked next, and must be visible for that.
        there = [spec.name for spec in specs if spec.name not in checks or checks[spec.name].fine]
        self._await_leaders(there, deadline)
        return checks

    def _await_leaders(self, names: Sequence[str], deadline: float) -> None:
        while True:
            try:
                topics = self._client.list_topics(timeout=_left(deadline)).topics
            except KafkaException as error:
                raise translate(error, "waiting for the new topics") from error
            waiting = [
                name
                for name in names
                if name not in topics
                or topics[name].error is not None
                or any(partition.leader < 0 for partition in topics[name].partitions.values())
            ]
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise LogUnavailable(
                    f"{', '.join(waiting)} were created, but have no leaders yet.",
                    hint="Run `headgate init` again; it checks what is there.",
                )
            time.sleep(0.05)

    def _configs(self, names: Sequence[str], deadline: float) -> Mapping[str, Mapping[str, str] | LogError]:
        """Return each topic's settings, or the error that kept them from us."""
        if not names:
            return {}
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        futures = self._client.describe_configs(resources, request_timeout=_left(deadline))
        configs: dict[str, Mapping[str, str] | LogError] = {}
        for resource, future in futures.items():
            error = _error(future, deadline)
            if error is None:
                configs[resource.name] = {name: entry.value for name, entry in future.result().items()}
            else:
                configs[resource.name] = translate(error, f"reading the settings of {resource.name}")
        return configs


def _with(partitions: int) -> str:
    return "With 1 partition." if partitions == 1 else f"With {partitions} partitions."


def _shared(specs: Sequence[TopicSpec], found: Mapping[str, int]) -> int | None:
    """Return the number of partitions of the first co-partitioned topic that exists."""
    return next((found[spec.name] for spec in specs if spec.co_partitioned and spec.name in found), None)


def _check(spec: TopicSpec, partitions: int, wanted: int, config: Mapping[str, str] | LogError) -> TopicCheck:
    if partitions != wanted:
        why = "as the other topics that are keyed by stream" if spec.co_partitioned else "for its use"
        return TopicCheck(
            spec.name,
            "wrong",
            f"It has {partitions} partitions, and needs {wanted} {why}.",
            "Name the number that the namespace has, or begin with another namespace: keys do not move.",
        )
    if isinstance(config, LogError):
        return TopicCheck(spec.name, "failed", config.message, config.hint)
    wrong = {
        name: value for name, value in spec.config.items() if _normal(name, config.get(name)) != _normal(name, value)
    }
    if not wrong:
        return TopicCheck(spec.name, "ok", _with(partitions))
    said = ", ".join(f"{name} is {config.get(name)!r} and must be {value!r}" for name, value in wrong.items())
    settings = ",".join(f"{name}=[{value}]" if "," in value else f"{name}={value}" for name, value in wrong.items())
    return TopicCheck(
        spec.name,
        "wrong",
        f"{said}.",
        f"kafka-configs --alter --entity-type topics --entity-name {spec.name} --add-config {settings}",
    )


def _normal(name: str, value: str | None) -> str | None:
    """Return a setting in one form: the order of cleanup policies means nothing."""
    if value is None or name != "cleanup.policy":
        return value
    return ",".join(sorted(part.strip() for part in value.split(",")))


def _error(future: Future[Any], deadline: float) -> Exception | None:
    """Return what an answer came to, None for success; a missing answer is LogUnavailable."""
    try:
        future.result(_left(deadline))
    except TimeoutError:
        return LogUnavailable("The cluster did not answer in time.", hint="Check that the brokers can be reached.")
    except KafkaException as error:
        return error
    return None


def _exists(error: Exception) -> bool:
    kafka = kafka_error(error)
    return kafka is not None and kafka.code() == KafkaError.TOPIC_ALREADY_EXISTS


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())
