"""The embedded broker is a real Kafka: it commits, keeps its data, takes faults, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from headgate.broker.embedded import EmbeddedBroker
from headgate.broker.errors import BrokerNotReady, BrokerNotRunning, BrokerRefused
from headgate.broker.owner import start_of
from headgate.broker.ready import answers
from tests.support.eventually import eventually

pytestmark = pytest.mark.timeout(180)

OWNER = """
import os, sys, time
from headgate.broker.embedded import EmbeddedBroker
broker = EmbeddedBroker()
broker.start()
# A child that inherits all descriptors and outlives its parent.
heir = os.fork()
if heir == 0:
    time.sleep(120)
    os._exit(0)
print(broker.pid, heir, broker.log_path.parent, broker.bootstrap_servers, flush=True)
time.sleep(120)
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(
        data_dir=tmp_path_factory.mktemp("kafka"), properties={"message.max.bytes": "2000000"}
    ) as broker:
        yield broker


def client(broker: EmbeddedBroker, **settings: Any) -> dict[str, Any]:
    named = {name.replace("_", "."): value for name, value in settings.items()}
    return {"bootstrap.servers": broker.bootstrap_servers, **named}


def make_topic(broker: EmbeddedBroker, name: str) -> None:
    admin = AdminClient(client(broker))
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(20)


def commit(broker: EmbeddedBroker, topic: str, *values: bytes, abort: bool = False) -> None:
    producer = Producer(client(broker, transactional_id=f"to-{topic}"))
    producer.init_transactions(20)
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value)
    if abort:
        producer.flush(10)
        producer.abort_transaction(20)
    else:
        producer.commit_transaction(20)


