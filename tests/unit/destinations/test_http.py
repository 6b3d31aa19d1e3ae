"""The HTTP destination against an endpoint that fails, stalls, half-closes, asks to wait, and looks closely."""

from __future__ import annotations

import hashlib
import hmac
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from pydantic import ValidationError

from headgate.adapters.clock import ManualClock
from headgate.destinations.http.answers import meaning_of, retry_after_s
from headgate.destinations.http.kind import Http
from headgate.destinations.http.settings import HttpConnection, HttpDestinationSettings
from headgate.ports.connectors import ConnectionUnusable, ConnectorContext, ConnectorRefused, ConnectorUnavailable
from headgate.ports.destination import BoundsBatches, Destination, RecordRefused
from headgate.testing import GivenConnections, MadeRecord, context_for, output_of
from headgate_events.errors import HeadgateError
from tests.support.endpoint import OK, Answer, Endpoint, Got, cut, half

SECRET = "Canary-s3cret/with+signs\"and'quotes"
SIGNING = "canary-signing-secret"
QUICK = {"timeout_s": 0.3}


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.close()


@pytest.fixture
def opened(endpoint: Endpoint) -> Iterator[Callable[..., Destination]]:
    """Opens destinations on the endpoint, and closes them with the test."""
    made: list[Destination] = []

    def make(context: ConnectorContext | None = None, **settings: Any) -> Destination:
        where = {} if "connection" in settings else {"url": endpoint.url}
        valid = HttpDestinationSettings.model_validate({**where, **settings})
        destination = Http().destination(valid, context or context_for("at_least_once"))
        made.append(destination)
        destination.open()
        return destination

    yield make
    for each in made:
        each.close()


def records(count: int, *, keys: int | None = None, partition: int = 0, start: int = 0) -> list[MadeRecord]:
    return [
        MadeRecord("made", partition, at, b'{"n": %d}' % at, b"key-%d" % (at % keys if keys else at))
        for at in range(start, start + count)
    ]


def move(destination: Destination, given: Sequence[MadeRecord]) -> None:
    destination.forward(given)
    destination.commit({}, None)


def connected(endpoint: Endpoint, clock: Any = None, **more: Any) -> ConnectorContext:
    connection = {"kind": "http", "base_url": endpoint.url, **more}
    return context_for("at_least_once", clock=clock, connections=GivenConnections({"crm": connection}))


# Order and concurrency


def test_records_of_one_key_never_overtake_each_other_while_requests_run_at_once(
    endpoint: Endpoint, opened: Callable[..., Destination]
) -> None:
    endpoint.answer = lambda got: Answer(after_s=0.005 if len(endpoint.got) % 3 else 0.0)
    destination = opened(concurrency=4, batch={"records": 3})
    given = [each for pair in zip(records(60, keys=6), records(60, keys=6, partition=1), strict=True) for each in pair]
    move(destination, given)
    assert endpoint.most_at_once > 1, "requests run at once"
    assert endpoint.most_at_once <= 4, "and no more than are allowed"
    of_key: dict[tuple[int, str], list[int]] = {}
    for element in endpoint.elements():
        of_key.setdefault((element["partition"], element["key"]), []).append(element["offset"])
    assert len(of_key) == 12
    for offsets in of_key.values():
        assert offsets == sorted(offsets)
        assert len(offsets) == 10


def test_records_without_a_key_keep_the_order_of_their_partition(
    endpoint: Endpoint, opened: Callable[..., Destination]
) -> None:
    move(opened(batch={"records": 2}), [replace(each, with_key=None) for each in records(20)])
    assert [element["offset"] for element in endpoint.elements()] == list(range(20))


def test_a_concurrency_of_one_keeps_the_order_of_the_partition(
    endpoint: Endpoint, opened: Callable[..., Destination]
) -> None:
    move(opened(concurrency=1, batch={"records": 4}), records(20))
    assert [element["offset"] for element in endpoint.elements()] == list(range(20))


