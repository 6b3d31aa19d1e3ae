"""The positions that the database keeps, and the fence before them: one row for each stream and source partition.

`claim` puts a token on the rows, unless a higher one is there. A row that bears the group of an earlier incarnation
loses its position then, so a stream that was created anew never begins where its namesake ended, and its namesake's
workers are fenced all the same. `advance` moves positions on, in the
transaction of the rows, only where the row still bears the token and the position that this owner knows: whoever was
overtaken changes nothing, and neither do two owners with one token write the same records twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from psycopg import sql

from headgate.destinations.postgresql.session import Session
from headgate.destinations.postgresql.tables import name_of
from headgate.ports.destination import Token
from headgate.ports.log import Committed, TopicPartition

COLUMNS: Final = frozenset(
    {
        *("stream", "topic", "partition", "reader_group", "position", "metadata"),
        *("incarnation", "epoch", "claim", "worker", "changed_at"),
    }
)
_CREATE: Final = """
CREATE TABLE IF NOT EXISTS {} (
    stream text NOT NULL, topic text NOT NULL, partition integer NOT NULL,
    reader_group text NOT NULL, position bigint, metadata text NOT NULL DEFAULT '',
    incarnation bigint NOT NULL, epoch bigint NOT NULL, claim bigint NOT NULL,
    worker text NOT NULL, changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (stream, topic, partition)
) WITH (fillfactor = 50)
"""
_CLAIM: Final = """
INSERT INTO {} AS p (stream, topic, partition, reader_group, incarnation, epoch, claim, worker)
SELECT %s, c.topic, c.partition, %s, c.incarnation, c.epoch, c.claim, %s
FROM unnest(%s::text[], %s::int[], %s::bigint[], %s::bigint[], %s::bigint[])
AS c (topic, partition, incarnation, epoch, claim)
ON CONFLICT (stream, topic, partition) DO UPDATE SET
    position = CASE WHEN p.reader_group = excluded.reader_group THEN p.position END,
    metadata = CASE WHEN p.reader_group = excluded.reader_group THEN p.metadata ELSE '' END,
    reader_group = excluded.reader_group,
    incarnation = excluded.incarnation, epoch = excluded.epoch, claim = excluded.claim,
    worker = excluded.worker, changed_at = clock_timestamp()
WHERE (p.incarnation, p.epoch, p.claim) <= (excluded.incarnation, excluded.epoch, excluded.claim)
RETURNING topic, partition, position, metadata
"""
_ADVANCE: Final = """
UPDATE {} AS p SET position = n.position, metadata = n.metadata, changed_at = clock_timestamp()
FROM unnest(%s::text[], %s::int[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[])
AS n (topic, partition, incarnation, epoch, claim, before, position, metadata)
WHERE p.stream = %s AND p.topic = n.topic AND p.partition = n.partition
AND (p.incarnation, p.epoch, p.claim) = (n.incarnation, n.epoch, n.claim)
AND p.position IS NOT DISTINCT FROM n.before
"""


class Ledger:
    """The rows of one stream in a table of positions.

    `group` is the stream's group of readers, another one for each incarnation; `worker` is for people who look.
    """

    def __init__(self, schema: str, table: str, *, stream: str, group: str, worker: str) -> None:
        self._table = name_of(schema, table)
        self._stream = stream
        self._group = group
        self._worker = worker
        self._claimed: dict[TopicPartition, Token] = {}
        self._known: dict[TopicPartition, int] = {}

    def create(self, session: Session) -> None:
        """Create the table, unless it is there. Within a transaction."""
        session.run(sql.SQL(_CREATE).format(self._table))

    def forget(self) -> None:
        """Forget all claims: nothing can be committed before the next ones."""
        self._claimed.clear()
        self._known.clear()

    def claim(
        self, session: Session, claims: Mapping[TopicPartition, Token]
    ) -> Mapping[TopicPartition, Committed] | None:
        """Put tokens on partitions and return their positions; None where a higher token is there.

        Within a transaction, to be undone after None. It waits for whoever is just committing. `claimed` must follow
        once the transaction was committed.
        """
        found = self.fence(session, claims)
        if len(found) != len(claims):
            return None
        return {
            TopicPartition(topic, partition): Committed(position, metadata)
            for topic, partition, position, metadata in found
            if position is not None
        }

    def fence(self, session: Session, claims: Mapping[TopicPartition, Token]) -> list[tuple[Any, ...]]:
        """Put tokens on the partitions that bear no higher one; return (topic, partition, position, text) of those."""
        tokens = sorted(claims.items())
        values = (
            self._stream,
            self._group,
            self._worker,
            [each.topic for each, _ in tokens],
            [each.partition for each, _ in tokens],
            *([token[place] for _, token in tokens] for place in range(3)),
        )
        return session.run(sql.SQL(_CLAIM).format(self._table), values).fetchall()

    def claimed(self, claims: Mapping[TopicPartition, Token], found: Mapping[TopicPartition, Committed]) -> None:
        """Remember what was claimed, and where it stands."""
        self._claimed.update(claims)
        for each in claims:
            self._known.pop(each, None)
        self._known.update({each: committed.position for each, committed in found.items()})

    def is_claimed(self, partitions: Sequence[TopicPartition]) -> bool:
        """Say whether all the partitions were claimed since the last `forget`."""
        return all(each in self._claimed for each in partitions)

    def advance(self, session: Session, positions: Mapping[TopicPartition, Committed]) -> bool:
        """Move positions on; False where one is no longer ours to move. Within the transaction of the rows.

        `advanced` must follow once it was committed.
        """
        if not positions:
            return True
        moved = sorted(positions.items())
        tokens = [self._claimed[each] for each, _ in moved]
        values = (
            [each.topic for each, _ in moved],
            [each.partition for each, _ in moved],
            *([token[place] for token in tokens] for place in range(3)),
            [self._known.get(each) for each, _ in moved],
            [committed.position for _, committed in moved],
            [committed.metadata for _, committed in moved],
            self._stream,
        )
        return session.run(sql.SQL(_ADVANCE).format(self._table), values).rowcount == len(moved)

    def advanced(self, positions: Mapping[TopicPartition, Committed]) -> None:
        """Remember where the partitions stand now."""
        self._known.update({each: committed.position for each, committed in positions.items()})
