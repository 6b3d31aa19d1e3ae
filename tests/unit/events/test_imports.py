"""What it costs to import the package, and what it gives."""

from __future__ import annotations

import subprocess
import sys

import pytest

import headgate_events


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_does_not_import_the_kafka_client() -> None:
    code = "import sys, headgate_events; print('confluent_kafka' in sys.modules, 'pydantic' in sys.modules)"
    assert python(code) == "False False"


@pytest.mark.parametrize(
    "module",
    [
        "codec",
        "contract",
        "testing",
        "marker_feed",
        "client.spoken",
        "client.table",
        "client.selection",
        "schema.history",
    ],
)
def test_reading_and_testing_need_no_kafka_client(module: str) -> None:
    assert python(f"import sys, headgate_events.{module}; print('confluent_kafka' in sys.modules)") == "False"


def test_using_a_client_imports_the_kafka_client() -> None:
    assert (
        python("import sys; from headgate_events import StateReader; print('confluent_kafka' in sys.modules)") == "True"
    )


def test_every_public_name_can_be_loaded_and_is_listed() -> None:
    for name in headgate_events.__all__:
        assert getattr(headgate_events, name) is not None
    assert set(headgate_events.__all__) <= set(dir(headgate_events))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = headgate_events.Nothing
