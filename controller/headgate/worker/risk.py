"""The look at positions: whether a stream that stands still is about to lose records that it has not read.

Taken by the stream's highest-ranking worker now and then, also while no task runs; the estimate itself is `core/risk`.
Looks are remembered, so that the pace at which the source's beginning moves can be told; another worker that takes over
begins with its own first one.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import structlog

from headgate.core.risk import Look, Sight, judge
from headgate.ports.log import TopicPartition
from headgate.ports.source import SourceCatalogue, TellsAge
from headgate.worker.mailbox import Report
from headgate.worker.pipeline import Means, build
from headgate.worker.positions import Stand
from headgate.worker.view import View
from headgate_events.errors import HeadgateError

CONDITION: Final = "position_at_risk"
LOOKS_KEPT: Final = 60
"""Over how many looks the pace is measured: sources drop records by whole segments, in leaps."""
AGED_MAX: Final = 64
"""Of how many partitions of a stream timestamps are asked in one look; the nearest to being lost come first."""

logger = structlog.get_logger("headgate.worker")


class RiskWatch:
    """Looks at one stream at a time, in any thread; never at the same stream in two."""

    def __init__(self) -> None:
        self._looks: dict[tuple[str, int], deque[Look]] = {}

    def forget(self, stream: str) -> None:
        """Forget the looks at a stream that runs or is gone."""
        for key in [key for key in self._looks if key[0] == stream]:
            self._looks.pop(key, None)

    def look(self, view: View, means: Means) -> Report | None:
        """Look once; return what is to be reported, None when the stream's condition says it already."""
        try:
            catalogue = build(view, means).make_catalogue()
            try:
                now = take_look(catalogue, view, means.clock.now_ms())
            finally:
                catalogue.close()
        except HeadgateError as error:
            logger.info("positions not looked at", action="chore.risk", stream=view.stream, error=str(error))
            return None
        looks = self._looks.setdefault(view.key, deque(maxlen=LOOKS_KEPT))
        message = judge(now, looks[0] if looks else None)
        looks.append(now)
        held = view.conditions.get(CONDITION)
        if message == held:
            return None
        kind = "condition-cleared" if message is None else "condition-raised"
        data = {"condition": CONDITION} if message is None else {"condition": CONDITION, "message": message}
        return Report.of(view, means.options.name, kind, data, f"{CONDITION}-{view.version}-{now.at_ms}")


def take_look(catalogue: SourceCatalogue, view: View, now_ms: int) -> Look:
    """See where the stream stands in its source: every partition, or those that failed where the others move on."""
    stand = Stand.of(catalogue, view)
    wanted = [each for each in stand.positions if not view.carries_on or each in view.failed]
    sights = {
        each: Sight(stand.ranges[each].start, stand.ranges[each].end, stand.positions[each])
        for each in wanted
        if each in stand.ranges
    }
    retention_ms: int | None = None
    unread = sorted(
        (each for each, sight in sights.items() if sight.start <= sight.position < sight.end),
        key=lambda each: sights[each].position - sights[each].start,
    )[:AGED_MAX]
    if isinstance(catalogue, TellsAge) and unread:
        retention_ms = catalogue.retention_ms()
        upcoming = catalogue.timestamps({each: sights[each].position for each in unread})
        oldest = catalogue.timestamps({each: sights[each].start for each in unread}) if retention_ms is None else {}
        for each in unread:
            sights[each] = sights[each]._replace(oldest_ms=oldest.get(each), next_ms=upcoming.get(each))
    return Look(now_ms, {_name(each): sight for each, sight in sights.items()}, retention_ms)


def _name(partition: TopicPartition) -> str:
    return f"{partition.topic}[{partition.partition}]"
