"""Marking: a task's markers on their way to Kafka, and the questions that they need answered there.

Where the destination has a transaction of the source's cluster, markers go into one, together with the positions of
their channels: the broker then refuses both from a worker that was replaced. Elsewhere the positions are committed by
the source first, which fences in the same way, and the markers are written when that has succeeded.

A marker that a reader of the destination may act on carries the ends of the destination's partitions, asked for after
what it covers was committed: an upper bound that costs a round trip only when a marker is due.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from headgate.ports.destination import Destination, TakesAside, Token
from headgate.ports.errors import LogError
from headgate.ports.log import Clock, Committed, Isolation, Log, LogConsumer, LogProducer, TopicPartition
from headgate.ports.source import SeesHigh, SourceReader
from headgate.worker.activity import Activity, EndOf
from headgate.worker.claims import partitions_of
from headgate.worker.in_band import REPEAT, InBand
from headgate.worker.inheritance import Inheritance, Inherited
from headgate.worker.markers_topic import MarkersOfLog
from headgate.worker.pipeline import Pipeline
from headgate_events.marker_feed import MarkerFeed
from headgate_events.markers import MarkerRecord, marker_record
from headgate_events.records import Payload
from headgate_events.schema.config import IdlenessConfig
from headgate_events.topics import Topics

REQUEST_S: Final = 10.0
ASK_S: Final = 2.0
"""How long the questions before an IDLE may take, of all channels together: whoever gives orders waits for them."""
FLUSH_S: Final = 20.0

logger = structlog.get_logger("headgate.worker")


class Marking:
    """The markers of one task, whose thread owns it. `reader` and `destination` are the task's, open."""

    def __init__(self, pipeline: Pipeline, clock: Clock, reader: SourceReader, destination: Destination) -> None:
        context = pipeline.context
        self._log: Log = context.log
        self._clock = clock
        self._reader = reader
        self._seen_high: EndOf | None = reader.seen_high if isinstance(reader, SeesHigh) else None
        self._destination = destination
        self._topics = Topics(pipeline.namespace)
        self._stream = context.stream
        self._worker = context.worker
        self._isolation: Isolation = getattr(pipeline.source_settings, "isolation", "read_committed")
        self._covered = _topic_of(pipeline)
        self._upstreams = pipeline.upstreams
        self._source = pipeline.config.source.model_dump()
        self._config: IdlenessConfig = pipeline.config.idleness
        self.activity = Activity(self._stream, self._worker, self._config, self._isolation)
        self._in_band: InBand | None = None
        self._put_in_band()
        self._places: dict[str, int] = {}
        self._asker: LogConsumer | None = None
        self._producer: LogProducer | None = None
        self._ask_until_s = 0.0
        self._patience_s = pipeline.patience_s
        self._inheritance: Inheritance | None = None
        self._offset_ms = clock.now_ms() - round(clock.monotonic_s() * 1000)

    def now_ms(self) -> int:
        """Return the time by a clock that never goes back, as epoch milliseconds."""
        return self._offset_ms + round(self._clock.monotonic_s() * 1000)

    def take_on(self, config: IdlenessConfig) -> None:
        """Go on by other settings."""
        if config != self._config:
            self._config = config
            self._put_in_band()
            self.activity.take_on(config)

    def assigned(
        self,
        tokens: Mapping[TopicPartition, Token],
        positions: Mapping[TopicPartition, int],
        seeds: Mapping[TopicPartition, int],
    ) -> None:
        """Take channels on that were claimed, with the watermarks of their former owners."""
        self.activity.assigned(tokens, positions, seeds)
        if self._inheritance is not None:
            self._inheritance.begin({each: positions[each] for each in tokens})

    def due(self, in_flight: set[TopicPartition]) -> list[Payload]:
        """Return what may be said now."""
        self._ask_until_s = self._clock.monotonic_s() + ASK_S
        due = self.activity.due(
            self.now_ms(),
            in_flight,
            self._high,
            self._stable,
            seen_high=self._seen_high,
            inherited=self._inherited(),
        )
        if self._in_band is not None and self._in_band.grown(self.now_ms()):
            due += self.activity.repeat(REPEAT, self.now_ms())
        return due

    @property
    def inherits(self) -> bool:
        """Whether other streams write the source, so that their markers are to be heard at any moment."""
        return self._inheritance is not None

    def _inherited(self) -> Mapping[TopicPartition, Inherited] | None:
        """Return what is inherited; None where nobody else writes the source."""
        if not self._upstreams.of(self._source):
            if self._inheritance is not None:
                self._inheritance.close()
                self._inheritance = None
            return None
        reached = self.activity.reached()
        if self._inheritance is None:
            feed = MarkerFeed(MarkersOfLog(self._log, self._topics.markers))
            topic = str(self._source["topic"])
            flush = self._config.flush_on_all_idle == "max"
            self._inheritance = Inheritance(topic, feed, self._upstreams, self._patience_s, flush_on_all_idle=flush)
            self._inheritance.begin(reached)

        def ends() -> dict[int, int] | None:
            found = {each.partition: self._high(each) for each in reached}
            known = {each: end for each, end in found.items() if end is not None}
            return known if len(known) == len(found) else None

        return self._inheritance.step(self._source, reached, self._clock.monotonic_s(), ends)

    def say(
        self, markers: Sequence[Payload], positions: Mapping[TopicPartition, Committed], channels_total: int | None
    ) -> None:
        """Commit markers, with the positions of their channels. Raises LogError; then all begins anew.

        `channels_total` is how many partitions the source has, None where that is not known.
        """
        for each in markers:
            each["channels_total"] = channels_total
            if self._config.flush_on_all_idle != "max":
                each["flush_on_all_idle"] = self._config.flush_on_all_idle
        beside = [each for each in markers if each["marker"] != REPEAT]
        waits = [each for each in beside if each["status"] != "ACTIVE" or each["marker"] != "STATUS"]
        if waits and (covers := self._destination_ends()):
            for each in waits:
                each.update(covers)
        if self._config.event_time is None or self.activity.quiet:
            self._rest()
        records = [] if self._in_band is None else self._in_band.records(markers)
        records += [record for marker in beside for record in self._records(marker)]
        if isinstance(self._destination, TakesAside):
            for record in records:
                self._destination.aside(
                    record.topic, record.value, record.key, record.headers, record.partition, record.timestamp_ms
                )
            self._destination.commit(positions, self._reader.proof())
        else:
            if waits:
                self._reader.commit(positions)
            self._append(records)
        for each in beside:
            if each["status"] == "IDLE" and each["reason"] == "OPEN_TXN":
                logger.warning(
                    "IDLE is said although a transaction stands open, for longer than the stream's cap: what it still"
                    " commits may be late",
                    action="task.open_transaction_ignored",
                    stream=self._stream,
                    partition=each["channel"]["partition"],
                    position=each["evidence"]["position"],
                    high=each["evidence"]["high"],
                )
            if each["marker"] != "WATERMARK":
                logger.info(
                    "activity",
                    action="task.activity",
                    stream=self._stream,
                    partition=each["channel"]["partition"],
                    status=each["status"],
                )

    def close(self) -> None:
        """Let go of the clients."""
        self._rest()
        inheritance, self._inheritance = self._inheritance, None
        if inheritance is not None:
            inheritance.close()
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()

    def _put_in_band(self) -> None:
        if self._config.markers != "in_band" or self._covered is None:
            self._in_band = None
        elif self._in_band is None:
            self._in_band = InBand(self._log, self._covered)

    def _append(self, records: Sequence[MarkerRecord]) -> None:
        if self._producer is None:
            self._producer = self._log.producer()
        for record in records:
            self._producer.produce(
                record.topic, record.value, record.key, record.headers, record.partition, record.timestamp_ms
            )
        self._producer.flush(FLUSH_S)

    def _records(self, marker: Payload) -> list[MarkerRecord]:
        topics = [self._topics.markers]
        if marker["marker"] != "WATERMARK":
            topics.append(self._topics.edges)
        return [marker_record(topic, self._places_of(topic), marker) for topic in topics]

    def _places_of(self, topic: str) -> int:
        if topic not in self._places:
            self._places[topic] = partitions_of(self._log, topic)
        return self._places[topic]

    def _high(self, place: TopicPartition) -> int | None:
        """Ask the source's cluster for a high watermark, past the last stable offset, for as long as time is left."""
        left_s = self._ask_until_s - self._clock.monotonic_s()
        if left_s <= 0:
            return None
        try:
            return self._ready().range(place, left_s).end
        except LogError:
            return None

    def _stable(self, place: TopicPartition) -> int | None:
        """Ask the source's cluster for a partition's last stable offset: where its committed records end."""
        asker = self._log.consumer(isolation="read_committed")
        try:
            return asker.range(place, ASK_S).end
        except LogError:
            return None
        finally:
            asker.close()

    def _destination_ends(self) -> dict[str, Any]:
        topic = self._covered
        if topic is None:
            return {}
        count = self._log.partitions(topic, REQUEST_S) or 0
        asker = self._ready()
        try:
            ends = asker.ends([TopicPartition(topic, each) for each in range(count)], REQUEST_S)
        except LogError:
            self._rest()  # what it knew of leaders may be of the past
            raise
        return {"dest_topic": topic, "dest_offsets": {str(each.partition): end for each, end in sorted(ends.items())}}

    def _ready(self) -> LogConsumer:
        if self._asker is None:
            self._asker = self._log.consumer(isolation="read_uncommitted")
        return self._asker

    def _rest(self) -> None:
        """Let the client go that asks: edges are rare (watermarks are not), and an idle stream is to cost little."""
        asker, self._asker = self._asker, None
        if asker is not None:
            asker.close()


def announced_in(markers: Sequence[Payload]) -> set[TopicPartition]:
    """Return the channels of which these markers announce a watermark: all but those that wake alone."""
    return {
        TopicPartition(each["channel"]["topic"], each["channel"]["partition"])
        for each in markers
        if each["status"] != "ACTIVE" or each["marker"] != "STATUS"
    }


def marks(pipeline: Pipeline) -> bool:
    """Say whether a stream sends markers: those of a Kafka topic that is no other stream's business, unless off."""
    return pipeline.config.source.kind == "kafka" and pipeline.config.idleness.markers != "off"


def _topic_of(pipeline: Pipeline) -> str | None:
    """Return the destination's topic on the source's cluster, or None where there is none."""
    settings = pipeline.destination_settings
    if pipeline.config.destination.kind != "kafka" or getattr(settings, "connection", None) is not None:
        return None
    topic: str | None = getattr(settings, "topic", None)
    return topic
