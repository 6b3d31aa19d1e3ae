"""An HTTP endpoint on loopback that takes requests, and misbehaves as a test says."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Got:
    """A request as it came in. `began_s` is when it was read whole."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    began_s: float

    def elements(self) -> list[Any]:
        """Return what the body holds: the members of an array, or the lines."""
        if self.headers.get("content-type") == "application/json":
            found: list[Any] = orjson.loads(self.body)
            return found
        return [orjson.loads(line) for line in self.body.splitlines()]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with. `then` may do anything to the socket instead of answering."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    after_s: float = 0.0
    then: Callable[[socket.socket], None] | None = None


OK = Answer()


def cut(connection: socket.socket) -> None:
    """Close the connection without a word."""
    connection.shutdown(socket.SHUT_RDWR)


def half(connection: socket.socket) -> None:
    """Begin to answer, then close our side of the connection."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
    connection.shutdown(socket.SHUT_WR)


class Endpoint:
    """A server whose `answer` decides about each request. Any thread."""

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        self.got: list[Got] = []
        self.taken: list[Got] = []
        self.answer: Callable[[Got], Answer] = lambda _: OK
        self.most_at_once = 0
        self.ending = threading.Event()
        self._at_once = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stall(self, connection: socket.socket) -> None:
        """Never answer."""
        self.ending.wait(60)

    def drip_headers(self, connection: socket.socket) -> None:
        """Send headers so slowly that each read is in time, and never the end of them."""
        with contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not self.ending.wait(0.05):
                connection.sendall(b"x")

    def drip(self, connection: socket.socket) -> None:
        """Answer so slowly that each read is in time and the answer is not."""
        with contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not self.ending.wait(0.05):
                connection.sendall(b"x")

    def elements(self) -> list[Any]:
        """Return what was taken, in the order in which it was."""
        with self._lock:
            return [element for got in self.taken for element in got.elements()]

    def close(self) -> None:
        """Stop."""
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)

    def _take(self, got: Got) -> Answer:
        with self._lock:
            self.got.append(got)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            answer = self.answer(got)
        if answer.after_s:
            time.sleep(answer.after_s)
        with self._lock:
            self._at_once -= 1
            if answer.status < 300 and answer.then is None and got.method != "HEAD":
                self.taken.append(got)
        return answer

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:
                    self.close_connection = True

            def do_POST(self) -> None:
                size = int(self.headers.get("content-length", 0))
                body = self.rfile.read(size)
                if len(body) < size:  # its sender died in the middle of it
                    self.close_connection = True
                    return
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = endpoint._take(Got(self.command, self.path, headers, body, time.monotonic()))
                if answer.then is not None:
                    self.close_connection = True
                    answer.then(self.connection)
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            do_PUT = do_PATCH = do_HEAD = do_POST  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing."""

        return Handler


def unshown(fields: Mapping[str, Any], name: str) -> bytes | None:
    """Return what stands in a record's JSON object as text or in base64."""
    if (encoded := fields.get(f"{name}_base64")) is not None:
        return base64.b64decode(encoded)
    text = fields[name]
    return None if text is None else text.encode()
