"""Where partitions begin that a task takes on, or goes back to: claimed first, then read from whoever keeps positions.

A claim comes first wherever a later owner has to be told from an earlier one: where markers are sent, and where the
destination keeps the positions itself. Where a partition then stands is the rule of `core/drain`: by this run's own
commit, by what the state says, else by the stream's start policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headgate.core.drain import Account, begin, watermark_of
from headgate.core.receipts import BEGINNING
from headgate.ports.destination import Destination, Token
from headgate.ports.log import Committed, TopicPartition
from headgate.ports.source import SourceReader
from headgate.worker.claims import Claims
from headgate.worker.pipeline import Pipeline
from headgate.worker.positions import start_positions
from headgate.worker.view import View
from headgate_events.topics import Topics


class Beginning:
    """Finds where partitions begin, for one task, whose thread owns it. `reader` and `destination` are the task's."""

    def __init__(self, pipeline: Pipeline, reader: SourceReader, destination: Destination) -> None:
        context = pipeline.context
        self._reader = reader
        self._destination = destination
        self._claims = Claims(context.log, context.clock, Topics(pipeline.namespace), context.worker)

    def begin(
        self, pipeline: Pipeline, view: View, partitions: Sequence[TopicPartition], *, marks: bool
    ) -> tuple[dict[TopicPartition, Account], Mapping[TopicPartition, Token]]:
        """Return an account of each partition, and the claims made on them. `marks`: markers are sent of them.

        Raises LogError, or whatever the destination raises, when it cannot be found out now.
        """
        in_destination = self._destination.positions_in == "destination"
        tokens = self._claims.claim(view, partitions) if marks or in_destination else {}
        committed: Mapping[TopicPartition, Committed]
        committed = self._destination.positions(tokens) if in_destination else self._reader.committed(partitions)
        accounts: dict[TopicPartition, Account] = {}
        unknown = []
        for each in partitions:
            explicit = view.positions.get(each.topic, {}).get(str(each.partition))
            account = begin(view.started_epoch, committed.get(each), explicit)
            if account == "unknown":
                unknown.append(each)
            else:
                accounts[each] = account
        if unknown:
            starts = start_positions(pipeline, unknown, known_topics=view.positions)
            accounts |= {each: Account(start=at, position=at) for each, at in starts.items()}
        for each, account in accounts.items():
            if pipeline.config.receipt_digest and account.dirty:
                account.digest = BEGINNING  # of a run that begins here; one that began without a digest goes on without
            if marks and each in committed:
                account.watermark = watermark_of(committed[each].metadata)
        return accounts, tokens

    def close(self) -> None:
        """Let go of the producer of claims, if there is one. Raises LogError."""
        self._claims.close()
