"""The checks of the demo that look at more than one number, each shown as lines with their results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from headgate.demo.checker import Arrival, Bounds, Findings, Verdict, check_destination
from headgate.demo.flights import AIRPORTS, Flight
from headgate.demo.scene import STREAM, Scene
from headgate.demo.view import View
from headgate_events.client.channels import ActivityEdge
from headgate_events.client.history import HistoryReader
from headgate_events.client.sequence import Entry
from headgate_events.idleness.signals import Status
from headgate_events.schema.common import Receipt
from headgate_events.schema.history import Transition
from headgate_events.schema.state import StreamState

READ_TIMEOUT_S: Final = 60.0
HISTORY_TIMEOUT_S: Final = 30.0
ACTIVITY_TIMEOUT_S: Final = 30.0
VERIFY_TIMEOUT_S: Final = 60.0
WORKERS_WORK: Final = frozenset({"source-listed", "partition-drained", "task-started", "task-stopped"})
"""Kinds of transitions that only workers cause; they are counted and not listed."""


def receipts_of(state: StreamState, source: str) -> Mapping[int, Receipt]:
    """Return the receipts of the last drain, by partition of the source."""
    found = state.drain.receipts.get(source, {}) if state.drain else {}
    return {int(partition): receipt for partition, receipt in sorted(found.items(), key=lambda item: int(item[0]))}


def check_receipts(view: View, scene: Scene, state: StreamState) -> None:
    """Show the receipts of a drain and compare them with what lies in the destination, which is one for one."""
    receipts = receipts_of(state, scene.source)
    for partition, receipt in receipts.items():
        view.detail(
            f"{AIRPORTS[partition]}: {receipt.worker} read {receipt.start:,} up to {receipt.end:,} "
            f"({receipt.read:,} read, {receipt.written:,} written)"
        )
    view.check(
        set(receipts) == set(range(len(AIRPORTS))),
        f"there is a receipt for each of the {len(AIRPORTS)} partitions",
    )
    arrived = list(scene.watch.arrived)
    view.check(
        all(receipt.end == arrived[partition] for partition, receipt in receipts.items()),
        f"the destination holds exactly what the receipts say ({' + '.join(f'{count:,}' for count in arrived)})",
    )
    waiting = [
        end - receipts[partition].end
        for partition, end in enumerate(scene.cluster.ends(scene.source, len(AIRPORTS)))
        if partition in receipts
    ]
    view.check(
        all(count > 0 for count in waiting),
        f"it was paused in the middle: {' + '.join(f'{count:,}' for count in waiting)} departures wait already",
    )


def all_idle(scene: Scene) -> bool:
    """Whether the workers have said IDLE of every airport, and so of the stream as a whole."""
    scene.activity.refresh(ACTIVITY_TIMEOUT_S)
    table = scene.activity.table
    channels = table.channels(STREAM)
    return (
        len(channels) == len(AIRPORTS)
        and all(channel.status is Status.IDLE for channel in channels)
        and table.status(STREAM) is Status.IDLE
    )


def has_woken(said: Sequence[ActivityEdge], partition: int) -> bool:
    """Whether the workers have said ACTIVE of one airport; by now they may have said IDLE again."""
    return any(
        each.channel is not None and each.channel.partition == partition and each.status is Status.ACTIVE
        for each in said
    )


def check_idle(view: View, scene: Scene) -> None:
    """Show the proof of each IDLE, and compare it with the broker's own answers and with the data set."""
    channels = scene.activity.table.channels(STREAM)
    sent = scene.flights[: scene.traffic.silence_at]
    ends = scene.cluster.ends(scene.source, len(AIRPORTS))
    proofs = {each.channel.partition: each.evidence for each in channels}
    positions = [None if (proof := proofs.get(number)) is None else proof.position for number in range(len(AIRPORTS))]
    for number, proof in sorted(proofs.items()):
        if proof is not None:
            fetched = datetime.fromtimestamp((proof.fetched_at_ms or 0) / 1_000, UTC)
            last = next(flight for flight in reversed(sent) if flight.partition == number)
            view.detail(
                f"{AIRPORTS[number]}: read up to {proof.position:,}, which was the end at {fetched:%H:%M:%S} UTC; its "
                f"last departure was at {last.departed[11:]}"
            )
    view.check(
        positions == ends,
        f"all three are IDLE where the broker says that their partitions end ({', '.join(f'{at:,}' for at in ends)})",
    )
    watermark = scene.activity.table.watermark(STREAM)
    view.check(
        watermark == sent[-1].timestamp_ms - 1,
        f"the stream is IDLE as a whole, and its event time has come to {sent[-1].departed.replace('T', ' ')}",
    )


