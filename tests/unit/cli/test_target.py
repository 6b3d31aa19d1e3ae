"""Which cluster and namespace: precedence, contexts, and every way in which a setting can be wrong."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from headgate.cli.contexts import config_path
from headgate.cli.target import find_target
from headgate_events.errors import InvalidRequest
from tests.unit.cli.conftest import Headgate

FILE = """\
current: dev
contexts:
  dev: {bootstrap_servers: "dev:9092", namespace: dev}
  prod: {bootstrap_servers: "prod-1:9092,prod-2:9092"}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(FILE)
    monkeypatch.setenv("HEADGATE_CONFIG", str(path))
    return path


def test_without_anything_it_is_this_machine() -> None:
    target = find_target()
    assert (target.bootstrap_servers, target.namespace, target.servers_from) == (
        "localhost:9092", "headgate", "the default",
    )  # fmt: skip


def test_the_current_context_decides(config: Path) -> None:
    target = find_target()
    assert (target.bootstrap_servers, target.namespace, target.context) == ("dev:9092", "dev", "dev")


def test_the_environment_stands_above_the_current_context(config: Path) -> None:
    target = find_target(environ={"HEADGATE_BOOTSTRAP_SERVERS": "env:1", "HEADGATE_NAMESPACE": "env"})
    assert (target.bootstrap_servers, target.namespace) == ("env:1", "env")


def test_headgate_context_stands_in_for_the_current_one(config: Path) -> None:
    target = find_target(environ={"HEADGATE_CONTEXT": "prod"})
    assert (target.bootstrap_servers, target.namespace) == ("prod-1:9092,prod-2:9092", "headgate")


def test_a_named_context_stands_above_the_environment_in_what_it_says(config: Path) -> None:
    target = find_target(context="prod", environ={"HEADGATE_BOOTSTRAP_SERVERS": "env:1", "HEADGATE_NAMESPACE": "env"})
    assert (target.bootstrap_servers, target.namespace) == ("prod-1:9092,prod-2:9092", "env")


def test_flags_stand_above_all_each_for_itself(config: Path) -> None:
    target = find_target(namespace="mine", context="dev", environ={"HEADGATE_NAMESPACE": "env"})
    assert (target.bootstrap_servers, target.namespace, target.namespace_from) == ("dev:9092", "mine", "--namespace")


def test_flags_may_stand_before_the_verb(headgate: Headgate, config: Path) -> None:
    before = headgate("--context prod context current -o json").json
    assert before["bootstrap_servers"] == "prod-1:9092,prod-2:9092"
    assert before == headgate("context current --context prod -o json").json


