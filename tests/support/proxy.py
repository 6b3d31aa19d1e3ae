"""A TCP proxy between a client and a server, with the faults of networks: slow, silent, cut, one way only.

Every connection has two pumps, `up` (client to server) and `down`, each a thread that looks at one shared weather
before it hands on what it read. A pump that is held stops reading as well, so the other side meets a full socket, as
with a network that swallows. With `kafka=True` the pump upwards knows where a request begins, so that requests of one
kind can be held back: everything behind the held one on its connection waits too, as it would in a slow network.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Literal, Self

Direction = Literal["up", "down"]
BOTH: tuple[Direction, ...] = ("up", "down")
CHUNK_BYTES = 65_536
END_TXN = 26
"""The number of Kafka's request that ends a transaction."""


class Proxy:
    """Listens on `port` of the loopback address and connects to `upstream` there. Controlled from any thread."""

    def __init__(self, port: int, upstream: int, *, kafka: bool = False) -> None:
        self.port = port
        self._upstream = upstream
        self._kafka = kafka
        self._weather = threading.Condition()
        self._held: frozenset[Direction] = frozenset()
        self._held_requests: frozenset[int] = frozenset()
        self._waiting = 0
        self._refuses = False
        self._delay_s = 0.0
        self._bytes_per_s = 0.0
        self._ended = False
        self._sockets: set[socket.socket] = set()
        self._listener: socket.socket | None = None

    def start(self) -> Self:
        """Listen from now on."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, name=f"proxy-{self.port}", daemon=True).start()
        return self

    def stop(self) -> None:
        """End every connection and listen no more."""
        with self._weather:
            self._ended = True
            self._weather.notify_all()
        assert self._listener is not None
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """End every connection at once, with a reset; new ones are taken on."""
        with self._weather:
            doomed, self._sockets = self._sockets, set()
            for each in doomed:
                _reset(each)
            self._weather.notify_all()

    def refuse(self) -> None:
        """End every connection, and each new one right after it is made."""
        with self._weather:
            self._refuses = True
        self.cut()

    def hold(self, *directions: Direction) -> None:
        """Hand on nothing in these directions (both unless said), while connections stay open: a silent network."""
        with self._weather:
            self._held = frozenset(directions or BOTH)

    def slow(self, delay_s: float = 0.0, bytes_per_s: float = 0.0) -> None:
        """Hand each piece on after a delay, and at most so many bytes a second on each connection; 0 is no bound."""
        with self._weather:
            self._delay_s, self._bytes_per_s = delay_s, bytes_per_s

    def hold_requests(self, kinds: Iterable[int]) -> None:
        """Hold back Kafka requests of these kinds, and whatever follows them on their connections."""
        assert self._kafka, "only a proxy that knows Kafka's requests can tell them apart"
        with self._weather:
            self._held_requests = frozenset(kinds)

    @property
    def waiting(self) -> int:
        """How many requests are held back by their kind now."""
        with self._weather:
            return self._waiting

    def heal(self) -> None:
        """Take every fault back; what was held goes on."""
        with self._weather:
            self._held = frozenset()
            self._held_requests = frozenset()
            self._refuses = False
            self._delay_s = self._bytes_per_s = 0.0
            self._weather.notify_all()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with self._weather:
            refused = self._refuses or self._ended
        if refused:
            _reset(client)
            return
        try:
            server = socket.create_connection(("127.0.0.1", self._upstream), timeout=10)
        except OSError:
            _reset(client)
            return
        server.settimeout(None)
        with self._weather:
            self._sockets |= {client, server}
        for direction, source, sink in (("up", client, server), ("down", server, client)):
            threading.Thread(target=self._pump, args=(direction, source, sink), daemon=True).start()

    def _pump(self, direction: Direction, source: socket.socket, sink: socket.socket) -> None:
        framed = direction == "up" and self._kafka
        try:
            while piece := _request(source) if framed else source.recv(CHUNK_BYTES):
                if framed:
                    self._wait_for_kind(struct.unpack_from(">h", piece, 4)[0])
                if not self._wait(direction, len(piece)):
                    break
                sink.sendall(piece)
        except OSError:
            pass  # the other pump, a cut, or one of the two sides ended it
        with self._weather:
            self._sockets -= {source, sink}
        _close(source)
        _close(sink)

    def _wait(self, direction: Direction, size: int) -> bool:
        with self._weather:
            delay_s = self._delay_s + (size / self._bytes_per_s if self._bytes_per_s else 0.0)
        if delay_s:
            time.sleep(delay_s)
        with self._weather:
            self._weather.wait_for(lambda: direction not in self._held or self._ended)
            return not self._ended

    def _wait_for_kind(self, kind: int) -> None:
        with self._weather:
            if kind in self._held_requests:
                self._waiting += 1
                self._weather.wait_for(lambda: kind not in self._held_requests or self._ended)
                self._waiting -= 1


def _request(source: socket.socket) -> bytes:
    """Read one whole Kafka request with its length; empty at the end of the connection."""
    head = _exactly(source, 4)
    return head + _exactly(source, struct.unpack(">i", head)[0]) if head else b""


def _exactly(source: socket.socket, size: int) -> bytes:
    taken = bytearray()
    while len(taken) < size:
        piece = source.recv(min(CHUNK_BYTES, size - len(taken)))
        if not piece:
            return b""
        taken += piece
    return bytes(taken)


def _reset(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _close(each)


def _close(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
