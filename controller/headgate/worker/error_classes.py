"""Error classes: what an exception of somebody else's code means for a stream.

Whoever raises an error may class it: an attribute `retriable` (true: it passes by itself or by work elsewhere; false:
it does not) counts before anything else, on our own errors and on anybody's. For the errors of common libraries, which
know nothing of us, the table below says what is sensible; it goes by name, so that nothing is imported for it. What is
neither classed nor known is a fault of code, or of the record at hand, and does not pass by itself.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from typing import Any, Final

RECOVERABLE_ERRNOS: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE}
)
"""Of the operating system: a full or failing disk, too many open files, memory. A person frees it, and it goes on."""
RECOVERABLE_HTTP: Final = frozenset({408, 421, 423, 425, 429, 500, 502, 503, 504, 507, 509, 521, 522, 523, 524})
MAX_DEPTH: Final = 8


def _by_status(error: Any) -> bool:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is None:
        status = getattr(error, "code", None)
    return status in RECOVERABLE_HTTP


def _by_kafka(error: Any) -> bool:
    inner = error.args[0] if error.args else None
    retriable = getattr(inner, "retriable", None)
    return bool(retriable()) if callable(retriable) else False


def _by_errno(error: Any) -> bool:
    return getattr(error, "errno", None) in RECOVERABLE_ERRNOS


def _by_sqlstate(error: Any) -> bool:
    """Class by SQLSTATE: connection (08), rollback (40), resources (53), intervention (57) and system (58) pass."""
    state = getattr(error, "sqlstate", None)
    return state is None or state[:2] in {"08", "40", "53", "57", "58"} or state == "55P03"


KNOWN: Final[Mapping[str, bool | Callable[[Any], bool]]] = {
    "builtins.ConnectionError": True,
    "builtins.TimeoutError": True,
    "builtins.OSError": _by_errno,
    "socket.gaierror": True,
    "http.client.RemoteDisconnected": True,
    "urllib.error.HTTPError": _by_status,
    "urllib.error.URLError": True,
    "httpx.HTTPStatusError": _by_status,
    "httpx.TransportError": True,
    "requests.exceptions.HTTPError": _by_status,
    "requests.exceptions.ConnectionError": True,
    "requests.exceptions.Timeout": True,
    "psycopg.OperationalError": _by_sqlstate,
    "psycopg.errors.SerializationFailure": True,
    "psycopg.errors.DeadlockDetected": True,
    "psycopg2.OperationalError": True,
    "cimpl.KafkaException": _by_kafka,
    "confluent_kafka.error.KafkaException": _by_kafka,
}
"""By the full name of a class: whether it passes, or how to tell. The nearest class of an error's ancestry counts."""


def is_recoverable(error: BaseException) -> bool:
    """Say whether an error passes by itself, by its own word or by the table. What nobody knows does not."""
    declared = getattr(error, "retriable", None)
    if isinstance(declared, bool):
        return declared
    for kind in type(error).__mro__:
        verdict = KNOWN.get(f"{kind.__module__}.{kind.__qualname__}")
        if verdict is not None:
            return verdict if isinstance(verdict, bool) else verdict(error)
    return False
