"""The vigil over channels: which of them are held, because nobody can or does speak for them.

A channel is HELD while its stream is known not to read (paused, failed, not started): what it said last is no news of
its source. It is SUSPECT when its stream runs and nobody has spoken for it for longer than three heartbeats. Both count
as ACTIVE, whatever was said last: unknown is never idle. SUSPECT is somebody's to look at, HELD is as it should be.

A stream that sleeps is neither: its source was seen to be silent, and it is woken as soon as that ends.

Pure: heartbeats and markers come in as "heard until", and seconds are of one steady clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from headgate_events.idleness.alignment import UNKNOWN_TOPIC, Alignment
from headgate_events.markers import ChannelId
from headgate_events.upstreams import Upstream

HoldReason = Literal["HELD", "SUSPECT"]


class Spoken(NamedTuple):
    """What the heartbeats say of a channel: until when it counts as heard, and by which claim it is idle, if it is.

    `heard_s` is when the heartbeat came.
    """

    until_s: float
    idle_claim: int | None = None
    heard_s: float = 0.0


def spoken_for(
    beats: Iterable[tuple[Mapping[str, Any], float, float]], streams: Mapping[str, int]
) -> dict[ChannelId, Spoken]:
    """Return what heartbeats say of the channels of these streams (name and incarnation), the newest of each.

    Each heartbeat comes with when it was heard and for how long it counts, in seconds. Channels that nobody named are
    absent.
    """
    found: dict[ChannelId, Spoken] = {}
    for beat, heard_s, lasts_s in beats:
        until_s = heard_s + lasts_s
        for task in beat.get("tasks") or ():
            if streams.get(task.get("stream", "")) != task.get("incarnation"):
                continue
            for each in task.get("channels") or ():
                channel = ChannelId(task["stream"], each["topic"], each["partition"])
                if channel not in found or until_s > found[channel].until_s:
                    claim = each["claim"] if each.get("status") == "IDLE" else None
                    found[channel] = Spoken(until_s, claim, heard_s)
    return found


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a channel counts as ACTIVE whatever it said: `because` is a sentence for people."""

    channel: ChannelId
    reason: HoldReason
    because: str


class Vigil:
    """Keeps since when each channel is waited for. Belongs to one thread."""

    def __init__(self, patience_s: float) -> None:
        """`patience_s` is how long three heartbeats last."""
        self.patience_s = patience_s
        self._heard_until_s: dict[ChannelId, float] = {}
        self._held: dict[ChannelId, Hold] = {}
        self._let_go_s: dict[ChannelId, float] = {}

    def heard(self, channel: ChannelId, now_s: float) -> None:
        """Note that somebody has just spoken for a channel."""
        self._heard_until_s[channel] = now_s + self.patience_s

    def holds(
        self, upstreams: Iterable[Upstream], now_s: float, spoken_for: Mapping[ChannelId, Spoken] | None = None
    ) -> dict[ChannelId, Hold]:
        """Return the channels that are held now. `spoken_for` is what the heartbeats say."""
        found: dict[ChannelId, Hold] = {}
        waited: dict[ChannelId, float] = {}
        for upstream in upstreams:
            if upstream.asleep:
                continue
            for each in upstream.channels or {ChannelId(upstream.stream, UNKNOWN_TOPIC, 0)}:
                if not upstream.runs:
                    found[each] = Hold(each, "HELD", f"{upstream.stream} is {upstream.status}")
                    continue
                until_s = self._heard_until_s.get(each, now_s + self.patience_s)
                if spoken_for is not None and (spoken := spoken_for.get(each)) is not None:
                    until_s = max(until_s, spoken.until_s)
                waited[each] = until_s
                if now_s > until_s:
                    found[each] = Hold(each, "SUSPECT", _unheard(each))
        self._heard_until_s = waited
        self._let_go_s = {each: at_s for each, at_s in self._let_go_s.items() if each in waited and each not in found}
        self._let_go_s |= dict.fromkeys(self._held.keys() - found.keys(), now_s)
        self._held = found
        return found

    def keep(
        self,
        alignment: Alignment[Any],
        upstreams: Collection[Upstream],
        now_s: float,
        spoken_for: Mapping[ChannelId, Spoken],
    ) -> dict[ChannelId, Hold]:
        """Hold in an alignment what has to be held, let the rest go, and return what is held."""
        holds = self.holds(upstreams, now_s, spoken_for)
        alignment.hold(holds.keys())
        runs = {each.stream: each.started_epoch for each in upstreams}
        for channel, claim in self.confirmed(spoken_for).items():
            alignment.confirm(channel, claim, runs.get(channel.stream, 0))
        return holds

    def confirmed(self, spoken_for: Mapping[ChannelId, Spoken]) -> dict[ChannelId, int]:
        """Return the channels that a heartbeat says are idle, with the claim by which they are.

        Of one that was held only what was said since counts: a heartbeat from before knows nothing of what came later.
        """
        return {
            each: spoken.idle_claim
            for each, spoken in spoken_for.items()
            if spoken.idle_claim is not None
            and each not in self._held
            and spoken.heard_s > self._let_go_s.get(each, float("-inf"))
        }


def _unheard(channel: ChannelId) -> str:
    if channel.topic == UNKNOWN_TOPIC:
        return f"nothing is known of the partitions that {channel.stream} reads"
    return f"no worker speaks for {channel.stream} {channel.topic}/{channel.partition}"
