"""The composition root: the only file that names concrete adapters. Everything else is handed its ports."""

from __future__ import annotations

import os
import random
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from headgate.ports.log import Clock, Log
from headgate.settings import Settings
from headgate_events.topics import Topics

if TYPE_CHECKING:
    from headgate.adapters.kafka.topics import TopicAdministration
    from headgate.connections import DefinedConnections, KafkaConnection
    from headgate.projector.projector import Projector
    from headgate.worker.pipeline import Means
    from headgate.worker.process import Worker


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


def make_topic_administration(settings: Settings) -> TopicAdministration:
    """Make what creates and checks the topics of a namespace."""
    from headgate.adapters.kafka import KafkaSettings
    from headgate.adapters.kafka.topics import TopicAdministration

    return TopicAdministration(KafkaSettings(bootstrap_servers=settings.bootstrap_servers, client=settings.kafka))


def make_connections(settings: Settings) -> DefinedConnections:
    """Make the connections of this machine's file. Raises ConnectionUnusable when the file is wrong.

    What they refer to is looked up when a stream needs it, in the environment that the process then has.
    """
    from headgate.adapters.kafka import KafkaLog, KafkaSettings
    from headgate.connections import DefinedConnections
    from headgate.connections.references import Secrets

    def make_cluster(_name: str, connection: KafkaConnection) -> Log:
        return KafkaLog(
            KafkaSettings(
                bootstrap_servers=connection.bootstrap_servers,
                client=connection.kafka,
                client_id=f"headgate-worker-{settings.worker_name}",
                group_protocol=settings.group_protocol,
            )
        )

    path = None if settings.connections is None else Path(settings.connections)
    connections = DefinedConnections(path, Secrets(os.environ, settings.secret_folder_paths), make_cluster)
    connections.check()
    return connections


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


def make_means(settings: Settings, log: Log | None = None) -> Means:
    """Make what a worker works with. Raises ConnectionUnusable when the file of connections is wrong."""
    from headgate.destinations import installed_destinations
    from headgate.sources import installed_sources
    from headgate.worker.options import WorkerOptions
    from headgate.worker.pipeline import Means

    options = WorkerOptions(
        name=settings.worker_name,
        instance=uuid.uuid4().hex[:12],
        namespace=settings.namespace,
        heartbeat_interval_s=settings.worker_heartbeat_interval_ms / 1000,
        silent_after_s=3 * settings.worker_heartbeat_interval_ms / 1000,
        session_timeout_ms=settings.worker_session_timeout_ms,
        shutdown_timeout_s=settings.worker_shutdown_timeout_s,
        source_check_s=settings.worker_source_check_s,
        position_check_s=settings.worker_position_check_s,
        transform_modules=settings.transform_module_names,
    )
    return Means(
        log=log or make_log(settings, f"headgate-worker-{settings.worker_name}"),
        clock=make_clock(),
        options=options,
        sources=installed_sources(),
        destinations=installed_destinations(),
        connections=make_connections(settings),
    )


def make_worker(settings: Settings, log: Log | None = None) -> Worker:
    """Make one worker process's shell; `run()` it on the main thread. Connects when it runs."""
    from headgate.worker.process import Worker

    return Worker(make_means(settings, log))
