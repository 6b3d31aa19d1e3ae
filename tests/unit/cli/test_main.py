"""The entry point: errors of every kind, signals, pipes, and how long it takes to start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from headgate.cli import looking
from headgate_events.errors import ClusterUnreachable, HeadgateError
from headgate_events.testing import MemoryHeadgate
from headgate_events.version import __version__
from tests.unit.cli.conftest import Headgate

MAIN = [sys.executable, "-m", "headgate.cli.main"]


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def raises(*_: object) -> None:
        raise error

    monkeypatch.setattr(looking, "get_streams", raises)


def test_version_and_help(headgate: Headgate) -> None:
    assert headgate("version").out == f"headgate {__version__}\n"
    assert headgate("version -o json").json == {"version": __version__}
    assert headgate("--help").code == 0
    assert headgate("pause --help").code == 0
    assert headgate("").code == 2


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            ClusterUnreachable("Nobody answers.", hint="Start it."),
            3,
            "headgate: Nobody answers. Start it. (environment.cluster_unreachable)\n",
        ),
        (HeadgateError("It broke."), 1, "headgate: It broke. (internal)\n"),
        (
            FileNotFoundError(2, "No such file or directory", "a.txt"),
            3,
            "headgate: a.txt: No such file or directory. Check the path and its rights. (environment.file)\n",
        ),
        (
            ModuleNotFoundError("No module named 'jgo'", name="jgo"),
            3,
            (
                "headgate: A part of Headgate is not installed here: jgo. Install headgate with the extra that this "
                "command needs, such as headgate[dev]. (environment.not_installed)\n"
            ),
        ),
        (
            RuntimeError("two\nlines"),
            1,
            (
                "headgate: That should not have happened: RuntimeError: two lines. Run it again with HEADGATE_DEBUG=1 "
                "for the details, and please report them. (internal)\n"
            ),
        ),
    ],
)
def test_every_error_is_a_sentence_and_a_code_never_a_traceback(
    headgate: Headgate, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, said: str
) -> None:
    raising(monkeypatch, error)
    ran = headgate("get")
    assert (ran.code, ran.out, ran.err) == (code, "", said)


def test_with_headgate_debug_an_error_shows_where_it_came_from(
    headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADGATE_DEBUG", "1")
    raising(monkeypatch, RuntimeError("two"))
    with pytest.raises(RuntimeError):
        headgate("get")


def test_ctrl_c_ends_with_130_and_without_a_word(headgate: Headgate, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, KeyboardInterrupt())
    ran = headgate("get")
    assert (ran.code, ran.out, ran.err) == (130, "", "")


def test_a_reader_that_goes_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ran = subprocess.run([*MAIN, "version"], stdout=writing, stderr=subprocess.PIPE, timeout=60)
    finally:
        os.close(writing)
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_a_terminal_without_unicode_gets_substitutes(memory: MemoryHeadgate) -> None:
    ran = subprocess.run(
        [*MAIN, "history", "--since", "→"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 2
    assert "--since is not a time: '?'" in ran.stderr


def test_nobody_answers_is_said_at_once_with_who_named_the_cluster(headgate: Headgate) -> None:
    began = time.monotonic()
    ran = headgate("get --bootstrap-servers 127.0.0.1:1")
    assert ran.code == 3
    assert "No broker answers (127.0.0.1:1: connection refused), as --bootstrap-servers says." in ran.err
    assert time.monotonic() - began < 12, "the client itself would try for 15 s"
    for line in ("init --check", "verify", "pause a", "history a", "watch"):
        assert headgate(f"{line} --bootstrap-servers 127.0.0.1:1").code == 3


BAD_VARIABLES = [
    ("HEADGATE_NAMESPCE", "x", "HEADGATE_NAMESPCE is not a setting of Headgate. Did you mean HEADGATE_NAMESPACE?"),
    ("HEADGATE_KAFKA", "{", "HEADGATE_KAFKA is not valid JSON."),
    ("HEADGATE_LOG_LEVEL", "loud", "HEADGATE_LOG_LEVEL is not valid"),
    ("HEADGATE_BOOTSTRAP_SERVERS", "a b", "HEADGATE_BOOTSTRAP_SERVERS is not valid"),
    ("HEADGATE_NAMESPACE", "a b", "HEADGATE_NAMESPACE is not valid"),
]


@pytest.mark.parametrize(
    ("line", "name", "value", "said"),
    [
        *((line, *bad) for line in ("pause a", "projector", "worker") for bad in BAD_VARIABLES),
        ("pause a", "HEADGATE_ACTOR", "a\nb", "HEADGATE_ACTOR is not valid"),
    ],
)
def test_a_bad_variable_is_one_sentence_that_names_it(
    headgate: Headgate, monkeypatch: pytest.MonkeyPatch, line: str, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    ran = headgate(line)
    assert ran.code == 2
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("projector --log-level loud", "Invalid value for '--log-level'"),
        ("worker --name 'a b'", "is not a worker's name"),
        ("worker --processes 0", "Invalid value for '--processes'"),
        ("init --partitions 0", "Invalid value for '--partitions'"),
        ("completion tcsh", "Invalid value for 'SHELL'"),
        ("schema export", "Missing argument 'DIR'"),
        ("broker stat", "No such command 'stat'"),
        ("demo --pace 0", "Invalid value for '--pace'"),
    ],
)
def test_a_bad_option_of_a_part_is_refused(headgate: Headgate, line: str, said: str) -> None:
    ran = headgate(line)
    assert ran.code == 2
    assert said in ran.err


def test_schemas_are_exported(headgate: Headgate, tmp_path: object) -> None:
    ran = headgate(f"schema export {tmp_path}/made")
    assert ran.code == 0
    assert f"{tmp_path}/made/stream.schema.json\n" in ran.out
    ran = headgate("schema export /proc/nowhere")
    assert ran.code == 2
    assert "cannot be written" in ran.err


def test_starting_imports_nothing_that_only_some_commands_need() -> None:
    program = (
        "import sys, json; from headgate.cli.main import run; run(['version']); "
        # pydantic is not among them: typer takes it to read the command line.
        "heavy = {'confluent_kafka', 'orjson', 'yaml', 'rich', 'structlog', 'headgate.broker', "
        "'headgate.bootstrap', 'headgate_events.codec'}; print(json.dumps(sorted(heavy & set(sys.modules))))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(ran.stdout.splitlines()[-1]) == []


def complete(words: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "_HEADGATE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
        "HEADGATE_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    }
    return subprocess.run(MAIN, env=environment, capture_output=True, text=True, timeout=60)


def test_commands_and_options_are_completed() -> None:
    assert complete("headgate pa").stdout.split() == ["pause"]
    assert complete("headgate pause --fo").stdout.split() == ["--force"]
    assert complete("headgate broker st").stdout.split() == ["start", "stop", "status"]


def test_completion_is_silent_when_nobody_answers() -> None:
    ran = complete("headgate pause dep")
    assert (ran.stdout.strip(), ran.stderr) == ("", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_printed(headgate: Headgate, shell: str) -> None:
    ran = headgate(f"completion {shell}")
    assert ran.code == 0
    assert f"_HEADGATE_COMPLETE=complete_{shell}" in ran.out