def test_batches_are_bounded_by_records_and_by_bytes_and_hold_one_partition(
    endpoint: Endpoint, opened: Callable[..., Destination]
) -> None:
    small = opened(concurrency=1, batch={"records": 4})
    move(small, [each for n in range(3) for each in (*records(2, start=2 * n), *records(1, partition=1, start=n))])
    assert sorted(len(got.elements()) for got in endpoint.taken) == [2, 3, 4]
    for got in endpoint.taken:
        assert len({element["partition"] for element in got.elements()}) == 1
    endpoint.taken.clear()
    move(opened(concurrency=1, batch={"bytes": 1_000}), [replace(each, with_value=b"x" * 300) for each in records(6)])
    assert [len(got.elements()) for got in endpoint.taken] == [2, 2, 2]
    assert all(len(got.body) <= 1_100 for got in endpoint.taken)


# Idempotency keys, signatures and headers


def test_idempotency_keys_name_the_records_and_stay_the_same_when_a_request_is_repeated(
    endpoint: Endpoint, opened: Callable[..., Destination]
) -> None:
    destination = opened(concurrency=1, batch={"records": 3})
    for _ in range(2):
        destination.open()
        move(destination, records(7))
    keys = [got.headers["idempotency-key"] for got in endpoint.taken]
    group = "headgate.conformance.1"
    assert keys == 2 * [f"{group}:made:0:0-2", f"{group}:made:0:3-5", f"{group}:made:0:6"]


def test_several_outputs_of_one_record_have_keys_of_their_own(
    endpoint: Endpoint, opened: Callable[..., Destination]
) -> None:
    destination = opened(body="value")
    (record,) = records(1)
    destination.write([output_of(record, b"%d" % number)._replace(key=b"%d" % number) for number in range(3)])
    destination.commit({}, None)
    assert sorted(got.headers["idempotency-key"][-3:] for got in endpoint.taken) == ["0.1", "0.2", "0:0"]
    assert {got.headers["idempotency-key"].rpartition(":")[2] for got in endpoint.taken} == {"0", "0.1", "0.2"}


