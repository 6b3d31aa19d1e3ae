"""The transactional session: the one place that knows what may follow a transaction that did not end cleanly.

librdkafka speaks version 1 of Kafka's transaction protocol (no KIP-890) and retries a timed-out EndTxn by itself, so
a late EndTxn can end a *later* transaction of the same producer. Hence one rule, held here for projector and worker
alike: after anything but a clean commit the producers are dropped, new ones with the same ids are initialised (which
fences the old ones and ends what they left open), and the owner rewinds to the committed positions. Nothing is ever
aborted and carried on.

With `alternate`, two producers take turns: transaction N+1 begins on the other one, after N's commit has returned, so
nobody waits for the markers of the last transaction (3–4 ms instead of 5–12 ms back to back). The order stays, since
a commit that has returned will take effect, and the group coordinator keeps the later position whichever marker comes
first. Both are initialised on take-over and dropped together on any doubt.

One thread owns a session.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from headgate.ports.errors import LogError, LogUnavailable, TransactionInDoubt
from headgate.ports.log import ClientSetting, Committed, Log, TopicPartition, TransactionalProducer

INIT_TIMEOUT_S: Final = 30.0
COMMIT_TIMEOUT_S: Final = 30.0
POSITIONS_TIMEOUT_S: Final = 10.0
"""A group's coordinator answers at once or has moved; beginning anew finds out where to."""


class TransactionalSession:
    """A sequence of transactions by one transactional id (two, when alternating).

    Phases: `closed` → open() → `ready` → begin() → `open` → commit() → `ready`. Any error in between leads to `broken`,
    and from there only open() leads on, after which the owner must rewind to the committed positions.
    """

    def __init__(
        self,
        log: Log,
        transactional_id: str,
        *,
        alternate: bool = False,
        linger_ms: int = 0,
        timeout_ms: int = 20_000,
        client: Mapping[str, ClientSetting] | None = None,
    ) -> None:
        self._log = log
        self._linger_ms = linger_ms
        self._timeout_ms = timeout_ms
        self.client = client
        """Settings of the client; others take effect with the next open(), or the next transaction."""
        self._opened_with = client
        self.transactional_ids: tuple[str, ...] = (
            (f"{transactional_id}-a", f"{transactional_id}-b") if alternate else (transactional_id,)
        )
        self._producers: list[TransactionalProducer] = []
        self._turn = 0
        self.phase: Literal["closed", "ready", "open", "broken"] = "closed"

    def open(self, timeout_s: float = INIT_TIMEOUT_S) -> None:
        """Build and initialise the producers anew; whatever an earlier holder of the ids left open is ended by it.

        The owner then reads its committed positions back and goes on from there. Raises LogUnavailable (try again,
        with backoff) or another LogError; the phase is then `broken`.
        """
        self._drop("broken")
        self._opened_with = self.client
        try:
            for transactional_id in self.transactional_ids:
                producer = self._log.transactional_producer(
                    transactional_id, linger_ms=self._linger_ms, timeout_ms=self._timeout_ms, client=self.client
                )
                self._producers.append(producer)
                producer.init(timeout_s)
        except LogError:
            self._drop("broken")
            raise
        self._turn = 0
        self.phase = "ready"

    def begin(self) -> TransactionalProducer:
        """Begin a transaction and return the producer to produce with until commit(). Raises TransactionInDoubt.

        Raises what open() does where other settings were given meanwhile: nothing is open then that could be lost.
        """
        assert self.phase == "ready", f"begin() while the session is {self.phase}"
        if self._opened_with != self.client:
            self.open()
        producer = self._producers[self._turn]
        self.phase = "open"
        self._guard(producer.begin)
        return producer

    def commit(self, positions: Mapping[TopicPartition, Committed], group_metadata: Any) -> None:
        """Commit what was produced and the positions (next to read) in one transaction; bounded.

        With no positions only the records are committed. Raises TransactionInDoubt or ProducerFenced: the outcome is
        unknown, the phase is `broken`, and the owner must call open() and rewind.
        """
        assert self.phase == "open", f"commit() while the session is {self.phase}"
        producer = self._producers[self._turn]
        if positions:
            self._guard(lambda: producer.send_offsets(positions, group_metadata, POSITIONS_TIMEOUT_S))
        self._guard(lambda: producer.commit(COMMIT_TIMEOUT_S))
        self._turn = (self._turn + 1) % len(self._producers)
        self.phase = "ready"

    def abandon(self) -> None:
        """Give up the open transaction, if any: the producers are dropped, and open() must follow."""
        if self.phase == "open":
            self._drop("broken")

    def close(self) -> None:
        """Drop the producers. An open transaction is left to the next holder of the id, or to its timeout."""
        self._drop("closed")

    def doubt(self) -> None:
        """Mark the session broken after an error that its owner met while producing."""
        self._drop("broken")

    def _guard(self, call: Any) -> None:
        try:
            call()
        except TransactionInDoubt:
            self._drop("broken")
            raise
        except LogUnavailable as error:
            self._drop("broken")
            raise TransactionInDoubt(error.message, hint=error.hint) from error
        except LogError:
            self._drop("broken")
            raise

    def _drop(self, phase: Literal["closed", "broken"]) -> None:
        for producer in self._producers:
            producer.drop()
        self._producers = []
        self.phase = phase
