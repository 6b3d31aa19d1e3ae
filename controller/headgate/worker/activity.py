"""A task's activity: what it says about its channels, and when it may say so.

One detector a channel judges emptiness (`headgate.core.idleness`); this unit adds what belongs to saying it. It never
talks to Kafka: the engine tells it what happened and gets back the markers to commit. The order is the promise:

- ACTIVE is committed before anything of the new phase is written. So `before_write` is asked first, with the records.
- FINISHED comes from `due` too, of a partition that came to the end of a bounded stream. It is said once, after ACTIVE
  where IDLE was said, and with the largest watermark: what is said on an idle channel would be lost (R16).
- IDLE and watermarks come from `due`. What was written before is committed first, and they are committed together with
  the positions, so that a worker that lost its partitions cannot say them any more.

Where other streams write the source, nothing is judged: what their markers say (`inheritance`) is handed to `due`.

After an assignment nothing has been said under the new claim, whatever a former owner said: the first record makes it
say ACTIVE, also where it would have been said before. Whatever fails is begun anew by an assignment under a new claim.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from headgate.core.idleness.detector import EmptinessDetector, Judgement, OpenTransactions
from headgate.core.idleness.emptiness import FetchEvidence, Judging, Situation
from headgate.core.idleness.event_time import EventTime, Reader, reader_of
from headgate.core.idleness.grace import GraceSettings
from headgate.core.idleness.watermark import WatermarkGenerator
from headgate.ports.destination import Token
from headgate.ports.log import Isolation, TopicPartition
from headgate.worker.accounts import partition_of
from headgate.worker.inheritance import UNHEARD, Inherited
from headgate_events.idleness.signals import MAX, MIN, Status
from headgate_events.records import Payload, Record
from headgate_events.schema.config import IdlenessConfig

POLL_INTERVAL_MS: Final = 100
LOOK_AGAIN_MS: Final = 1_000
"""How long after a look at the end that showed more to come the next one is made."""

EndOf = Callable[[TopicPartition], int | None]
"""Asks the broker for a partition's high watermark now; None when it does not tell."""


@dataclass(slots=True)
class _Channel:
    token: Token
    position: int
    detector: EmptinessDetector
    watermark: WatermarkGenerator
    said: Status | None = None
    since_ms: int | None = None
    seq: int = 0
    proof: dict[str, Any] | None = field(default=None)
    reason: str | None = None
    because: str | None = None
    ended: bool = False
    look_ms: int = 0
    high: int | None = None


