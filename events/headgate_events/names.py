"""Names: what a stream, a namespace and a worker may be called, and which topics and groups follow from that.

A stream's name is a DNS label, so that it can stand in group ids, topic names, metrics and URLs without quoting.
Keys that begin with an underscore can therefore never be a stream: the progress records of the state topic use them.
"""

from __future__ import annotations

import re
from typing import Final

from headgate_events.errors import InvalidRequest

STREAM_NAME_MAX: Final = 63
STREAM_NAME_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
NAMESPACE_PATTERN: Final = r"^[a-zA-Z0-9]([-._a-zA-Z0-9]{0,62}[a-zA-Z0-9])?$"
WORKER_NAME_PATTERN: Final = r"^[a-zA-Z0-9]([-._a-zA-Z0-9]{0,126}[a-zA-Z0-9])?$"
DEFAULT_NAMESPACE: Final = "headgate"
PROGRESS_KEY_PREFIX: Final = "_progress."
CORDON_KEY_PREFIX: Final = "cordon/"

# `$` would also match before a trailing line feed, which fullmatch does not.
_STREAM = re.compile(STREAM_NAME_PATTERN)
_NAMESPACE = re.compile(NAMESPACE_PATTERN)
_WORKER = re.compile(WORKER_NAME_PATTERN)


def is_stream_name(name: str) -> bool:
    """Say whether `name` may name a stream (a DNS label: lower case, digits, hyphens, at most 63 characters)."""
    return _STREAM.fullmatch(name) is not None


def check_stream_name(name: str) -> str:
    """Return `name`, or raise InvalidRequest (the caller's fault) when it cannot name a stream."""
    if not is_stream_name(name):
        raise InvalidRequest(
            f"{name[:80]!r} is not a stream name.",
            hint="Use lower-case letters, digits and inner hyphens, at most 63 characters.",
        )
    return name


def check_namespace(name: str) -> str:
    """Return `name`, or raise InvalidRequest (the caller's fault) when it cannot be a namespace."""
    if _NAMESPACE.fullmatch(name) is None:
        raise InvalidRequest(
            f"{name[:80]!r} is not a namespace.",
            hint="Use letters, digits and inner dots, hyphens or underscores, at most 64 characters.",
        )
    return name


def check_worker_name(name: str) -> str:
    """Return `name`, or raise InvalidRequest (the caller's fault) when it cannot name a worker."""
    if _WORKER.fullmatch(name) is None:
        raise InvalidRequest(
            f"{name[:80]!r} is not a worker's name.",
            hint="Use letters, digits and inner dots, hyphens or underscores, at most 128 characters.",
        )
    return name


def group_id(namespace: str, stream: str, incarnation: int) -> str:
    """Name the consumer group of one incarnation of a stream: a re-created name never inherits old positions."""
    return f"{namespace}.{stream}.{incarnation}"


def progress_key(partition: int) -> str:
    """Name the state topic's progress record of one partition; no stream can have this key."""
    return f"{PROGRESS_KEY_PREFIX}{partition}"


def cordon_key(worker: str) -> str:
    """Name the heartbeats topic's record that keeps tasks away from a worker; no worker can have this key."""
    return f"{CORDON_KEY_PREFIX}{worker}"


def cordoned_worker(key: str) -> str | None:
    """Return the worker that a key on the heartbeats topic keeps tasks away from; None when it is no such key."""
    return key[len(CORDON_KEY_PREFIX) :] if key.startswith(CORDON_KEY_PREFIX) else None
