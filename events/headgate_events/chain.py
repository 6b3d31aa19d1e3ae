"""The hash chain: each transition of a stream carries the SHA-256 of the stored bytes of the one before it.

The state carries the hash of the newest one (`head`), so anybody can prove offline that no transition before the head
was edited or dropped. What it cannot prove: that the head itself is the newest, which needs the state topic's word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


def digest(value: bytes) -> str:
    """Return the SHA-256 of a transition's stored bytes, in lower-case hexadecimal."""
    return hashlib.sha256(value).hexdigest()


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain does not hold: the version at which it broke, and what was wrong."""

    incarnation: int
    version: int
    problem: str


def find_break(transitions: Iterable[tuple[int, int, str | None, bytes]], head: str | None = None) -> Break | None:
    """Walk one stream's transitions in order and return the first break, or None when the chain holds.

    Each item is (incarnation, version, previous, stored bytes). With `head`, the last one's hash must equal it. The
    first transition given is trusted for what it says of the one before it; so is the first of an incarnation that
    names none, which is how a name begins again after it was forgotten.
    """
    last: tuple[int, int, str] | None = None
    for incarnation, version, previous, value in transitions:
        if last is not None:
            expected = last[1] + 1 if incarnation == last[0] else 1
            if version != expected:
                return Break(incarnation, version, f"version {expected} is missing before it")
            forgotten = previous is None and incarnation > last[0]
            if previous != last[2] and not forgotten:
                return Break(incarnation, version, "it does not carry the hash of the transition before it")
        last = (incarnation, version, digest(value))
    if head is not None and (last is None or last[2] != head):
        return Break(last[0] if last else 0, last[1] if last else 0, "its hash is not the head that the state carries")
    return None