class Activity:
    """What one task says about its channels. The task's thread owns it; all times are milliseconds of one clock.

    `isolation` is the one by which the source is read.
    """

    def __init__(self, stream: str, worker: str, config: IdlenessConfig, isolation: Isolation) -> None:
        self._stream = stream
        self._worker = worker
        self._config = config
        self._isolation: Isolation = isolation
        self._channels: dict[TopicPartition, _Channel] = {}
        self._silent: set[TopicPartition] = set()
        self._ending = False
        self._due_ms = 0
        self._shown: tuple[tuple[dict[str, Any], _Channel], ...] = ()
        self.quiet = True
        """Whether every channel is said IDLE or FINISHED: only a record or a new owner brings something to say then."""
        self._reader = _reader_for(config)
        self._by_timestamp = _by_timestamp(config)
        self._only_topic: str | None = None

    @property
    def late(self) -> int:
        """How many records came after a watermark had passed them, on the channels held now."""
        return sum(each.watermark.late for each in self._channels.values())

    def assigned(
        self,
        tokens: Mapping[TopicPartition, Token],
        positions: Mapping[TopicPartition, int],
        seeds: Mapping[TopicPartition, int] | None = None,
    ) -> None:
        """Take channels on under new claims, with the positions where they begin.

        `seeds` are the watermarks of their former owners, so that none goes back; their status has to be found anew.
        """
        disorder_ms, grace = _disorder_ms(self._config), _grace_for(self._config)
        transactions = _transactions_for(self._config)
        for each, token in tokens.items():
            self._channels[each] = _Channel(
                token=token,
                position=positions[each],
                detector=EmptinessDetector(Judging(isolation=self._isolation), grace, transactions),
                watermark=WatermarkGenerator(disorder_ms, (seeds or {}).get(each, MIN)),
            )
            self._silent.add(each)
        self._note_topics()
        self._show()

    def passed(self, place: TopicPartition, position: int) -> None:
        """Note that a channel's position moved over markers of ours: they are no data, and wake nothing (D2)."""
        if (channel := self._channels.get(place)) is not None:
            channel.position = max(channel.position, position)
            channel.detector.marker_passed(position)

    def repeat(self, kind: str, now_ms: int) -> list[Payload]:
        """Return what holds of each channel, for whoever was not there when it was said."""
        said = [(place, each) for place, each in self._channels.items() if each.said is not None]
        return [self._payload(place, channel, kind, now_ms) for place, channel in said]

    def event_times(self) -> dict[TopicPartition, int]:
        """Return how far the event time of each channel has come, for its heir; absent where nothing is known."""
        return {place: at for place, each in self._channels.items() if (at := each.watermark.reached) != MIN}

    def take_on(self, config: IdlenessConfig) -> None:
        """Go on by other settings. What was said stays said, and what is known of the ends is still known.

        A reader meets each end once, so a channel that forgot its own would stay ACTIVE until new data comes.
        """
        rules_changed = config.event_time != self._config.event_time
        self._config = config
        self._reader = _reader_for(config)
        self._by_timestamp = _by_timestamp(config)
        for channel in self._channels.values():
            channel.detector.take_on(_grace_for(config), _transactions_for(config))
            if rules_changed:
                channel.watermark = WatermarkGenerator(_disorder_ms(config), channel.watermark.announced)

    def reached(self) -> dict[TopicPartition, int]:
        """Return how far each channel was read: past its last record, or to the end that was met after it."""
        return {place: _read_to(channel) for place, channel in self._channels.items()}

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Let channels go that were revoked or lost: nothing is said, for their status is their heir's to say."""
        for each in partitions:
            self._channels.pop(each, None)
            self._silent.discard(each)
        self._note_topics()
        self._show()

    def read_again(self) -> None:
        """Note that reading goes on after a pause: what was known of the ends has to be shown again."""
        for each in self._channels.values():
            each.detector.resumed()

    def stands(self, place: TopicPartition) -> None:
        """Note that a channel stands in front of a record that cannot be processed: it has something left to read."""
        if (channel := self._channels.get(place)) is not None:
            channel.detector.resumed()

    def before_write(self, records: Sequence[Record], now_ms: int) -> list[Payload]:
        """Return the ACTIVE markers that must be committed before any of these records is written."""
        if not self._silent or not records:
            return []
        woken = {place for place, _ in self._runs(records) if place in self._silent}
        markers = []
        for place in sorted(woken):
            channel = self._channels[place]
            channel.detector.record_fetched(channel.position + 1, now_ms)
            channel.proof = None
            markers.append(self._say(place, channel, Status.ACTIVE, "RESUMED", now_ms))
        return markers

    def moved(
        self,
        records: Sequence[Record],
        positions: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        now_ms: int,
    ) -> None:
        """Take a batch on that was written: its event times, where each partition stands now, and which ends it met."""
        if self._reader is not None:
            self._observe(records)
        if records:
            for place, channel in self._channels.items():
                position = positions.get(place, channel.position)
                if position > channel.position:
                    channel.position = position
                    channel.detector.record_fetched(position, now_ms)
        for place, end in ends.items():
            if (known := self._channels.get(place)) is not None:
                known.detector.fetch_answered(FetchEvidence(end, end, end, now_ms))

    def ended(self, ends: Mapping[TopicPartition, int], now_ms: int) -> None:
        """Note that these channels came to their end for good, and stand there: `due` says so, unless it was said."""
        for place, end in ends.items():
            channel = self._channels.get(place)
            if channel is not None and channel.said is not Status.FINISHED:
                channel.position, channel.ended = end, True
                channel.proof = self._proof(end, end, None, now_ms)
                self._ending, self.quiet = True, False
                self._silent.discard(place)

    def _finishing(self, in_flight: Collection[TopicPartition], now_ms: int) -> list[Payload]:
        """Return the end of each channel that has come to it, with nothing of it in flight."""
        markers = []
        for place, channel in self._channels.items():
            if not channel.ended or place in in_flight or channel.said is Status.FINISHED:
                continue
            markers += self._finish(place, channel, now_ms)
        self._ending = any(each.ended and each.said is not Status.FINISHED for each in self._channels.values())
        return markers

    def _finish(self, place: TopicPartition, channel: _Channel, now_ms: int) -> list[Payload]:
        """Say that a channel has ended, and ACTIVE before it where IDLE was said."""
        markers = []
        if channel.said is Status.IDLE:
            proof, channel.proof = channel.proof, None
            markers.append(self._say(place, channel, Status.ACTIVE, "RESUMED", now_ms))
            channel.proof = proof
        if self._reader is not None or channel.watermark.announced != MIN:
            channel.watermark.finish()
        channel.said, channel.since_ms, channel.reason = Status.FINISHED, now_ms, "FINISHED"
        markers.append(self._payload(place, channel, "FINISH", now_ms))
        self._show()
        return markers

    def due(
        self,
        now_ms: int,
        in_flight: Collection[TopicPartition],
        high_of: EndOf,
        stable_of: EndOf | None = None,
        *,
        seen_high: EndOf | None = None,
        inherited: Mapping[TopicPartition, Inherited] | None = None,
    ) -> list[Payload]:
        """Return the IDLE and watermark markers to commit now, after everything that was written before.

        Ask after each answered poll. Channels `in_flight` have records that are not committed yet.
        Each IDLE is checked against the broker once more: an end beyond the one that the reader met means records to
        come, or an open transaction that may bring some. An answer that does not come means no IDLE. Where the stream
        lets an open transaction go after its cap, `stable_of` tells the one from the other: the last stable offset.

        `seen_high` tells without asking how far the last fetch of a partition saw it go. Beyond the end that was met it
        means a transaction that has opened there, so the channel is not idle any more.

        `inherited` is what the markers say where other streams write the source, and None where none does. With it an
        end that was met proves nothing, since those streams may be busy and filter everything out. A channel of which
        nothing is inherited yet is ACTIVE.
        """
        markers = self._finishing(in_flight, now_ms) if self._ending else []
        # What is in flight will be committed in a moment: a watermark waits for that instead of asking for a commit.
        late_enough = now_ms >= self._due_ms and not in_flight
        for place, channel in self._channels.items():
            if channel.ended:
                continue
            if inherited is not None:
                one = inherited.get(place, UNHEARD)
                markers += self._inherit(place, channel, one, now_ms, place in in_flight, high_of, late_enough)
                continue
            high = self._newest_high(place, channel, seen_high)
            judgement = channel.detector.step(now_ms, self._situation(channel, now_ms, place in in_flight, high))
            if judgement is not None and judgement.status is Status.IDLE and channel.said is not Status.IDLE:
                if (marker := self._idle(place, channel, judgement, now_ms, high_of, stable_of)) is not None:
                    markers.append(marker)
            elif judgement is not None and judgement.status is Status.ACTIVE and channel.said is Status.IDLE:
                channel.proof = None
                markers.append(self._say(place, channel, Status.ACTIVE, judgement.cause.value, now_ms))
            elif self._reader is None or not late_enough or channel.said is not Status.ACTIVE:
                continue
            elif channel.watermark.due() is not None:
                markers.append(self._payload(place, channel, "WATERMARK", now_ms))
        if late_enough:
            self._due_ms = now_ms + self._config.watermark_interval_ms
        return markers

    def beat(self) -> tuple[dict[str, Any], ...]:
        """Return the channels for a heartbeat: what was said last, and how far each was read by now.

        Any thread may ask.
        """
        return tuple({**told, "position": _read_to(channel)} for told, channel in self._shown)

    def _inherit(
        self,
        place: TopicPartition,
        channel: _Channel,
        one: Inherited,
        now_ms: int,
        in_flight: bool,
        high_of: EndOf,
        late_enough: bool,
    ) -> list[Payload]:
        """Say what the streams before say, ACTIVE at once, and the others once nothing is in flight."""
        if channel.said is not Status.ACTIVE and (one.status is Status.ACTIVE or one.woke):
            self._judge_anew(channel, now_ms)
            channel.proof, channel.because, channel.look_ms = None, one.because, 0
            reason = one.reason if one.status is Status.ACTIVE else "UPSTREAM"
            return [self._say(place, channel, Status.ACTIVE, reason, now_ms)]
        if one.status is Status.ACTIVE:
            self._explain(channel, one)
            if late_enough and self._moved_on(channel, one):
                return [self._payload(place, channel, "WATERMARK", now_ms)]
            return []
        if channel.said is one.status or in_flight or channel.position > one.position or now_ms < channel.look_ms:
            return []
        channel.look_ms = now_ms + LOOK_AGAIN_MS
        high = high_of(place)
        if high is None or high > one.position:
            return []  # somebody else's records are to come, or nobody knows
        self._judge_anew(channel, now_ms)
        channel.proof, channel.because = self._proof(one.position, one.position, high, now_ms), None
        self._moved_on(channel, one)
        if one.status is Status.FINISHED:
            finished = self._finish(place, channel, now_ms)
            self._silent.add(place)  # should a record come all the same
            return finished
        self._silent.add(place)
        return [self._say(place, channel, Status.IDLE, one.reason, now_ms)]

    def _moved_on(self, channel: _Channel, one: Inherited) -> bool:
        """Take the watermark on that is to be announced now: the records' own where the stream names an event time."""
        if self._reader is not None:
            return channel.watermark.due() is not None
        return one.watermark < MAX and channel.watermark.inherit(one.watermark) is not None

    def _explain(self, channel: _Channel, one: Inherited) -> None:
        if (channel.reason, channel.because) != (one.reason, one.because):
            channel.reason, channel.because = one.reason, one.because
            self._show()

    @staticmethod
    def _judge_anew(channel: _Channel, now_ms: int) -> None:
        """Begin the grace anew, should the channel become ours to judge. What is known of its end is kept."""
        evidence = channel.detector.evidence
        channel.detector.record_fetched(channel.position, now_ms)
        if evidence is not None:
            channel.detector.fetch_answered(evidence)

    def _idle(
        self,
        place: TopicPartition,
        channel: _Channel,
        judgement: Judgement,
        now_ms: int,
        high_of: EndOf,
        stable_of: EndOf | None,
    ) -> Payload | None:
        evidence = judgement.evidence
        assert evidence is not None, "no IDLE without evidence"
        high, reason = high_of(place), "EMPTY"
        if high is not None and high > evidence.position and self._only_a_transaction(place, evidence, stable_of):
            if not judgement.alert:
                # Back to ACTIVE, knowing what holds it: the detector counts how long, and lets it go past the cap.
                channel.detector.end_listed(evidence.position + 1, now_ms)
                channel.detector.fetch_answered(FetchEvidence(evidence.position, evidence.position, high, now_ms))
                return None
            reason = "OPEN_TXN"
        elif high is None or high > evidence.position:
            # Back to ACTIVE, until the reader meets an end again: unknown is never idle.
            channel.detector.end_listed(evidence.position + 1, now_ms)
            if high is None:
                # A reader meets each end once, so what it met is kept, and the broker is asked again after the grace.
                channel.detector.fetch_answered(evidence)
            return None
        channel.proof = self._proof(evidence.position, evidence.position, high, evidence.at_ms)
        channel.watermark.due()
        self._silent.add(place)
        return self._say(place, channel, Status.IDLE, reason, now_ms)

    def _only_a_transaction(self, place: TopicPartition, evidence: FetchEvidence, stable_of: EndOf | None) -> bool:
        """Say whether nothing but an open transaction stands behind the position, where the stream lets those go."""
        ignored = self._config.open_txn == "ignore" and self._isolation == "read_committed" and stable_of is not None
        return ignored and stable_of is not None and stable_of(place) == evidence.position

    def _proof(self, position: int, end: int, high: int | None, at_ms: int) -> dict[str, Any]:
        return {
            "position": position,
            "end": end,
            "high": high,
            "fetched_at_ms": at_ms,
            "isolation": self._isolation,
        }

    def _observe(self, records: Sequence[Record]) -> None:
        """Take the event times of a batch on: the hot path, so by runs of one partition, and no more than is needed."""
        assert self._reader is not None
        reader = self._reader
        for place, run in self._runs(records):
            channel = self._channels.get(place)
            if channel is None:
                continue
            times: list[int]
            if self._by_timestamp:
                times = read = [record.timestamp()[1] for record in run]
                if min(read) < 0:  # what Kafka says of a record without a timestamp
                    times = [each for each in read if each >= 0]
            else:
                read = [reader(None, record.headers(), record.value()) for record in run]
                times = [each for each in read if each is not None]
            channel.watermark.observe_all(times, len(read) - len(times))

    def _runs(self, records: Sequence[Record]) -> Iterator[tuple[TopicPartition, Iterator[Record]]]:
        """Yield records that follow one another in a batch and are of one partition, with that partition."""
        if not records:
            return
        if self._only_topic is None:
            yield from groupby(records, partition_of)
            return
        for number, run in groupby(records, type(records[0]).partition):  # a function in C, called from C
            yield TopicPartition(self._only_topic, number or 0), run

    def _newest_high(self, place: TopicPartition, channel: _Channel, seen_high: EndOf | None) -> int | None:
        """Return what the look before this one saw: records that came with it have been read since then."""
        if seen_high is None or channel.detector.evidence is None:
            channel.high = None
            return None
        before, channel.high = channel.high, seen_high(place)
        return before

    def _situation(self, channel: _Channel, now_ms: int, in_flight: bool, high: int | None) -> Situation:
        return Situation(
            assigned=channel.token,
            current=channel.token,
            start=channel.position,
            paused=False,
            polled_at_ms=now_ms,
            connected=True,  # a poll that finds no broker raises, and then nobody asks
            buffered=0,
            in_flight=int(in_flight),
            high=high,
        )

    def _say(self, place: TopicPartition, channel: _Channel, status: Status, reason: str, now_ms: int) -> Payload:
        channel.said, channel.since_ms, channel.reason = status, now_ms, reason
        if status is Status.ACTIVE:
            self._silent.discard(place)
        payload = self._payload(place, channel, "STATUS", now_ms)
        self._show()
        return payload

    def _payload(self, place: TopicPartition, channel: _Channel, kind: str, now_ms: int) -> Payload:
        channel.seq += 1
        announced = channel.watermark.announced
        return {
            "kind": "marker",
            "marker": kind,
            "stream": self._stream,
            "channel": {"topic": place.topic, "partition": place.partition},
            "status": None if channel.said is None else channel.said.value,
            "watermark": None if announced == MIN else announced,
            "reason": channel.reason,
            "incarnation": channel.token.incarnation,
            "epoch": channel.token.epoch,
            "claim": channel.token.claim,
            "seq": channel.seq,
            "worker": self._worker,
            "evidence": channel.proof,
            "emitted_at_ms": now_ms,
            "since_ms": channel.since_ms,
        }

    def _note_topics(self) -> None:
        topics = {place.topic for place in self._channels}
        self._only_topic = topics.pop() if len(topics) == 1 else None

    def _show(self) -> None:
        self._shown = tuple((self._beat_of(place, channel), channel) for place, channel in self._channels.items())
        self.quiet = all(each.said in (Status.IDLE, Status.FINISHED) for each in self._channels.values())

    def _beat_of(self, place: TopicPartition, channel: _Channel) -> dict[str, Any]:
        proof = channel.proof or {}
        announced = channel.watermark.announced
        return {
            "topic": place.topic,
            "partition": place.partition,
            "status": None if channel.said is None else channel.said.value,
            "since_ms": channel.since_ms,
            "watermark": None if announced == MIN else announced,
            "claim": channel.token.claim,
            "end": proof.get("end"),
            "fetched_at_ms": proof.get("fetched_at_ms"),
            "reason": channel.reason,
            "because": channel.because,
        }


def _read_to(channel: _Channel) -> int:
    """Return the position past a channel's last record, or the end that was met after it."""
    evidence = channel.detector.evidence
    return channel.position if evidence is None else max(channel.position, evidence.position)


def _reader_for(config: IdlenessConfig) -> Reader | None:
    event_time = config.event_time
    if event_time is None:
        return None
    return reader_of(EventTime(event_time.source, event_time.place, event_time.unit))


def _disorder_ms(config: IdlenessConfig) -> int:
    return 0 if config.event_time is None else config.event_time.max_out_of_orderness_ms


def _grace_for(config: IdlenessConfig) -> GraceSettings:
    grace_ms = round(config.idle_after_s * 1000)
    return GraceSettings(grace_ms=grace_ms, poll_interval_ms=POLL_INTERVAL_MS, damping=config.flap_damping)


def _transactions_for(config: IdlenessConfig) -> OpenTransactions:
    return OpenTransactions(config.open_txn, round(config.open_txn_cap_s * 1000))


def _by_timestamp(config: IdlenessConfig) -> bool:
    return config.event_time is not None and config.event_time.source == "timestamp"
