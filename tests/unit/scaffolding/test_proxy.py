"""The proxy of the tests does what a network does to a connection."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from headgate.broker.ports import free_port
from tests.support.eventually import eventually
from tests.support.proxy import END_TXN, Proxy

PATIENCE_S = 20.0


class Echo:
    """A server that sends back what it is sent."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            while piece := client.recv(65_536):
                client.sendall(piece)
        except OSError:
            pass
        client.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    echo = Echo()
    with Proxy(free_port(), echo.port, kafka=True) as made:
        yield made
    echo.close()


def request(kind: int, text: bytes) -> bytes:
    return struct.pack(">ih", 2 + len(text), kind) + text


def connected(proxy: Proxy) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", proxy.port))
    made.settimeout(PATIENCE_S)
    return made


def received(connection: socket.socket, size: int) -> bytes:
    taken = b""
    while len(taken) < size:
        piece = connection.recv(size - len(taken))
        if not piece:
            break
        taken += piece
    return taken


def silent(connection: socket.socket, for_s: float = 0.2) -> bool:
    connection.settimeout(for_s)
    try:
        return connection.recv(1) == b"never"
    except TimeoutError:
        return True
    finally:
        connection.settimeout(PATIENCE_S)


def ended(connection: socket.socket) -> bool:
    try:
        connection.sendall(request(1, b"x"))
        return connection.recv(1) == b""
    except OSError as error:
        return not isinstance(error, TimeoutError)


def test_what_is_sent_comes_back(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        sent = request(1, b"x" * 200_000)
        connection.sendall(sent)
        assert received(connection, len(sent)) == sent


def test_a_cut_ends_connections_and_new_ones_work(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        connection.sendall(request(1, b"one"))
        received(connection, 9)
        proxy.cut()
        assert ended(connection)
    with connected(proxy) as again:
        again.sendall(request(1, b"three"))
        assert received(again, 11)[6:] == b"three"


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_held_direction_is_silent_and_goes_on_when_it_is_healed(proxy: Proxy, direction: str) -> None:
    with connected(proxy) as connection:
        proxy.hold(direction)  # type: ignore[arg-type]
        connection.sendall(request(1, b"late"))
        assert silent(connection)
        proxy.heal()
        assert received(connection, 10)[6:] == b"late"


def test_requests_of_one_kind_are_held_back_and_others_pass(proxy: Proxy) -> None:
    proxy.hold_requests([END_TXN])
    with connected(proxy) as one, connected(proxy) as other:
        one.sendall(request(0, b"produce") + request(END_TXN, b"commit"))
        assert received(one, 13)[6:] == b"produce"
        eventually(lambda: proxy.waiting == 1, PATIENCE_S, "the commit is held back")
        other.sendall(request(3, b"metadata"))
        assert received(other, 14)[6:] == b"metadata"
        assert silent(one)
        proxy.heal()
        assert received(one, 12)[6:] == b"commit"


def test_a_slow_connection_takes_its_time(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        proxy.slow(delay_s=0.15)
        began_s = time.monotonic()
        connection.sendall(request(1, b"slow"))
        received(connection, 10)
        assert time.monotonic() - began_s >= 0.3


def test_a_refused_connection_ends_at_once(proxy: Proxy) -> None:
    proxy.refuse()
    with connected(proxy) as connection:
        assert ended(connection)