def read(broker: EmbeddedBroker, topic: str) -> list[bytes]:
    """Return all committed values of the topic's one partition."""
    consumer = Consumer(
        client(broker, group_id=f"of-{topic}", isolation_level="read_committed", enable_partition_eof=True)
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    values: list[bytes] = []
    try:
        while message := consumer.poll(20):
            if message.error():
                break
            values.append(message.value() or b"")
    finally:
        consumer.close()
    return values


def test_transactions_are_real(own: EmbeddedBroker) -> None:
    make_topic(own, "transactions")
    commit(own, "transactions", b"1", b"2")
    commit(own, "transactions", b"never", abort=True)
    commit(own, "transactions", b"3")
    # A commit is answered before its marker is written, and only then it is read.
    eventually(lambda: read(own, "transactions") == [b"1", b"2", b"3"], 20, "what was committed is read")


def test_being_ready_leaves_no_topic_behind_and_none_is_made_by_mistake(own: EmbeddedBroker) -> None:
    admin = AdminClient(client(own))
    names = {name for name in admin.list_topics(timeout=10).topics if not name.startswith("__")}
    assert not {name for name in names if name.startswith("headgate-ready")}
    producer = Producer(client(own, message_timeout_ms=2000))
    failures: list[Any] = []
    producer.produce("mistyped", b"x", callback=lambda error, _: failures.append(error))
    producer.flush(30)
    assert failures[0] is not None
    assert "mistyped" not in admin.list_topics(timeout=10).topics


def test_its_settings_are_those_of_the_caller_over_ours(own: EmbeddedBroker) -> None:
    admin = AdminClient(client(own))
    resource = ConfigResource(ResourceType.BROKER, "1")
    settings = admin.describe_configs([resource])[resource].result(20)
    assert settings["message.max.bytes"].value == "2000000"
    assert settings["group.initial.rebalance.delay.ms"].value == "0"
    assert settings["transaction.state.log.num.partitions"].value == "8"


def test_its_log_is_at_hand(own: EmbeddedBroker) -> None:
    assert "Kafka Server started" in own.log_path.read_text()
    assert own.log_tail(3).count("\n") == 2


def test_a_restart_and_a_kill_keep_the_data_and_the_address(own: EmbeddedBroker) -> None:
    make_topic(own, "kept")
    commit(own, "kept", b"1")
    address, first = own.bootstrap_servers, own.pid
    own.restart()
    commit(own, "kept", b"2")
    # A commit is answered before its marker is written; a kill in between leaves it undecided for readers until its
    # transactional id is initialised again, and that is not what is tested here.
    eventually(lambda: read(own, "kept") == [b"1", b"2"], 20, "the second transaction is read")
    second = own.pid
    own.kill()
    assert not own.running
    assert answers(address, timeout_s=1) is not None
    with pytest.raises(BrokerNotRunning):
        own.pause()
    own.start()
    assert read(own, "kept") == [b"1", b"2"]
    assert own.bootstrap_servers == address
    assert len({first, second, own.pid}) == 3


def test_a_paused_broker_answers_nobody_until_it_is_resumed(own: EmbeddedBroker) -> None:
    own.pause()
    try:
        assert answers(own.bootstrap_servers, timeout_s=1) is not None
        assert own.running
    finally:
        own.resume()
    eventually(lambda: answers(own.bootstrap_servers, timeout_s=5) is None, 20, "it answers again")


def test_a_data_folder_serves_one_broker_at_a_time(own: EmbeddedBroker) -> None:
    with pytest.raises(BrokerRefused, match="Another broker uses the data folder"):
        EmbeddedBroker(data_dir=own.log_path.parent).start()
    assert answers(own.bootstrap_servers, timeout_s=30) is None


def test_two_at_once_get_ports_of_their_own_and_leave_no_process_or_folder() -> None:
    brokers = [EmbeddedBroker(), EmbeddedBroker()]
    starters = [threading.Thread(target=broker.start) for broker in brokers]
    try:
        for starter in starters:
            starter.start()
        for starter in starters:
            starter.join(120)
        assert len({broker.bootstrap_servers for broker in brokers}) == 2
        for broker in brokers:
            make_topic(broker, "mine")
            commit(broker, "mine", broker.bootstrap_servers.encode())
        for broker in brokers:
            own_alone = [broker.bootstrap_servers.encode()]
            eventually(lambda: read(broker, "mine") == own_alone, 20, "its own record alone is read")  # noqa: B023
        left = [(broker.pid or 0, broker.log_path.parent) for broker in brokers]
    finally:
        for broker in brokers:
            broker.stop()
    for pid, folder in left:
        assert start_of(pid) == ""
        assert not folder.exists()


def test_settings_that_kafka_refuses_are_the_callers_fault_in_one_sentence(tmp_path: Path) -> None:
    broker = EmbeddedBroker(data_dir=tmp_path, properties={"num.network.threads": "none"})
    with pytest.raises(BrokerRefused, match=r"refuses its settings: Invalid value none .* num\.network\.threads"):
        broker.start()
    assert not broker.running


def test_a_broker_that_ends_while_it_starts_says_so_with_the_end_of_its_log(tmp_path: Path) -> None:
    with EmbeddedBroker(data_dir=tmp_path):
        pass
    (tmp_path / "data" / "meta.properties").write_text("version=1\ncluster.id=x\nnode.id=7\n")
    broker = EmbeddedBroker(data_dir=tmp_path)
    with pytest.raises(BrokerNotReady) as caught:
        broker.start()
    assert caught.value.message.startswith("The broker ended with status 1 before it was ready. The end of its log:\n[")
    assert "7" in caught.value.message
    assert not broker.running


def test_a_broker_that_is_not_ready_in_time_is_stopped_and_said_so(tmp_path: Path) -> None:
    broker = EmbeddedBroker(data_dir=tmp_path, start_timeout_s=0.2)
    with pytest.raises(BrokerNotReady, match="did not answer for its metadata within its bound"):
        broker.start()
    assert not broker.running


def test_when_its_owner_is_killed_the_broker_is_gone_and_so_is_its_folder() -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        try:
            pid, heir, folder, address = owner.stdout.readline().split()
        finally:
            owner.kill()
    try:
        eventually(lambda: not Path(folder).exists(), 60, "the temporary folder is removed")
        assert start_of(int(pid)) == ""
        assert answers(address, timeout_s=1) is not None
    finally:
        os.kill(int(heir), signal.SIGKILL)


def test_an_error_in_the_block_does_not_leave_the_broker_behind() -> None:
    pids: list[int] = []

    def fail_inside() -> None:
        with EmbeddedBroker() as broker:
            pids.append(broker.pid or 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert start_of(pids[0]) == ""
