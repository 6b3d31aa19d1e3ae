"""One request and its answer, bounded in time, with nothing secret in what is said about it.

httpx bounds each read and write, not the whole; so a deadline is looked at while an answer comes in, and whoever waits
for the thread of a request does not wait past it either. Nothing comes from the worker's environment (proxies, .netrc):
a stream may name an address, and must not take somebody's credentials there.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
import time
from collections.abc import Mapping
from functools import cache
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

import httpx
import orjson

from headgate.destinations.http.bodies import Request
from headgate.destinations.http.settings import HttpConnection, HttpDestinationSettings
from headgate.ports.connectors import ConnectorContext, ConnectorRefused, ConnectorUnavailable
from headgate_events.version import __version__

ANSWER_BYTES: Final = 65_536
"""Of an answer so much is read, so that the connection can be used again; a longer one is cut off."""
EXCERPT: Final = 200
CONNECT_S: Final = 5.0
SHORTEST_SECRET: Final = 4


class Answer(NamedTuple):
    """A status, the headers in lower case, and the beginning of what was said, without secrets."""

    status: int
    headers: Mapping[str, str]
    said: str


class Sender:
    """Makes requests to one endpoint. Several threads may ask at once."""

    def __init__(self, settings: HttpDestinationSettings, context: ConnectorContext) -> None:
        connection = None
        if settings.connection is not None:
            connection = context.connections.find(settings.connection, "http", HttpConnection)
        base = settings.url if connection is None else connection.base_url.get_secret_value()
        assert base is not None, "settings name a connection or a url"
        self._url = f"{base.rstrip('/')}{settings.path}" if settings.path else base
        self.who = _who(settings)
        try:
            httpx.URL(self._url)
        except httpx.InvalidURL:
            raise ConnectorRefused(f"{self.who} has no address that can be used.", hint="Correct it.") from None
        self._method = settings.method
        self._timeout_s = settings.timeout_s
        self._clock = context.clock
        self._signing = None if connection is None else connection.signing_secret
        self._secrets = _secrets_of(connection)
        given = {} if connection is None else connection.headers
        headers = {"User-Agent": f"headgate/{__version__}", "Accept-Encoding": "identity", **settings.headers}
        headers |= {name: value.get_secret_value() for name, value in given.items()}
        self._client = httpx.Client(
            headers=headers,
            verify=_trust(connection),
            proxy=None if connection is None or connection.proxy is None else connection.proxy.get_secret_value(),
            trust_env=False,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency),
        )

    def send(self, request: Request, deadline_s: float) -> Answer:
        """Make a request, and once more when a connection was cut. Raises ConnectorUnavailable without an answer.

        That is safe because it has the same idempotency key, and because a connection that was kept is often closed by
        the other side just when it is used again.
        """
        headers = {**request.headers, **self._signature(request.body)}
        try:
            return self._ask(self._method, headers, request.body, deadline_s)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError, httpx.CloseError):
            pass
        except httpx.HTTPError as error:
            raise self._unanswered(error) from None
        try:
            return self._ask(self._method, headers, request.body, deadline_s)
        except httpx.HTTPError as error:
            raise self._unanswered(error) from None

    def look(self, deadline_s: float) -> int:
        """Ask for the endpoint's headers, which changes nothing there; return the status."""
        try:
            return self._ask("HEAD", {}, None, deadline_s).status
        except httpx.HTTPError as error:
            raise self._unanswered(error) from None

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _ask(self, method: str, headers: Mapping[str, str], body: bytes | None, deadline_s: float) -> Answer:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise httpx.ReadTimeout("the time is up")
        each_s = min(self._timeout_s, left_s)
        end_s = time.monotonic() + each_s
        timeout = httpx.Timeout(each_s, connect=min(CONNECT_S, each_s))
        said = bytearray()
        with self._client.stream(method, self._url, content=body, headers=dict(headers), timeout=timeout) as response:
            for chunk in response.iter_raw():
                said += chunk[: ANSWER_BYTES - len(said)]
                if len(said) >= ANSWER_BYTES:
                    break
                if time.monotonic() > end_s:
                    raise httpx.ReadTimeout("the answer does not end")
        return Answer(response.status_code, response.headers, self._excerpt(bytes(said)))

    def _signature(self, body: bytes) -> dict[str, str]:
        """Sign the time and the body, so that nobody can change one or send it again much later."""
        if self._signing is None:
            return {}
        at = self._clock.now_ms() // 1000
        signed = hmac.new(self._signing.get_secret_value().encode(), b"%d." % at + body, hashlib.sha256)
        return {"Headgate-Signature": f"t={at},v1={signed.hexdigest()}"}

    def _excerpt(self, said: bytes) -> str:
        """Return the beginning of an answer for a person: one line, with what we sent as a secret left out."""
        text = said.decode("utf-8", "replace")
        for secret in self._secrets:
            text = text.replace(secret, "…")
        printable = "".join(each if each.isprintable() else " " for each in text[: 10 * EXCERPT])
        return " ".join(printable.split())[:EXCERPT]

    def _unanswered(self, error: httpx.HTTPError) -> ConnectorUnavailable:
        """Say why there was no answer, in words that hold nothing of the request."""
        if isinstance(error, httpx.TimeoutException):
            why = f"did not answer within {self._timeout_s:g} s"
        elif isinstance(error, httpx.ConnectError):
            certificate = isinstance(_innermost(error), ssl.SSLError)
            why = "has no certificate that is trusted here" if certificate else "cannot be reached"
        elif isinstance(error, httpx.ProxyError):
            why = "cannot be reached through the proxy"
        else:
            why = "closed the connection instead of answering"
        return ConnectorUnavailable(f"{self.who} {why}.")


def _trust(connection: HttpConnection | None) -> ssl.SSLContext:
    if connection is None or connection.ca_file is None:
        return _usual_certificates()
    try:
        return ssl.create_default_context(cafile=connection.ca_file)
    except OSError:
        raise ConnectorRefused(
            f"The certificates in {connection.ca_file} cannot be read.", hint="Correct ca_file of the connection."
        ) from None


@cache
def _usual_certificates() -> ssl.SSLContext:
    """Read the certificates that are usually trusted, once: it takes long, and much memory for many streams."""
    return httpx.create_ssl_context(trust_env=False)


def _who(settings: HttpDestinationSettings) -> str:
    """Name the endpoint without what may be secret: the address of a connection, and queries."""
    if settings.connection is not None:
        path = settings.path.partition("?")[0]
        return f"The service {settings.connection}" + (f" at {path}" if path else "")
    parts = urlsplit(f"{settings.url}")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}{settings.path.partition('?')[0]}"


def _secrets_of(connection: HttpConnection | None) -> list[str]:
    """Return what must not be quoted, in the forms in which an answer may echo it; the longest first."""
    if connection is None:
        return []
    whole = [each.get_secret_value() for each in connection.headers.values()]
    whole += [each.get_secret_value() for each in (connection.signing_secret, connection.proxy) if each is not None]
    whole.append(connection.base_url.get_secret_value())
    parts = {part for text in whole for part in (text, *text.split())}
    forms = {form for part in parts for form in (part, quote(part, safe=""), orjson.dumps(part).decode()[1:-1])}
    return sorted((form for form in forms if len(form) >= SHORTEST_SECRET), key=len, reverse=True)


def _innermost(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
