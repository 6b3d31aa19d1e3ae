"""Connections: found by name and kind, their secrets resolved at each look, and never a secret in what is said."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr, field_validator

from headgate.adapters.clock import ManualClock
from headgate.adapters.memory import MemoryKafka
from headgate.connections import DefinedConnections, KafkaConnection
from headgate.connections.references import Secrets
from headgate.ports.connectors import Connections, ConnectionUnusable, NoConnections
from headgate.ports.log import Log

CANARY = "canary-4d7a-in-the-mine"


class Database(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    port: int = 5432
    password: SecretStr


class Telling(Database):
    """A model whose own validator quotes what it was given, as third parties' may."""

    @field_validator("password")
    @classmethod
    def _refuse(cls, password: SecretStr) -> SecretStr:
        raise ValueError(f"{password.get_secret_value()!r} is too weak")


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "connections.yaml"
        self.environment: dict[str, str] = {}
        self.made: list[tuple[str, KafkaConnection]] = []
        kafka = MemoryKafka(ManualClock())

        def make(name: str, connection: KafkaConnection) -> Log:
            self.made.append((name, connection))
            return kafka.log(name)

        self.connections: Connections = DefinedConnections(
            self.file, Secrets(self.environment, [folder / "secrets"]), make
        )

    def define(self, text: str) -> None:
        self.file.write_text(text)

    def secret(self, name: str, text: str | bytes) -> Path:
        path = self.folder / "secrets" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def refused(self, name: str = "warehouse", model: type[Database] = Database) -> str:
        with pytest.raises(ConnectionUnusable) as raised:
            self.connections.find(name, "postgresql", model)
        shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value.__context__)
        assert CANARY not in shown
        assert raised.value.hint
        assert ".. " not in f"{raised.value} "
        return str(raised.value)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def database(password: str, **more: Any) -> str:
    lines = [f'connections: {{warehouse: {{kind: postgresql, host: db, password: "{password}"']
    lines += [f", {name}: {value}" for name, value in more.items()]
    return "".join([*lines, "}}"])


def test_a_connection_is_found_by_name_and_kind_with_its_secrets_resolved(world: World) -> None:
    world.environment["PGPASSWORD"] = CANARY
    world.define(database("${env:PGPASSWORD}", port=5433))
    found = world.connections.find("warehouse", "postgresql", Database)
    assert (found.host, found.port, found.password.get_secret_value()) == ("db", 5433, CANARY)
    assert CANARY not in repr(found)


def test_json_is_read_as_well(world: World) -> None:
    world.define('{"connections": {"warehouse": {"kind": "postgresql", "host": "db", "password": "plain"}}}')
    assert world.connections.find("warehouse", "postgresql", Database).host == "db"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a ${env:A} b ${env:B}", "a one b ${env:A}"),  # what was put in is not looked at again
        ("$${env:A}", "${env:A}"),
        ("$$ $A {env:A}", "$$ $A {env:A}"),
        ("${env:A}${env:A}", "oneone"),
    ],
)
def test_references_stand_alone_or_inside_a_text(world: World, text: str, meant: str) -> None:
    world.environment.update(A="one", B="${env:A}")
    assert Secrets(world.environment, []).resolve({"deep": [text, 7, None]}) == {"deep": [meant, 7, None]}


def test_a_rotated_secret_is_taken_on_at_the_next_look(world: World) -> None:
    path = world.secret("password", "old\n")
    world.define(database(f"${{file:{path}}}"))
    assert world.connections.find("warehouse", "postgresql", Database).password.get_secret_value() == "old"
    world.secret("password", " new \r\n")
    assert world.connections.find("warehouse", "postgresql", Database).password.get_secret_value() == " new "


def test_a_link_inside_the_folder_is_followed_and_one_that_leads_out_is_not(world: World) -> None:
    (world.folder / "secrets" / "..2026").mkdir(parents=True)  # as Kubernetes lays secrets out
    path = world.secret("..2026/password", "within")
    inside = world.folder / "secrets" / "password"
    inside.symlink_to(path)
    world.define(database(f"${{file:{inside}}}"))
    assert world.connections.find("warehouse", "postgresql", Database).password.get_secret_value() == "within"

    outside = world.folder / "elsewhere"
    outside.write_text(CANARY)
    leading_out = world.folder / "secrets" / "out"
    leading_out.symlink_to(outside)
    for refused in (leading_out, outside, world.folder / "secrets" / ".." / "elsewhere"):
        world.define(database(f"${{file:{refused}}}"))
        assert f"secrets are read from {world.folder / 'secrets'} only" in world.refused()


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("${env:MISSING}", "it refers to ${env:MISSING}, which is not set"),
        ("${env:EMPTY}", "it refers to ${env:EMPTY}, which is empty"),
        ("${env:not a name}", "by something that is no variable's name"),
        ("${file:secrets/x}", "it refers to ${file:secrets/x}, which is no absolute path"),
        ("${file:/no/such/file}", "it refers to ${file:/no/such/file}, which is not there or cannot be reached"),
        ("${vault:x}", "write ${env:NAME}, ${file:/path}, or $${ for a plain ${"),
        (f"${{{CANARY}}}", "write ${env:NAME}, ${file:/path}, or $${ for a plain ${"),
        (f"x${{{CANARY}", "write ${env:NAME}, ${file:/path}, or $${ for a plain ${"),
    ],
)
def test_a_reference_that_leads_nowhere_is_one_sentence(world: World, password: str, said: str) -> None:
    world.environment["EMPTY"] = ""
    world.define(database(password))
    refusal = world.refused()
    assert said in refusal
    assert f"Correct it at {world.file}:1" in refusal


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "which is empty"), (b"\n", "which is empty"), (b"\xff", "no text in UTF-8"), (b"x" * 65_537, "larger than")],
)
def test_a_file_that_cannot_be_a_secret_is_one_sentence(world: World, content: bytes, said: str) -> None:
    path = world.secret("password", content)
    world.define(database(f"${{file:{path}}}"))
    assert said in world.refused()


