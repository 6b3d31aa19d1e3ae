"""Settings, folders, ports and the words that a node is made of."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from headgate.broker import ports
from headgate.broker.embedded import EmbeddedBroker
from headgate.broker.errors import BrokerNotRunning, BrokerRefused, PortUnavailable
from headgate.broker.exclusive import ExclusiveFile
from headgate.broker.folders import cache_folder, state_folder
from headgate.broker.java import Java
from headgate.broker.logfile import follow, tail
from headgate.broker.node import Node, NodeSettings
from headgate.broker.owner import is_alive, token
from headgate.broker.properties import SINGLE_NODE, environment_name, log4j_text, properties_text

HOME = Path.home()


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {}, HOME / ".cache/headgate"),
        ("linux", {"XDG_CACHE_HOME": "/var/c"}, Path("/var/c/headgate")),
        ("linux", {"XDG_CACHE_HOME": "relative"}, HOME / ".cache/headgate"),
        ("linux", {"XDG_CACHE_HOME": "/var/c", "HEADGATE_CACHE_DIR": "/mine"}, Path("/mine")),
        ("darwin", {"XDG_CACHE_HOME": "/var/c"}, HOME / "Library/Caches/headgate"),
        ("win32", {"LOCALAPPDATA": "/local"}, Path("/local/headgate/Cache")),
        ("win32", {}, HOME / "AppData/Local/headgate/Cache"),
    ],
)
def test_the_cache_follows_the_platform(platform: str, environ: dict[str, str], expected: Path) -> None:
    assert cache_folder(environ, platform) == expected


def test_the_state_is_kept_apart_from_the_cache() -> None:
    assert state_folder({}, "linux") == HOME / ".local/state/headgate"
    assert state_folder({}, "darwin") == HOME / "Library/Application Support/headgate"
    assert state_folder({"HEADGATE_STATE_DIR": "/mine"}, "linux") == Path("/mine")


@pytest.mark.parametrize(
    "arguments",
    [
        {"port": 0},
        {"port": 65_536},
        {"heap_mb": 64},
        {"properties": {"node.id": "3"}},
        {"properties": {"a b": "3"}},
        {"properties": {"x\ny": "3"}},
    ],
)
def test_values_that_cannot_work_are_refused_before_anything_is_done(arguments: dict[str, object]) -> None:
    with pytest.raises(BrokerRefused) as caught:
        EmbeddedBroker(**arguments)  # type: ignore[arg-type]
    assert caught.value.hint


def test_a_broker_that_was_not_started_says_so() -> None:
    broker = EmbeddedBroker()
    with pytest.raises(BrokerNotRunning):
        _ = broker.bootstrap_servers
    with pytest.raises(BrokerNotRunning, match="cannot pause"):
        broker.pause()
    broker.stop()


def test_a_port_that_is_taken_is_said_before_java_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((ports.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        node = Node(tmp_path, NodeSettings(port), Java(Path("no-java"), 17, "from nowhere"), [])
        with pytest.raises(PortUnavailable, match=f"Port {port} "):
            node.prepare()


def test_a_data_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    node = Node(tmp_path / "file" / "data", NodeSettings(), Java(Path("no-java"), 17, "from nowhere"), [])
    with pytest.raises(BrokerRefused, match="Cannot write the data folder"):
        node.prepare()


def test_free_ports_lie_below_the_ephemeral_range() -> None:
    port = ports.free_port()
    assert 1024 <= port < ports._ephemeral_start()
    assert ports.port_is_free(port)


def test_properties_are_escaped_for_java() -> None:
    text = properties_text({"log.dirs": "C:\\a b\\ü", " x": "#1=2\n"})
    assert text == "log.dirs=C\\:\\\\a b\\\\\\u00fc\n\\ x=\\#1\\=2\\n\n"
    assert text.encode("latin-1")


def test_the_log_configuration_stands_any_path() -> None:
    assert 'fileName="/a&amp;b/&quot;$$x"' in log4j_text('/a&b/"$x')


def test_containers_take_the_same_settings_as_variables() -> None:
    assert environment_name("group.min.session.timeout.ms") == "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS"
    assert SINGLE_NODE["auto.create.topics.enable"] == "false"
    assert SINGLE_NODE["transaction.state.log.replication.factor"] == "1"


def test_a_lock_excludes_others_and_looking_does_not_take_it(tmp_path: Path) -> None:
    first, second = ExclusiveFile(tmp_path / "lock"), ExclusiveFile(tmp_path / "lock")
    assert not second.is_held()
    assert first.try_hold()
    assert first.try_hold()
    assert not second.try_hold()
    assert second.is_held()
    first.release()
    assert not second.is_held()
    assert second.try_hold()
    second.release()


def test_an_owner_is_known_by_its_start_and_not_by_its_number_alone() -> None:
    mine = token()
    host, pid, start = mine.rsplit(":", 2)
    assert is_alive(mine)
    assert not is_alive(f"{host}:{pid}:{start}0")
    assert not is_alive(f"{host}:4194304999:1")
    assert is_alive(f"another-{host}:{pid}:{start}0"), "a process of another host cannot be judged from here"


def test_the_end_of_a_log_is_read_and_then_followed_over_a_roll_over(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log, 3) == ""
    log.write_text("a\nb\nc\n")
    assert tail(log, 2) == "b\nc"
    assert tail(log, 0) == ""

    def append() -> None:
        with log.open("a") as file:
            file.write("d\n")

    def roll_over() -> None:
        log.rename(tmp_path / "log.1")
        log.write_text("e\n")

    steps = iter([append, roll_over])

    def goes_on() -> bool:
        step = next(steps, None)
        if step is not None:
            step()
        return step is not None

    assert "".join(follow(log, goes_on)) == "d\ne\n"