@pytest.mark.parametrize("servers", ["a", "a:1,b:2", "[::1]:9092", "SASL_SSL://a:9093", "kafka_1.internal:9092"])
def test_bootstrap_servers_come_in_many_forms(servers: str) -> None:
    assert find_target(bootstrap_servers=servers).bootstrap_servers == servers


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"HEADGATE_BOOTSTRAP_SERVERS": "a b"}, "HEADGATE_BOOTSTRAP_SERVERS is not valid: 'a b' is no bootstrap"),
        ({"HEADGATE_BOOTSTRAP_SERVERS": "a:99999"}, "HEADGATE_BOOTSTRAP_SERVERS is not valid: 'a:99999'"),
        ({"HEADGATE_BOOTSTRAP_SERVERS": "a:1,,b:1"}, "HEADGATE_BOOTSTRAP_SERVERS is not valid"),
        ({"HEADGATE_NAMESPACE": "a b"}, "HEADGATE_NAMESPACE is not valid: 'a b' is not a namespace."),
        ({"HEADGATE_CONTEXT": "nobody"}, "There is no context 'nobody'"),
    ],
)
def test_a_bad_variable_is_named(environ: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        find_target(environ=environ)


@pytest.mark.parametrize("flag", ["bootstrap_servers", "namespace"])
def test_an_empty_flag_is_refused_and_an_empty_variable_is_none(flag: str) -> None:
    with pytest.raises(InvalidRequest, match=f"--{flag.replace('_', '-')} is not valid"):
        find_target(**{flag: ""})
    assert find_target(environ={f"HEADGATE_{flag.upper()}": ""}).servers_from == "the default"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n", "config.yaml:1: the file is not a mapping."),
        ("curent: dev\n", "config.yaml:1: unknown key 'curent'."),
        ("contexts: 5\n", "config.yaml:1: contexts is not a mapping."),
        ("contexts:\n  dev: 5\n", "config.yaml:2: the context 'dev' is not a mapping."),
        ("contexts:\n  dev:\n    server: a\n", "config.yaml:3: unknown key 'server' in the context 'dev'."),
        ("contexts:\n  dev:\n    namespace: 5\n", "config.yaml:3: namespace is not a text."),
        ("contexts:\n  dev:\n    namespace: a b\n", "config.yaml:2: 'a b' is not a namespace."),
        ("contexts:\n  dev:\n    bootstrap_servers: a b\n", "config.yaml:2: 'a b' is no bootstrap server."),
        ("current: prod\ncontexts: {dev: {namespace: a}}\n", "config.yaml:1: the current context 'prod' is not among"),
        ("contexts: {dev: {\n", "config.yaml:2: "),
        ("contexts: {}\ncontexts: {}\n", "config.yaml:2: the key 'contexts' stands twice"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(config: Path, headgate: Headgate, text: str, said: str) -> None:
    config.write_text(text)
    ran = headgate("get")
    assert ran.code == 2
    assert said in ran.err


def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADGATE_CONFIG", str(tmp_path))
    ran = headgate("get")
    assert (ran.code, "cannot be read: Is a directory." in ran.err) == (2, True)
    monkeypatch.setenv("HEADGATE_CONFIG", str(tmp_path / "no" / "config.yaml"))
    ran = headgate("get")
    assert (ran.code, "HEADGATE_CONFIG names" in ran.err) == (2, True)


def test_contexts_are_made_used_listed_and_removed(
    tmp_path: Path, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sub" / "config.yaml"
    path.parent.mkdir()
    monkeypatch.setenv("HEADGATE_CONFIG", str(path))
    assert headgate("context list").err.startswith("There are no contexts in ")
    assert headgate("context set dev --bootstrap-servers dev:9092 --namespace d").out == (
        "The context dev is made and current.\n"
    )
    assert headgate("context set prod --bootstrap-servers prod:9092").out == "The context prod is made.\n"
    assert headgate("context set prod --namespace p").out == "The context prod is changed.\n"
    assert headgate("context use prod").out == "The current context is prod.\n"
    assert headgate("context list").out == (
        "CURRENT   NAME   BOOTSTRAP SERVERS   NAMESPACE\n"
        "-         dev    dev:9092            d\n"
        "*         prod   prod:9092           p\n"
    )
    assert headgate("context list -o name").out == "dev\nprod\n"
    assert headgate("context list -o json").json["items"][1] == {
        "name": "prod", "current": True, "bootstrap_servers": "prod:9092", "namespace": "p",
    }  # fmt: skip
    assert headgate("context current").out == (
        "context:            prod\n"
        f"bootstrap servers:  prod:9092 (from the context 'prod' in {path})\n"
        f"namespace:          p (from the context 'prod' in {path})\n"
    )
    assert headgate("context remove prod").code == 0
    assert headgate("context current -o name").out == "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("context use nobody", "There is no context 'nobody'"),
        ("context remove nobody", "There is no context 'nobody'"),
        ("context set 'a b' --namespace x", "'a b' cannot name a context."),
        ("context set a", "A new context needs something to say."),
        ("context set a --namespace 'x y'", "'x y' is not a namespace."),
        ("context set a --bootstrap-servers 'x y'", "'x y' is no bootstrap server."),
        ("--context nobody get", "There is no context 'nobody'"),
    ],
)
def test_a_bad_context_is_refused(headgate: Headgate, config: Path, line: str, said: str) -> None:
    ran = headgate(line)
    assert ran.code == 2
    assert said in ran.err
    assert config.read_text() == FILE


def test_the_file_s_place_follows_the_platform() -> None:
    home = Path.home()
    assert config_path({"XDG_CONFIG_HOME": "/x"}, "linux") == Path("/x/headgate/config.yaml")
    assert config_path({"XDG_CONFIG_HOME": "relative"}, "linux") == home / ".config/headgate/config.yaml"
    assert config_path({}, "darwin") == home / "Library/Application Support/headgate/config.yaml"
    assert config_path({"APPDATA": "/roaming"}, "win32") == Path("/roaming/headgate/config.yaml")
    assert config_path({"HEADGATE_CONFIG": "/own.yaml"}, "linux") == Path("/own.yaml")
