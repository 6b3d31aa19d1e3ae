"""What every level of the suite stands on: one broker for the run, a namespace per test, processes that end with it.

A test that needs Kafka asks for `broker` (or for `topics` or `processes`, which do). The broker is chosen once, as the
product itself chooses it, and what was chosen is said in the summary. A run that gets none fails, it never skips:
a suite that passes by not looking would be worse than none.
"""

from __future__ import annotations

import os
import re
import signal
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Protocol

import hypothesis
import pytest

from tests.support.kafka import Topics, delete_namespaces
from tests.support.postgres import Database, PostgresMissing, Server, choose_server, database_on
from tests.support.processes import Processes

collect_ignore = ["bench", "support"]

# The machine is often shared, so time says nothing about a property; how many examples are tried is each test's to say.
hypothesis.settings.register_profile("headgate", deadline=None, print_blob=True)
hypothesis.settings.load_profile("headgate")

HERE = Path(__file__).parent
LEVELS = ("spec", "unit", "golden", "property", "simulation", "conformance", "integration", "e2e")
"""The suite's folders, quickest first, which is the order they run in."""
BROKER_S = 420
"""Bound for a first test that also waits for the broker: on a new machine that is downloaded first."""

CACHE_FOLDER = "HEADGATE_CACHE_DIR"
BROKER_SETTINGS = ("HEADGATE_BOOTSTRAP_SERVERS", "HEADGATE_BROKER", CACHE_FOLDER)
"""What a person may set to say where the suite's broker comes from."""

ENVIRONMENT = dict(os.environ)
"""As it was before any test hid its settings: `broker` may be asked for first in the middle of one."""

SAID = pytest.StashKey[str]()
POSTGRES_SAID = pytest.StashKey[str]()
PROCESSES = pytest.StashKey[Processes]()
NAMESPACES: list[str] = []


class Broker(Protocol):
    """A real Kafka: where it answers, and the sentence that says which one was taken."""

    @property
    def bootstrap_servers(self) -> str: ...

    @property
    def said(self) -> str: ...


def pytest_configure() -> None:
    """Hear Ctrl-C, and let what the tests start hear it, also where a shell started the suite in its background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    """Say at the start which broker will be asked for."""
    asked = [f"{name}={value}" for name in BROKER_SETTINGS if (value := os.environ.get(name))]
    return f"broker: {', '.join(asked) if asked else 'a container where Docker answers, else the embedded one'}"


def level_of(item: pytest.Item) -> str:
    """Return the level that a test's folder names; a test outside of the levels is a mistake."""
    level = item.path.relative_to(HERE).parts[0]
    if level not in LEVELS:
        raise pytest.UsageError(f"{item.nodeid} stands in none of the suite's folders: {', '.join(LEVELS)}.")
    return level


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the quick levels first, mark tests by level, and give the first that needs the broker the time to get it."""
    items.sort(key=lambda item: LEVELS.index(level_of(item)))
    waits_for_broker = True
    for item in items:
        level = level_of(item)
        if level in {"integration", "e2e"}:
            item.add_marker(pytest.mark.integration)
        if level == "e2e":
            item.add_marker(pytest.mark.e2e)
        if waits_for_broker and "broker" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(BROKER_S))
            waits_for_broker = False


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say at the end which servers they were."""
    if SAID in config.stash:
        terminalreporter.section("broker")
        terminalreporter.write_line(config.stash[SAID])
    if POSTGRES_SAID in config.stash:
        terminalreporter.section("PostgreSQL")
        terminalreporter.write_line(config.stash[POSTGRES_SAID])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the words of a failed test's processes into its report."""
    report = yield
    if report.failed and (processes := item.stash.get(PROCESSES, None)) is not None:
        for process in processes.started:
            report.sections.append((f"{process}, exit code {process.exit_code}", process.tail()))
    return report


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Hide the settings and contexts of whoever runs the suite from every test; what was downloaded stays in reach."""
    for name in [name for name in os.environ if name.startswith("HEADGATE_") and name != CACHE_FOLDER]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no-config"))


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """The real Kafka of this run, alike for all tests; what tests share on it they keep apart by namespace."""
    from headgate.broker.choose import choose_broker
    from headgate_events.errors import HeadgateError

    chosen = choose_broker(environ=ENVIRONMENT)
    taken: Broker | None = None
    problem = ""
    try:
        taken = chosen.__enter__()
    except Exception as error:
        problem = str(error)
        request.config.stash[SAID] = f"NO BROKER, so nothing that needs Kafka was tested: {problem}"
        if not isinstance(error, HeadgateError):
            raise
    if taken is None:
        pytest.fail(f"There is no broker to test on: {problem}", pytrace=False)
    request.config.stash[SAID] = taken.said
    shared_with_others = "HEADGATE_BOOTSTRAP_SERVERS" in os.environ
    try:
        yield taken
        if shared_with_others:
            delete_namespaces(taken.bootstrap_servers, NAMESPACES)
    finally:
        chosen.__exit__(None, None, None)


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> str:
    """A namespace that no other test and no other run has; it names the test, for whoever looks at the broker."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))[:40].strip("-")
    unique = f"t{uuid.uuid4().hex[:10]}-{words}".rstrip("-")
    NAMESPACES.append(unique)
    return unique


@pytest.fixture
def topics(broker: Broker, namespace: str) -> Topics:
    """Makes topics in the test's namespace: `topics.create("source", partitions=3)` returns the full name."""
    return Topics(broker.bootstrap_servers, namespace)


@pytest.fixture
def processes(request: pytest.FixtureRequest, broker: Broker, namespace: str, tmp_path: Path) -> Iterator[Processes]:
    """Starts `headgate …` on the broker and in the test's namespace; all of them are killed and reaped at its end."""
    environment = {
        **os.environ,
        "HEADGATE_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "HEADGATE_NAMESPACE": namespace,
        "PYTHONUNBUFFERED": "1",
    }
    with Processes(environment, tmp_path) as started:
        request.node.stash[PROCESSES] = started
        yield started


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The real PostgreSQL of this run; tests take a `database` each. Without one the tests that need it fail."""
    server = _postgres_or_fail(own=False)
    request.config.stash[POSTGRES_SAID] = server.said
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shared_database(postgres: Server) -> Iterator[Database]:
    """The database that tests take in turn: to make one takes longer than most of them."""
    with database_on(postgres) as made:
        yield made


@pytest.fixture
def database(shared_database: Database) -> Database:
    """An empty database of PostgreSQL."""
    shared_database.clear()
    return shared_database


@pytest.fixture
def own_postgres() -> Iterator[Any]:
    """A PostgreSQL of this test alone, which it may stop and start again."""
    server = _postgres_or_fail(own=True)
    yield server
    server.stop()


def _postgres_or_fail(*, own: bool) -> Server:
    problem = ""
    try:
        return choose_server(ENVIRONMENT, own=own)
    except PostgresMissing as missing:
        problem = str(missing)
    return pytest.fail(problem, pytrace=False)