def test_the_body_is_signed_with_the_time(endpoint: Endpoint, opened: Callable[..., Destination]) -> None:
    context = connected(endpoint, ManualClock(1_700_000_000_500), signing_secret=SIGNING, headers={"X-Key": SECRET})
    move(opened(context, connection="crm", path="/in?x=1", concurrency=1), records(3))
    (got,) = endpoint.taken
    assert got.path == "/in?x=1"
    assert got.headers["x-key"] == SECRET
    time_part, _, signature = got.headers["headgate-signature"].partition(",v1=")
    assert time_part == "t=1700000000"
    expected = hmac.new(SIGNING.encode(), b"1700000000." + got.body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(signature, expected)


def test_without_a_secret_nothing_is_signed(endpoint: Endpoint, opened: Callable[..., Destination]) -> None:
    move(opened(headers={"X-Source": "headgate"}, content_type="application/vnd.acme+json"), records(1))
    (got,) = endpoint.taken
    assert "headgate-signature" not in got.headers
    assert got.headers["x-source"] == "headgate"
    assert got.headers["accept-encoding"] == "identity", "an answer is looked through for secrets as it is"
    assert got.headers["content-type"] == "application/vnd.acme+json"


def test_nothing_is_taken_from_the_environment_of_the_worker(
    endpoint: Endpoint, opened: Callable[..., Destination], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    move(opened(), records(1))
    assert "authorization" not in endpoint.taken[0].headers


# Waiting, and failing


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_passes_is_recoverable(endpoint: Endpoint, opened: Callable[..., Destination], status: int) -> None:
    endpoint.answer = lambda _: Answer(status)
    with pytest.raises(ConnectorUnavailable, match=rf"answers {status}\.$") as error:
        move(opened(), records(1))
    assert error.value.retriable
    assert getattr(error.value, "retry_after_s", "absent") is None


@pytest.mark.parametrize("status", [301, 302, 307, 401, 402, 403, 404, 405, 406, 410, 415, 418, 451])
def test_what_is_about_the_endpoint_needs_a_person(
    endpoint: Endpoint, opened: Callable[..., Destination], status: int
) -> None:
    endpoint.answer = lambda _: Answer(status, {"Location": f"{endpoint.url}/elsewhere"})
    with pytest.raises(ConnectorRefused, match=str(status)) as error:
        move(opened(), records(20))
    assert not error.value.retriable
    assert {got.path for got in endpoint.got} == {"/"}, "a redirect is not followed"


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_one_record_that_is_refused_is_found_in_its_batch_and_the_others_are_sent(
    endpoint: Endpoint, opened: Callable[..., Destination], status: int
) -> None:
    endpoint.answer = lambda got: Answer(status, body=b"n must not be 37") if b'n\\": 37' in got.body else OK
    with pytest.raises(RecordRefused) as error:
        move(opened(concurrency=1, batch={"records": 50}), records(50))
    assert error.value.origin.offset() == 37
    assert error.value.message.endswith(f"refuses a record with {status}: n must not be 37.")
    assert {element["offset"] for element in endpoint.elements()} == set(range(37))
    assert len(endpoint.got) <= 14, "the search is bounded"


def test_a_batch_that_is_only_too_large_is_sent_in_parts(
    endpoint: Endpoint, opened: Callable[..., Destination]
) -> None:
    endpoint.answer = lambda got: Answer(413) if len(got.elements()) > 3 else OK
    move(opened(concurrency=1, batch={"records": 10}), records(10))
    assert [element["offset"] for element in endpoint.elements()] == list(range(10))


def test_a_conflict_that_says_when_to_come_again_passes(endpoint: Endpoint, opened: Callable[..., Destination]) -> None:
    endpoint.answer = lambda _: Answer(409, {"Retry-After": "2"})
    with pytest.raises(ConnectorUnavailable):
        move(opened(), records(1))


def test_statuses_may_be_accepted(endpoint: Endpoint, opened: Callable[..., Destination]) -> None:
    endpoint.answer = lambda _: Answer(409)
    move(opened(accept=[409]), records(1))


@pytest.mark.parametrize(
    ("said", "wait_s"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0.0),
        ("Tuesday, 14-Nov-23 22:13:50 GMT", 30.0),
        ("99999999999999999999", 86_400.0),
        ("Tue, 14 Nov 2099 22:13:50 GMT", 86_400.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
    ],
)
def test_retry_after_is_understood_as_seconds_and_as_a_date(said: str, wait_s: float | None) -> None:
    assert retry_after_s({"retry-after": said}, 1_700_000_000_000) == wait_s
    assert retry_after_s({}, 0) is None


def test_the_wish_to_wait_reaches_whoever_retries(endpoint: Endpoint, opened: Callable[..., Destination]) -> None:
    endpoint.answer = lambda _: Answer(429, {"Retry-After": "7"})
    with pytest.raises(ConnectorUnavailable, match=r"answers 429 and asks to wait 7 s\.$") as error:
        move(opened(), records(1))
    assert getattr(error.value, "retry_after_s", None) == 7.0


def test_the_first_error_stops_the_other_lanes(endpoint: Endpoint, opened: Callable[..., Destination]) -> None:
    endpoint.answer = lambda _: Answer(503)
    with pytest.raises(ConnectorUnavailable):
        move(opened(concurrency=4, batch={"records": 1}), records(400))
    assert len(endpoint.got) <= 8


@pytest.mark.parametrize("way", ["stall", "drip", "cut", "half", "nobody"])
def test_no_answer_is_recoverable_and_bounded(endpoint: Endpoint, opened: Callable[..., Destination], way: str) -> None:
    ways = {"stall": endpoint.stall, "drip": endpoint.drip, "cut": cut, "half": half}
    url = endpoint.url
    if way == "nobody":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
    else:
        endpoint.answer = lambda _: Answer(then=ways[way])
    before_s = time.monotonic()
    with pytest.raises(ConnectorUnavailable) as error:
        move(opened(url=url, **QUICK), records(3))
    assert time.monotonic() - before_s < 20
    assert url in error.value.message
    assert error.value.message.endswith(".")


def test_a_request_whose_connection_was_cut_is_made_once_more_with_the_same_key(
    endpoint: Endpoint, opened: Callable[..., Destination]
) -> None:
    endpoint.answer = lambda _: Answer(then=cut) if len(endpoint.got) == 1 else OK
    move(opened(concurrency=1), records(3))
    assert len(endpoint.got) == 2
    assert len({got.headers["idempotency-key"] for got in endpoint.got}) == 1
    assert len(endpoint.elements()) == 3


def test_a_service_that_is_too_slow_for_so_many_records_gets_fewer_at_once_until_it_keeps_up(
    endpoint: Endpoint, opened: Callable[..., Destination], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headgate.destinations.http.destination.CALL_S", 0.5)
    endpoint.answer = lambda _: Answer(after_s=0.05)
    destination = opened(concurrency=2, body="value")
    assert isinstance(destination, BoundsBatches)
    assert destination.most_records == 100
    with pytest.raises(ConnectorUnavailable):
        move(destination, records(100))
    assert len(endpoint.got) < 40
    assert destination.most_records == 25
    monkeypatch.setattr("headgate.destinations.http.destination.CALL_S", 30.0)
    destination.open()
    move(destination, records(destination.most_records))
    assert {int(got.headers["headgate-offset"]) for got in endpoint.taken} >= set(range(25))


def test_an_answer_without_an_end_is_cut_off(endpoint: Endpoint, opened: Callable[..., Destination]) -> None:
    endpoint.answer = lambda _: Answer(body=b"x" * 1_000_000)
    move(opened(), records(1))
    assert len(endpoint.taken) == 1


def test_nothing_is_sent_after_an_error_until_the_records_come_again(
    endpoint: Endpoint, opened: Callable[..., Destination]
) -> None:
    destination = opened(concurrency=2, batch={"records": 1})
    before = set(threading.enumerate())
    endpoint.answer = lambda _: Answer(503, after_s=0.01)
    with pytest.raises(ConnectorUnavailable):
        move(destination, records(50))
    came = len(endpoint.got)
    endpoint.answer = lambda _: OK
    destination.open()
    destination.commit({}, None)
    assert len(endpoint.got) == came
    assert not [thread for thread in threading.enumerate() if thread.name == "http-lane" and thread not in before]


# Secrets


def echo(got: Got) -> Answer:
    return Answer(422, body=orjson.dumps([dict(got.headers), got.path]))


@pytest.mark.parametrize("answer", [echo, lambda _: Answer(401), lambda _: Answer(503), lambda _: Answer(then=cut)])
def test_no_secret_stands_in_an_error_or_a_check(
    endpoint: Endpoint, opened: Callable[..., Destination], answer: Callable[[Got], Answer]
) -> None:
    endpoint.answer = answer
    context = connected(
        endpoint,
        base_url=f"{endpoint.url}/hooks/{SIGNING}",
        headers={"Authorization": f"Bearer {SECRET}", "X-Api-Key": SECRET},
        signing_secret=SIGNING,
    )
    with pytest.raises(HeadgateError) as error:
        move(opened(context, connection="crm", path="/in?token=none"), records(1))
    said: list[Any] = [error.value, error.value.message, error.value.hint, repr(error.value.__cause__)]
    settings = HttpDestinationSettings.model_validate({"connection": "crm"})
    said += [check.model_dump() for check in Http().check(settings, context)]
    said.append(context.connections.find("crm", "http", HttpConnection))
    for each in said:
        for secret in (SECRET, SIGNING, "Canary", SECRET.replace('"', '\\"')):
            assert secret not in f"{each}{each!r}"
    assert "The service crm" in error.value.message


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"url": "http://a.example", "connection": "crm"},
        {"url": "ftp://a.example"},
        {"url": "http://user:password@a.example"},
        {"url": "http://"},
        {"url": "http://a.example:port"},
        {"url": "http://a.example/ b"},
        {"url": "http://a.example", "path": "b"},
        {"url": "http://a.example", "path": "/b\r\nX: y"},
        {"url": "http://a.example", "headers": {"Host": "b.example"}},
        {"url": "http://a.example", "headers": {"X": "a\r\nY: b"}},
        {"url": "http://a.example", "headers": {"Idempotency-Key": "1"}},
        {"url": "http://a.example", "timeout_s": 3_600},
        {"url": "http://a.example", "concurrency": 1_000},
        {"url": "http://a.example", "method": "GET"},
    ],
)
def test_settings_that_are_not_safe_are_refused(settings: Mapping[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HttpDestinationSettings.model_validate(settings)


@pytest.mark.parametrize(
    "connection",
    [{"base_url": f"ftp://{SIGNING}"}, {"base_url": "http://a", "headers": {"X": f"{SIGNING}\r\nY: 1"}}],
)
def test_a_connection_that_is_not_usable_is_said_without_its_values(connection: Mapping[str, Any]) -> None:
    with pytest.raises(ValidationError) as error:
        HttpConnection.model_validate(connection)
    assert SIGNING not in str(error.value)


# TLS, checks, and the library


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for the loopback that nobody else has signed, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "certificate.pem", folder / "key.pem"
    subject = ["-subj", "/CN=loopback", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    subprocess.run([*command, *subject, "-keyout", key, "-out", made], check=True, capture_output=True, timeout=60)
    return made, key


def test_certificates_are_checked_and_an_own_authority_can_be_named(
    opened: Callable[..., Destination], certificate: tuple[Path, Path]
) -> None:
    made, _ = certificate
    secure = Endpoint(certificate=certificate)
    try:
        with pytest.raises(ConnectorUnavailable, match=r"has no certificate that is trusted here\.$"):
            move(opened(url=secure.url), records(1))
        assert not secure.got
        move(opened(connected(secure, ca_file=str(made)), connection="crm"), records(1))
        assert len(secure.taken) == 1
    finally:
        secure.close()


def test_an_authority_that_cannot_be_read_is_said(
    endpoint: Endpoint, opened: Callable[..., Destination], tmp_path: Path
) -> None:
    context = connected(endpoint, ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(ConnectorRefused, match=r"The certificates in .* cannot be read"):
        opened(context, connection="crm")


def test_headers_that_drip_do_not_hold_a_call_for_ever(
    endpoint: Endpoint, opened: Callable[..., Destination], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headgate.destinations.http.destination.CALL_S", 0.3)
    endpoint.answer = lambda _: Answer(then=endpoint.drip_headers)
    before_s = time.monotonic()
    with pytest.raises(ConnectorUnavailable):
        move(opened(), records(1))
    assert time.monotonic() - before_s < 20


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, "passed"),
        (204, "passed"),
        (405, "passed"),
        (404, "warning"),
        (302, "warning"),
        (401, "failed"),
        (503, "warning"),
    ],
)
def test_a_check_asks_for_the_headers_only(endpoint: Endpoint, status: int, result: str) -> None:
    endpoint.answer = lambda _: Answer(status)
    settings = HttpDestinationSettings.model_validate({"url": endpoint.url, "path": "/in"})
    (check,) = Http().check(settings, context_for("at_least_once"))
    assert check.result == result
    assert str(status) in check.message
    assert [(got.method, got.path) for got in endpoint.got] == [("HEAD", "/in")]


def test_a_connection_that_is_missing_fails_the_opening_and_the_check(opened: Callable[..., Destination]) -> None:
    with pytest.raises(ConnectionUnusable):
        opened(connection="is_not_there")
    settings = HttpDestinationSettings.model_validate({"connection": "is_not_there"})
    assert Http().check(settings, context_for("at_least_once"))[0].code == "connection.unusable"


def test_every_status_has_one_meaning() -> None:
    meanings = {status: meaning_of(status, frozenset()) for status in range(100, 600)}
    assert {status for status, meaning in meanings.items() if meaning == "taken"} == set(range(200, 300))
    assert {status for status, meaning in meanings.items() if meaning == "record"} == {400, 409, 413, 422}
    assert {status for status, meaning in meanings.items() if meaning == "later"} == {408, 425, 429, *range(500, 600)}


def test_without_httpx_the_destination_says_what_to_install() -> None:
    code = """
import sys
sys.modules["httpx"] = None
import importlib.util
importlib.util.find_spec = lambda name, find=importlib.util.find_spec: None if name == "httpx" else find(name)
import headgate.destinations as destinations
destinations.find_spec = importlib.util.find_spec
kinds = destinations.installed_destinations()
assert "http" in kinds.names()
try:
    kinds.find("http")
except Exception as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "needs the library httpx" in done.stdout, done.stderr
    assert "pip install 'headgate[http]'" in done.stdout


def test_httpx_is_of_a_version_that_bounds_and_cuts_as_it_is_used_here() -> None:
    assert tuple(int(part) for part in httpx.__version__.split(".")[:2]) >= (0, 27)
