"""Fencing: end what another worker's producers left open, by initialising their transactional ids.

An open transaction of a dead worker holds every read_committed reader until it times out, and one of a stopped worker
could still be committed later. Initialising the id bumps its epoch at the broker: the open transaction is aborted, and
whoever had the id cannot commit any more. A worker that was only slow notices, begins anew, and loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from headgate.ports.log import Log

FENCE_TIMEOUT_S: Final = 15.0


def fence(log: Log, transactional_ids: Iterable[str]) -> None:
    """Initialise each id, one after the other. Raises LogError; then some may be fenced, and the call is repeated."""
    for transactional_id in transactional_ids:
        producer = log.transactional_producer(transactional_id)
        try:
            producer.init(FENCE_TIMEOUT_S)
        finally:
            producer.drop()
