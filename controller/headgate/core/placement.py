"""Placement: which workers run a stream, by rendezvous hashing.

Every worker computes the same ranking from the same two inputs, the streams and the live workers, so nobody has to lead
and nothing has to be agreed upon. When a worker comes or goes, only the streams that it wins or had are disturbed. A
passing disagreement costs one rebalance of the stream's group and nothing else, because Kafka splits and fences the
partitions.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b


def weight(stream: str, incarnation: int, worker: str) -> int:
    """Return the worker's weight for one incarnation of a stream: 64 bits that every process computes alike."""
    text = f"{stream}\0{incarnation}\0{worker}".encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def ranked(stream: str, incarnation: int, workers: Iterable[str]) -> list[str]:
    """Return the workers from the highest weight to the lowest.

    The first one validates and checks for the stream; the first `parallelism` run a task of it.
    """
    return sorted(set(workers), key=lambda worker: (-weight(stream, incarnation, worker), worker))
