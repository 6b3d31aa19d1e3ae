"""The checks of the demo that look at more than one number, each shown as lines with their results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from headgate.demo.checker import Arrival, Bounds, Findings, Verdict, check_destination
from headgate.demo.flights import AIRPORTS
from headgate.demo.scene import STREAM, Scene
from headgate.demo.view import View
from headgate_events.client.history import HistoryReader
from headgate_events.client.sequence import Entry
from headgate_events.schema.common import Receipt
from headgate_events.schema.history import Transition
from headgate_events.schema.state import StreamState

READ_TIMEOUT_S: Final = 60.0
HISTORY_TIMEOUT_S: Final = 30.0
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
