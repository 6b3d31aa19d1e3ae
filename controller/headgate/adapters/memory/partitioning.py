"""Which partition a key belongs to, as Kafka's Java clients compute it.

The hash is Austin Appleby's MurmurHash2 for 32 bits with Kafka's seed; the sign bit is masked before the remainder is
taken (`Utils.murmur2` and `BuiltInPartitioner` in Kafka's clients).
"""

from __future__ import annotations

from typing import Final

_SEED: Final = 0x9747B28C
_FACTOR: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Return the hash of a key as a number without sign (32 bits)."""
    whole = len(data) & ~3
    hashed = (_SEED ^ len(data)) & _MASK
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * _FACTOR & _MASK
        word = (word ^ word >> 24) * _FACTOR & _MASK
        hashed = hashed * _FACTOR & _MASK ^ word
    if whole < len(data):
        hashed = (hashed ^ int.from_bytes(data[whole:], "little")) * _FACTOR & _MASK
    hashed = (hashed ^ hashed >> 13) * _FACTOR & _MASK
    return hashed ^ hashed >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key among so many partitions (at least one)."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
