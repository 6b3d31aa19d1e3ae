"""Who is alive: follows the heartbeats and judges silence, by the time of receipt on this machine's steady clock.

What a worker's own clock says is never used. Nothing is judged before everything that was there has been read: a
projector that was away for an hour would otherwise call every worker silent.
"""

from __future__ import annotations

from typing import Final

import orjson
import structlog

from headgate.core.observing import Workers
from headgate.ports.errors import LogError, PositionLost
from headgate.ports.log import Batch, Log, LogConsumer, TopicPartition
from headgate.projector.setup import ASK_TIMEOUT_S
from headgate_events.errors import InvalidRequest
from headgate_events.names import check_worker_name, cordoned_worker
from headgate_events.records import Record

SILENT_AFTER_BEATS: Final = 3
MARGIN_S: Final = 1.0
GRACE_S: Final = 3.0
"""How long after catching up nobody is missed: whoever starts everything at once starts the workers last."""
KEPT_S: Final = 3_600.0
"""How long a worker that fell silent is remembered. The topic forgets it then, too."""
POLL_RECORDS: Final = 1_000
MAX_WORKERS: Final = 100_000

log = structlog.get_logger(__name__)


class Heartbeats:
    """Reads the heartbeats of a namespace. One thread owns it."""

    def __init__(self, client: Log, topic: str) -> None:
        self._log = client
        self._topic = topic
        self._consumer: LogConsumer | None = None
        self._behind: dict[TopicPartition, int] = {}
        self._caught_up_s: float | None = None
        self._heard: dict[str, tuple[float, float, bool]] = {}
        self._cordoned: set[str] = set()
        self._workers: Workers | None = None
        self._look_again_s = 0.0

    def step(self, now_s: float) -> Workers | None:
        """Read what is there; return who is heard, or None while that cannot be judged yet."""
        if self._consumer is None:
            self._open()
        assert self._consumer is not None
        try:
            batch = self._consumer.poll(POLL_RECORDS, 0.0)
        except PositionLost as error:
            # This process was suspended for longer than the topic keeps: it catches up from where the topic begins.
            log.warning("projector.heartbeats_missed", error=str(error))
            self.close()
            self._caught_up_s = None
            return None
        for record in batch.records:
            self._hear(record, now_s)
        if self._caught_up_s is None and self._caught_up(batch):
            self._caught_up_s = now_s
            # What was read on the way up may be old: each of them gets a full interval to be heard again.
            self._heard = {name: (now_s, bound_s, gone) for name, (_, bound_s, gone) in self._heard.items()}
        if self._caught_up_s is None or now_s - self._caught_up_s < GRACE_S:
            return None
        if self._workers is None or batch.records or now_s >= self._look_again_s:
            self._look_again_s = now_s + 0.25
            self._judge(now_s)
        return self._workers

    def close(self) -> None:
        """Stop reading."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()

    def _open(self) -> None:
        count = self._log.partitions(self._topic, ASK_TIMEOUT_S) or 0
        consumer = self._log.consumer(isolation="read_uncommitted", ends=True, queued_kbytes=4_096)
        try:
            places = [TopicPartition(self._topic, partition) for partition in range(count)]
            held = {each: consumer.range(each, ASK_TIMEOUT_S) for each in places}
            consumer.assign({each: bounds.start for each, bounds in held.items()})
        except LogError:
            consumer.close()
            raise
        self._consumer = consumer
        self._behind = {each: bounds.end for each, bounds in held.items() if bounds.end > bounds.start}

    def _caught_up(self, batch: Batch) -> bool:
        """Say whether everything is read that lay there at the beginning.

        An end is told only by a fetch that finds nothing more, and where many workers speak there is always more.
        """
        if self._behind:
            read = {TopicPartition(each.topic() or "", each.partition() or 0): each.offset() for each in batch.records}
            self._behind = {
                each: end
                for each, end in self._behind.items()
                if each not in batch.ends and (read.get(each) or 0) + 1 < end
            }
        return not self._behind

    def _hear(self, record: Record, now_s: float) -> None:
        key = record.key()
        try:
            text = key.decode() if isinstance(key, bytes) else str(key)
            if (cordoned := cordoned_worker(text)) is not None:
                # Such a worker is there, and nothing is to be run on it.
                (self._cordoned.discard if record.value() is None else self._cordoned.add)(cordoned)
                return
            name = check_worker_name(text)
            value = record.value()
            if value is None:
                self._heard.pop(name, None)
                return
            beat = orjson.loads(value)
            bound_s = min(600_000, int(beat["interval_ms"])) / 1_000 * SILENT_AFTER_BEATS + MARGIN_S
            leaving = bool(beat.get("stopping"))
        except (ValueError, KeyError, TypeError, AttributeError, InvalidRequest) as error:
            log.warning("projector.heartbeat_unreadable", offset=record.offset(), error=str(error))
            return
        if len(self._heard) < MAX_WORKERS or name in self._heard:
            self._heard[name] = (now_s, bound_s, leaving)

    def _judge(self, now_s: float) -> None:
        self._heard = {name: heard for name, heard in self._heard.items() if now_s - heard[0] < max(KEPT_S, heard[1])}
        present = {name: leaving for name, (at_s, bound_s, leaving) in self._heard.items() if now_s - at_s <= bound_s}
        live = frozenset(name for name, leaving in present.items() if not leaving and name not in self._cordoned)
        workers = Workers(frozenset(present), live)
        if workers != self._workers:
            self._workers = workers
