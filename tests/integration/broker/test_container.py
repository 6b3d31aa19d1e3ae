"""The container is a Kafka of the same verbs, where a Docker engine answers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from headgate.broker.ready import answers
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from headgate.broker.container import KafkaContainer

docker = pytest.importorskip("docker", reason="testcontainers is not installed")
pytestmark = pytest.mark.timeout(180)

KILLED = """
from headgate.broker.container import KafkaContainer
container = KafkaContainer()
container._launch()
print(container.get_container_id(), flush=True)
import time
time.sleep(120)
"""


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaContainer]:
    from headgate.broker.container import IMAGE, Engine, KafkaContainer

    engine = Engine()
    if reason := engine.why_not():
        pytest.skip(reason)
    if not engine.has_image(IMAGE):
        pytest.skip(f"the image {IMAGE} is not on this machine")
    with KafkaContainer(properties={"message.max.bytes": "2000000"}) as container:
        yield container


def exists(container_id: str) -> bool:
    client = docker.from_env()
    try:
        return bool(client.containers.list(all=True, filters={"id": container_id}))
    finally:
        client.close()


def test_it_is_ready_when_started_and_listens_on_loopback_alone(kafka: KafkaContainer) -> None:
    assert answers(kafka.bootstrap_servers, timeout_s=5) is None
    bound = kafka.get_wrapped_container().attrs["HostConfig"]["PortBindings"]
    assert {binding["HostIp"] for bindings in bound.values() for binding in bindings} == {"127.0.0.1"}


def test_its_address_stays_over_a_restart_and_a_kill(kafka: KafkaContainer) -> None:
    address = kafka.bootstrap_servers
    kafka.restart()
    assert answers(address, timeout_s=5) is None
    kafka.kill()
    assert answers(address, timeout_s=1) is not None
    kafka.restart()
    assert answers(address, timeout_s=5) is None
    assert kafka.bootstrap_servers == address


def test_a_paused_one_answers_nobody_until_it_is_resumed(kafka: KafkaContainer) -> None:
    kafka.pause()
    try:
        assert answers(kafka.bootstrap_servers, timeout_s=1) is not None
    finally:
        kafka.resume()
    eventually(lambda: answers(kafka.bootstrap_servers, timeout_s=5) is None, 20, "it answers again")


def test_what_a_killed_run_left_is_removed_and_what_lives_is_not(kafka: KafkaContainer) -> None:
    from headgate.broker.container import remove_leftovers

    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        left = owner.stdout.readline().strip()
        assert exists(left)
        owner.kill()
    assert remove_leftovers() >= 1
    assert not exists(left)
    assert exists(kafka.get_container_id())
