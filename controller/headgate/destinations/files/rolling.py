"""When files are finished: by size, by count, or by time, whichever comes first, and by the size of all together.

The last is no setting: a commit makes everything durable at once, and no call on a destination may take a minute.
"""

from __future__ import annotations

from typing import Final

from headgate.destinations.files.settings import Roll
from headgate.ports.log import TopicPartition

TOGETHER_BYTES: Final = 512 * 1024 * 1024


class Rolling:
    """Knows whether one of the files being written is full, or all of them together."""

    def __init__(self, roll: Roll) -> None:
        self._roll = roll
        self._full = False
        self._sizes: dict[TopicPartition, int] = {}
        self._together_bytes = 0

    def note(self, partition: TopicPartition, records: int, size_bytes: int) -> None:
        """Note how large a partition's file is by now."""
        self._together_bytes += size_bytes - self._sizes.get(partition, 0)
        self._sizes[partition] = size_bytes
        if (
            records >= self._roll.records
            or size_bytes >= self._roll.bytes
            or self._together_bytes >= max(TOGETHER_BYTES, self._roll.bytes)
        ):
            self._full = True

    def due(self, waited_s: float) -> bool:
        """Say whether to commit, `waited_s` after the first record since the last commit."""
        return self._full or waited_s >= self._roll.seconds

    def begin_anew(self) -> None:
        """Forget: all files are new."""
        self._full = False
        self._sizes.clear()
        self._together_bytes = 0