def test_a_folder_is_no_secret(world: World) -> None:
    (world.folder / "secrets" / "d").mkdir(parents=True)
    world.define(database(f"${{file:{world.folder}/secrets/d}}"))
    assert "which cannot be read" in world.refused()


def test_what_is_wrong_with_the_settings_is_said_without_quoting_them(world: World) -> None:
    world.define(database(CANARY, port=CANARY, pasword="x"))
    refusal = world.refused()
    assert "pasword: is not a known key (did you mean password?)" in refusal
    assert "port: input should be a valid integer" in refusal
    world.define(database(CANARY))
    assert "password: '…' is too weak" in world.refused(model=Telling)


def test_a_name_or_a_kind_that_is_not_there_is_said_with_those_that_are(world: World) -> None:
    world.define("connections: {warehouse: {kind: postgresql}, other: {kind: kafka}}")
    assert "No connection 'lake' of the kind postgresql is defined on this worker." in world.refused("lake")
    assert "Defined with this kind: warehouse." in world.refused("lake")
    assert "The connection 'other' is of the kind kafka, and postgresql is needed." in world.refused("other")
    world.define("connections: {}")
    assert f"Define it in {world.file}." in world.refused()
    world.define("")
    assert f"Define it in {world.file}." in world.refused()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"connections:\n  warehouse: *{CANARY}\n", ":2: it cannot be read as YAML or JSON."),
        (f"connections:\n  warehouse: !{CANARY} x\n", ":2: it cannot be read as YAML or JSON."),
        (f"connections:\n  warehouse: !!int {CANARY}\n", ":2: it cannot be read as YAML or JSON."),
        (f"connections:\n  a: 1\n  {CANARY}: {{kind: x}}\n  {CANARY}: x\n", ":4: it cannot be read as YAML or JSON."),
        (f'connections:\n  warehouse: "{CANARY}\n', "it cannot be read as YAML or JSON."),
        (f"connections: {CANARY}", ":1: connections is no mapping"),
        (f"{CANARY}", "it holds something other than one section named connections."),
        (f"connections: {{}}\n{CANARY}: 1", "it holds something other than one section named connections."),
        ("connections: {}\n---\nconnections: {}", "it holds something other than one section named connections."),
        (f"connections:\n  warehouse: {CANARY}\n", ":2: the connection warehouse has no kind."),
        (f"connections:\n  warehouse:\n    kind: {CANARY}!\n", ":2: the connection warehouse has no kind."),
        (f"connections:\n  a b {CANARY}: {{kind: x}}\n", ":2: a name is not made of letters"),
    ],
)
def test_a_file_of_the_wrong_shape_is_told_by_its_place(world: World, text: str, said: str) -> None:
    world.define(text)
    assert said in world.refused()


def test_a_file_that_cannot_be_read_says_so(world: World) -> None:
    assert f"The file of connections {world.file} cannot be read (No such file or directory)." in world.refused()
    world.file.write_bytes(b"\xff\xfe")
    assert "it cannot be read as YAML or JSON" in world.refused()
    world.file.write_text("#" * (2 * 1024 * 1024))
    assert "it cannot be read as YAML or JSON" in world.refused()


def test_a_cluster_is_made_once_and_again_when_its_settings_change(world: World) -> None:
    world.environment["KAFKA_PASSWORD"] = CANARY
    world.define(
        "connections: {other: {kind: kafka, bootstrap_servers: 'k:9092', "
        "kafka: {sasl.password: '${env:KAFKA_PASSWORD}', socket.keepalive.enable: true}}}"
    )
    first = world.connections.cluster("other")
    assert world.connections.cluster("other") is first
    (name, connection) = world.made[0]
    assert (name, connection.kafka["sasl.password"]) == ("other", CANARY)
    assert CANARY not in repr(connection)
    world.environment["KAFKA_PASSWORD"] = "rotated"
    assert world.connections.cluster("other") is not first
    assert [each.kafka["sasl.password"] for _, each in world.made] == [CANARY, "rotated"]


@pytest.mark.parametrize(
    "connections", [NoConnections(), DefinedConnections(None, Secrets({}, []), lambda *_: pytest.fail("made"))]
)
def test_without_a_file_there_are_no_connections(connections: Connections) -> None:
    said = "No connection 'x' of the kind kafka is defined on this worker. .*HEADGATE_CONNECTIONS"
    with pytest.raises(ConnectionUnusable, match=said):
        connections.find("x", "kafka", Database)
    with pytest.raises(ConnectionUnusable, match=said):
        connections.cluster("x")
