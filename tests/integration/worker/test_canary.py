"""Secrets planted in the environment, in a file and in connections appear in no record, log line, answer or error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.worker.conftest import WAIT_S, Headgate
from tests.integration.worker.test_many_workers import QUICK
from tests.support.eventually import eventually
from tests.support.kafka import read_to_end
from tests.support.processes import Processes

IN_ENVIRONMENT = "canary-env-7f3a91"
IN_FILE = "canary-file-c04d5e"
IN_PLAIN = "canary-plain-b81e66"
CANARIES = (IN_ENVIRONMENT, IN_FILE, IN_PLAIN)


def connections(folder: Path) -> Path:
    """Write connections to nowhere, with a secret in every place where one may stand, also in wrong ones."""
    (folder / "secrets").mkdir()
    secret = folder / "secrets" / "password"
    secret.write_text(f"{IN_FILE}\n")
    kafka = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "headgate"}
    nowhere = {"kind": "kafka", "bootstrap_servers": "127.0.0.1:1"}
    defined = {
        "by-file": {**nowhere, "kafka": {**kafka, "sasl.password": f"${{file:{secret}}}"}},
        "misplaced": {**nowhere, "kafka": {**kafka, "sasl.mechanism": "${env:CANARY}"}},
        "misshaped": {**nowhere, "kafka": [IN_PLAIN], "password": "${env:CANARY}"},
        "database": {
            "kind": "postgresql",
            "host": "127.0.0.1",
            "port": 1,
            "database": "shop",
            "user": "headgate",
            "password": "${env:CANARY}",
        },
        "service": {
            "kind": "http",
            "base_url": "http://127.0.0.1:1/",
            "headers": {"authorization": f"Bearer {IN_PLAIN}"},
        },
    }
    file = folder / "connections.json"
    file.write_text(json.dumps({"connections": defined}))
    return file


@pytest.mark.timeout(180)
def test_a_planted_secret_appears_nowhere(headgate: Headgate, processes: Processes, tmp_path: Path) -> None:
    environment = QUICK | {
        "HEADGATE_CONNECTIONS": str(connections(tmp_path)),
        "HEADGATE_SECRET_FOLDERS": str(tmp_path / "secrets"),
        "HEADGATE_LOG_LEVEL": "debug",
        "CANARY": IN_ENVIRONMENT,
    }
    worker = processes.start("worker", "--name", "a", environment=environment)
    worker.wait_for_output("worker.ready", WAIT_S)
    source = headgate.source("source", 1)
    destinations = {
        "by-file": {"kind": "kafka", "connection": "by-file", "topic": "t"},
        "misplaced": {"kind": "kafka", "connection": "misplaced", "topic": "t"},
        "misshaped": {"kind": "kafka", "connection": "misshaped", "topic": "t"},
        "database": {"kind": "postgresql", "connection": "database", "table": "t"},
        "service": {"kind": "http", "connection": "service"},
    }
    said: list[str] = []
    for stream, destination in destinations.items():
        config = {"source": {"kind": "kafka", "topic": source}, "destination": destination}
        if destination["kind"] == "http":
            config["delivery"] = "at_least_once"
        headgate.done(headgate.commands.create(stream, config))
        headgate.done(headgate.commands.start(stream))
    for stream in destinations:
        headgate.until(
            stream,
            "was looked at",
            lambda state: state.status != "STARTING" and state.checks,
            timeout_s=90,
        )
    for verb in (("get", "-o", "yaml"), ("describe", "by-file"), ("describe", "misplaced"), ("history", "misshaped")):
        ran = processes.run(*verb)
        assert ran.returncode == 0, ran.stderr
        said.append(ran.stdout + ran.stderr)
    assert any("misshaped" in each for each in said), "the answers do speak of the connections"
    worker.stop()
    eventually(lambda: worker.exit_code is not None, WAIT_S, "the worker ended")
    said.append(worker.output())
    for topic in headgate.topics.names():
        records = read_to_end(headgate.servers, topic, isolation="read_uncommitted")
        said += [repr((record.key, record.value, record.headers)) for record in records]
    assert len(said) > 20
    for canary in CANARIES:
        assert [each for each in said if canary in each] == []