def check_woken(view: View, scene: Scene, flight: Flight, said: Sequence[ActivityEdge]) -> None:
    """Show who woke with the first departure after a silence, and check that nobody else did.

    `said` is everything that was said since all were IDLE.
    """
    silent = scene.flights[: scene.traffic.silence_at]
    last = next(each for each in reversed(silent) if each.origin == flight.origin)
    minutes = (flight.timestamp_ms - last.timestamp_ms) // 60_000
    view.say(
        f"{flight.carrier} {flight.number} to {flight.destination} leaves {flight.origin} at {flight.departed[11:]}, "
        f"{minutes // 60} h {minutes % 60} min after the last one."
    )
    others = [airport for airport in AIRPORTS if airport != flight.origin]
    view.check(
        has_woken(said, flight.partition)
        and {each.channel.partition for each in said if each.channel} == {flight.partition},
        f"{flight.origin} is ACTIVE with it; {' and '.join(others)} are IDLE still",
    )
    view.check(
        any(each.channel is None and each.status is Status.ACTIVE for each in said),
        "so the stream as a whole is ACTIVE",
    )


def check_month(view: View, scene: Scene, thresholds: tuple[int, int], bounds: Sequence[Bounds] | None) -> Verdict:
    """Read the destination from its beginning to its end and judge it, one line for each question."""
    arrivals = [
        Arrival(message.partition() or 0, message.offset() or 0, message.key(), message.value(), message.timestamp()[1])
        for message in scene.cluster.read_to_end(scene.destination, len(AIRPORTS), READ_TIMEOUT_S)
    ]
    verdict = check_destination(scene.by_airport, arrivals, thresholds, bounds)
    total = len(scene.flights)
    _judged(view, f"each of the {total:,} departures is there", verdict.missing, "missing")
    _judged(view, f"none is there twice ({verdict.arrived:,} records in all)", verdict.repeated, "repeated")
    _judged(view, "there is nothing else, and each is in its airport's partition", verdict.foreign, "out of place")
    _judged(view, "they are in order, airport by airport", verdict.misordered, "out of order")
    _judged(view, "every result, key and time is right, worked out anew from the data", verdict.wrong, "wrong")
    old, new = thresholds
    shares = ", ".join(
        f"{airport} {counts.get(old, 0):,} + {counts.get(new, 0):,}"
        for airport, counts in zip(AIRPORTS, verdict.by_setting, strict=True)
    )
    _judged(
        view, f"each airport was judged by {old} minutes first, then by {new}: {shares}", verdict.wrong_setting, "wrong"
    )
    return verdict


def _judged(view: View, what: str, findings: Findings, adjective: str) -> None:
    view.check(not findings, what if not findings else f"{what}: {findings.count:,} {adjective}")
    for example in findings.examples:
        view.detail(f"{adjective}: {example}")


def show_history(view: View, scene: Scene) -> None:
    """Show the transitions that people caused, or that changed the status, and check that none is missing."""
    with HistoryReader(scene.cluster.bootstrap_servers, scene.namespace, kafka=scene.cluster.settings) as reader:
        items = list(reader.read(STREAM, timeout_s=HISTORY_TIMEOUT_S))
    records = [item.record for item in items if isinstance(item, Entry)]
    transitions = [record for record in records if isinstance(record, Transition)]
    for each in transitions:
        kind = _kind(each)
        if kind in WORKERS_WORK:
            continue
        at = datetime.fromtimestamp(each.at_ms / 1_000, UTC)
        status = each.to_status if each.from_status != each.to_status else ""
        why = f'"{each.reason}"' if each.reason else ""
        what = kind.removeprefix("stream-")
        view.raw(f"{each.version:>3}  {at:%H:%M:%S}  {each.actor:<5} {what:<9} {status:<11} {why}".rstrip())
    work = sum(_kind(each) in WORKERS_WORK for each in transitions)
    view.say(f"Beside these, {work} transitions tell of the workers: tasks begun and ended, partitions drained.")
    versions = [each.version for each in transitions]
    findings = [item for item in items if not isinstance(item, Entry)]
    view.check(
        not findings and versions == list(range(1, len(versions) + 1)),
        f"the history is whole: versions 1 to {len(versions)}, each carrying the hash of the one before",
    )
    people = {record.actor for record in transitions if record.reason}
    view.check({"dana", "sam"} <= people, "it says who did it and why")


def _kind(transition: Transition) -> str:
    # The base class has none, each of its kinds does.
    kind: str = transition.kind  # type: ignore[attr-defined]
    return kind


def check_verify(view: View, scene: Scene) -> None:
    """Run the product's own `verify`, which folds the history anew and compares it with the state topic."""
    status, output = scene.processes.run("verify", timeout_s=VERIFY_TIMEOUT_S)
    view.raw(re.sub(r"\x1b\[[0-9;]*m", "", output))
    view.check(status == 0, f"the state follows from the history (`headgate verify` ended with {status})")
