"""The composition root: the only file that names concrete adapters. Everything else is handed its ports."""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING

from headgate.ports.log import Clock, Log
from headgate.settings import Settings
from headgate_events.topics import Topics

if TYPE_CHECKING:
    from headgate.projector.projector import Projector


def make_log(settings: Settings, client_id: str = "headgate") -> Log:
    """Make the log of the cluster that the settings name. Connects in the background; nothing waits here."""
    from headgate.adapters.kafka import KafkaLog, KafkaSettings

    return KafkaLog(
        KafkaSettings(
            bootstrap_servers=settings.bootstrap_servers,
            client=settings.kafka,
            client_id=client_id,
            group_protocol=settings.group_protocol,
        )
    )


def make_clock() -> Clock:
    """Make the clock of this machine."""
    from headgate.adapters.clock import SystemClock

    return SystemClock()


def make_projector(settings: Settings, log: Log | None = None) -> Projector:
    """Make one projector process's shell; `run()` it on the main thread."""
    from headgate.projector.projector import Projector
    from headgate.projector.setup import ProjectorSettings

    return Projector(
        log=log or make_log(settings, f"headgate-projector-{settings.projector_name}"),
        topics=Topics(settings.namespace),
        clock=make_clock(),
        settings=ProjectorSettings(
            name=settings.projector_name,
            instance=uuid.uuid4().hex[:12],
            session_timeout_ms=settings.projector_session_timeout_ms,
            transaction_timeout_ms=settings.projector_transaction_timeout_ms,
            batch_records=settings.projector_batch_records,
        ),
        draw=random.SystemRandom().random,
    )
