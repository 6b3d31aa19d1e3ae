"""Which PostgreSQL the tests take, and what they say where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import postgres
from tests.support.postgres import GIVEN, GivenServer, PostgresMissing, choose_server


def test_a_given_server_comes_first_and_is_never_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "answers", lambda conninfo: conninfo == "host=somewhere")
    server = choose_server({GIVEN: "host=somewhere"})
    assert isinstance(server, GivenServer)
    server.stop()
    with pytest.raises(PostgresMissing, match=f"The server that {GIVEN} names does not answer"):
        choose_server({GIVEN: "host=elsewhere"})


def test_what_is_installed_here_comes_before_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "local_programs", lambda: Path("/programs"))
    monkeypatch.setattr(postgres, "LocalServer", lambda programs: ("local", programs))
    monkeypatch.setattr(postgres, "ContainerServer", lambda: "container")
    assert choose_server({}) == ("local", Path("/programs"))
    assert choose_server({GIVEN: "host=somewhere"}, own=True) == ("local", Path("/programs"))
    monkeypatch.setattr(postgres, "local_programs", lambda: None)
    monkeypatch.setattr(postgres, "_has_image", lambda: True)
    assert choose_server({}) == "container"


def test_without_any_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "local_programs", lambda: None)
    monkeypatch.setattr(postgres, "_has_image", lambda: False)
    with pytest.raises(PostgresMissing, match="apt-get install postgresql") as missing:
        choose_server({})
    assert GIVEN in str(missing.value)
    assert postgres.IMAGE in str(missing.value)
