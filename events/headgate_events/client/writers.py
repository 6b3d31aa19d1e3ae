"""Writers: the streams that write a topic, and all that is said of their channels, for whoever reads that topic.

Three topics are read beside it: states say who writes it, markers what they say, heartbeats who speaks for them. What
they say goes into an `Alignment`, which puts it among the records. Before any of it may come out, each marker has to be
there that stood there when it was fetched; so `look` is called for each record, and for each partition that begins. One
that begins at its end has no record that would wait, and an old IDLE must not pass there for the newest.
"""

from __future__ import annotations

import time
from typing import Any, Final

import orjson

from headgate_events.client.kafka import LOGGER, POLL_S, Settings
from headgate_events.client.markers_topic import KafkaMarkersTopic
from headgate_events.client.reader import TopicReader
from headgate_events.client.spoken import Speakers
from headgate_events.idleness.alignment import Alignment
from headgate_events.idleness.vigil import Hold, Vigil
from headgate_events.marker_feed import MarkerFeed
from headgate_events.markers import ChannelId, channel_of
from headgate_events.names import is_stream_name
from headgate_events.records import Record
from headgate_events.topics import Topics
from headgate_events.upstreams import Upstream, Upstreams

START_S: Final = 60.0
VIGIL_EVERY_S: Final = 0.5
PATIENCE_S: Final = 6.0
"""What three heartbeats last, as long as none was heard."""


class Writers:
    """Keeps an alignment of `topic` told. Belongs to one thread; raises what `client.kafka` raises."""

    def __init__(
        self, bootstrap_servers: str, topics: Topics, topic: str, alignment: Alignment[Any], kafka: Settings | None
    ) -> None:
        self._topic = topic
        self._alignment = alignment
        self._states = TopicReader(bootstrap_servers, topics.state, kafka)
        self._heartbeats = TopicReader(bootstrap_servers, topics.heartbeats, kafka)
        self._markers = KafkaMarkersTopic(bootstrap_servers, topics.markers, kafka)
        self._feed = MarkerFeed(self._markers)
        self._upstreams = Upstreams()
        self._speakers = Speakers()
        self._vigil = Vigil(PATIENCE_S)
        self._holds: dict[ChannelId, Hold] = {}
        self._known: tuple[Upstream, ...] = ()
        self._version = -1
        self._started = False
        self._looked = False
        self._vigil_s = float("-inf")

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams that write the topic, as last read."""
        return tuple(each.stream for each in self._known)

    @property
    def holds(self) -> tuple[Hold, ...]:
        """The channels that are HELD or SUSPECT, and why."""
        return tuple(self._holds[each] for each in sorted(self._holds))

    def start(self) -> None:
        """Learn who writes the topic, and who speaks for them, as it stands at the first call."""
        if self._started:
            return
        deadline_s = time.monotonic() + START_S
        for reader, note in ((self._states, self._note_state), (self._heartbeats, self._note_beat)):
            reader.start(dict.fromkeys(range(reader.partitions(START_S))))
            for batch in reader.to_now(max(0.0, deadline_s - time.monotonic())):
                for record in batch:
                    note(record)
        self._started = True

    def follow(self) -> None:
        """Take on what changed: who writes, whom to follow, who is held."""
        for record in self._states.poll():
            self._note_state(record)
        for record in self._heartbeats.poll():
            self._note_beat(record)
        if self._upstreams.version != self._version:
            self._know_writers()
        self._feed.follow(self._alignment.streams)
        self._take_markers(0.0)
        now_s = time.monotonic()
        if now_s >= self._vigil_s:
            self._vigil_s = now_s + VIGIL_EVERY_S
            self._keep_vigil(now_s)

    def look(self) -> None:
        """Ask for more from now on: a record came, or a partition begins."""
        self._looked = False

    def is_up_to_date(self, deadline_s: float) -> bool:
        """Say whether each marker was taken that stood there at the last `look`; wait for them until `deadline_s`."""
        if not self._looked or not self._feed.looked:
            self._feed.look()
            self._looked = True
        while not self._feed.up_to_date and time.monotonic() < deadline_s:
            self._take_markers(min(POLL_S, max(0.0, deadline_s - time.monotonic())))
        return self._feed.up_to_date

    def close(self) -> None:
        """Let go of all clients."""
        self._states.close()
        self._heartbeats.close()
        self._feed.close()

    def _note_state(self, record: Record) -> None:
        key, value = record.key(), record.value()
        name = key.decode(errors="replace") if isinstance(key, bytes) else ""
        if not is_stream_name(name):
            return
        try:
            self._upstreams.note(name, None if value is None else orjson.loads(value))
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            LOGGER.warning("the state of %s cannot be read: %r", name, error)

    def _note_beat(self, record: Record) -> None:
        self._speakers.take(record, time.monotonic(), round(time.time() * 1000), caught_up=self._started)

    def _know_writers(self) -> None:
        names = self._upstreams.of({"kind": "kafka", "topic": self._topic})
        writers = tuple(found for name in sorted(names) if (found := self._upstreams.get(name)) is not None)
        gone = set(self._alignment.streams) - names
        fewer = any(
            each.channels is not None and set(self._alignment.channels(each.stream)) - each.channels for each in writers
        )
        ends = self._markers.ends_of(self._topic, self._alignment.partitions) if gone or fewer else None
        for name in gone:
            self._alignment.end(name, ends or {})
        for each in writers:
            self._alignment.expect(each.stream, each.incarnation, each.channels, ends)
        self._known = writers
        self._version = self._upstreams.version
        self._vigil_s = float("-inf")

    def _keep_vigil(self, now_s: float) -> None:
        spoken_for = self._speakers.spoken_for({each.stream: each.incarnation for each in self._known})
        self._vigil.patience_s = self._speakers.patience_s or PATIENCE_S
        self._holds = self._vigil.keep(self._alignment, self._known, now_s, spoken_for)

    def _take_markers(self, wait_s: float) -> None:
        for marker in self._feed.take(wait_s):
            self._alignment.take(marker)
            self._vigil.heard(channel_of(marker), time.monotonic())
