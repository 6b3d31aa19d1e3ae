"""Waking: whether the source of a stream that auto-pause paused has moved past where it ended.

Looked at now and then by the stream's highest-ranking worker, while no task runs. What counts are ends, which markers
of transactions move, too: a stream may be woken by what turns out to be nothing, and is paused again after its time.
Positions are checked as for a resume; where they are lost, the stream stays paused, and `position_at_risk` says so.
"""

from __future__ import annotations

import structlog

from headgate.ports.log import TopicPartition
from headgate.ports.source import SourceCatalogue
from headgate.worker.mailbox import Report
from headgate.worker.pipeline import Means, build
from headgate.worker.positions import where_it_stands
from headgate.worker.view import View
from headgate_events.errors import HeadgateError

logger = structlog.get_logger("headgate.worker")


def look_for_more(view: View, means: Means) -> Report | None:
    """Look once; return the report that wakes the stream, None while its source stands where it stood."""
    try:
        pipeline = build(view, means)
        catalogue = pipeline.make_catalogue()
        try:
            moved = what_moved(catalogue, view)
        finally:
            catalogue.close()
        if moved is None:
            return None
        found = where_it_stands(pipeline, view)
    except HeadgateError as error:
        logger.info("source not looked at", action="chore.wake", stream=view.stream, error=str(error))
        return None
    if not found.passed:
        logger.info("positions are lost", action="chore.wake", stream=view.stream, error=found.message)
        return None
    data = {"positions": found.positions, "message": moved}
    return Report.of(view, None, "source-moved", data, str(view.version))


def what_moved(catalogue: SourceCatalogue, view: View) -> str | None:
    """Say which partition has more than when the stream was paused; None where none has."""
    assert view.silence is not None, "only a stream that auto-pause paused is looked at"
    known = view.partitions or {}
    for topic, count in catalogue.partitions().items():
        for number in range(count):
            held = catalogue.range(TopicPartition(topic, number))
            stood = _stood(view, topic, number)
            if number >= known.get(topic, 0) and held.end > held.start:
                return f"{topic}[{number}] is new, and holds records."
            if stood is not None and held.end > stood:
                return f"{topic}[{number}] moved from {stood:,} to {held.end:,}."
    return None


def _stood(view: View, topic: str, number: int) -> int | None:
    """Return where a partition ended for the stream; None for one that had ended for good."""
    assert view.silence is not None
    end = view.silence.get(topic, {}).get(str(number))
    receipt = view.receipts.get(topic, {}).get(str(number))
    return None if end is None else max(end, 0 if receipt is None else int(receipt["end"]))
