"""The digest of a receipt: a hash chained over the records of one partition, in the order of their offsets.

It starts at 32 zero bytes, and each record gives the next link: the SHA-256 of the link before, the offset, the key and
the value. So it needs no state but its last 32 bytes, which travel with the committed position: whoever inherits a
partition goes on with it, and whoever has the same range of the source can compute it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from struct import Struct
from typing import Any, Final

BEGINNING: Final = bytes(32)
"""The digest of no records."""
_NULL: Final = 0xFFFF_FFFF
_OFFSET_AND_KEY: Final = Struct(">qI")
_VALUE: Final = Struct(">I")


def chain(digest: bytes, records: Iterable[Any]) -> bytes:
    """Return the digest after these records of one partition (objects with offset(), key() and value()).

    Offsets are 8 bytes and lengths 4 bytes, big-endian; the length of a null key or value is 0xFFFFFFFF.
    """
    for record in records:
        key, value = record.key(), record.value()
        digest = sha256(
            b"".join(
                (
                    digest,
                    _OFFSET_AND_KEY.pack(record.offset(), _NULL if key is None else len(key)),
                    key or b"",
                    _VALUE.pack(_NULL if value is None else len(value)),
                    value or b"",
                )
            )
        ).digest()
    return digest
