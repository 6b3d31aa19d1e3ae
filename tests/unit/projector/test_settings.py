"""Settings from the environment: a wrong one is one sentence with the variable's name."""

from __future__ import annotations

import pytest

from headgate.settings import load_settings
from headgate_events.errors import InvalidRequest


def test_the_environment_is_read_and_what_is_given_stands_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_NAMESPACE", "shop")
    monkeypatch.setenv("HEADGATE_KAFKA", '{"security.protocol": "SSL"}')
    assert load_settings().namespace == "shop"
    assert load_settings(namespace="other", bootstrap_servers=None).namespace == "other"
    assert load_settings().kafka == {"security.protocol": "SSL"}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HEADGATE_BOOTSTRAP_SERVER", "x:1", "Did you mean HEADGATE_BOOTSTRAP_SERVERS?"),
        ("HEADGATE_NAMESPACE", "a b", "HEADGATE_NAMESPACE is not valid: 'a b' is not a namespace"),
        ("HEADGATE_PROJECTOR_BATCH_RECORDS", "many", "HEADGATE_PROJECTOR_BATCH_RECORDS is not valid"),
        ("HEADGATE_PROJECTOR_SESSION_TIMEOUT_MS", "0", "HEADGATE_PROJECTOR_SESSION_TIMEOUT_MS is not valid"),
        ("HEADGATE_PROJECTOR_NAME", "-", "HEADGATE_PROJECTOR_NAME is not valid"),
        ("HEADGATE_LOG_LEVEL", "loud", "HEADGATE_LOG_LEVEL is not valid"),
        ("HEADGATE_KAFKA", "{", "HEADGATE_KAFKA is not valid JSON"),
        ("HEADGATE_SECRET_FOLDERS", "/a, b", "HEADGATE_SECRET_FOLDERS is not valid: 'b' is no absolute path"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidRequest) as raised:
        load_settings()
    assert said in str(raised.value)
    assert ".." not in str(raised.value)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().namespace = "other"  # type: ignore[misc]


def test_what_the_administrator_tells_the_client_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_KAFKA", '{"sasl.password": "canary"}')
    assert "canary" not in repr(load_settings())
    assert "canary" not in str(load_settings())
