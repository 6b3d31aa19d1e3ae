"""The pipeline: a stream's definition made into parts that run. Every way in which it can be wrong is one check.

Building does no I/O beyond importing code, so it is what a modify tries before the old parts are let go; looking at the
cluster and at the destination is `inspect`, which validation does and a restart does too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from headgate.ports.connectors import Connections, ConnectorContext, Kinds, NoConnections
from headgate.ports.destination import Destination, DestinationKind
from headgate.ports.log import Clock, Log
from headgate.ports.source import SourceCatalogue, SourceKind, SourceReader
from headgate.worker.among_records import InBandTopics
from headgate.worker.failures import ConfigRejected
from headgate.worker.in_band import why_not_in_band
from headgate.worker.options import WorkerOptions
from headgate.worker.transforms import Transform, load_transform
from headgate.worker.view import View
from headgate_events.errors import HeadgateError
from headgate_events.findings import explain
from headgate_events.names import group_id
from headgate_events.schema.config import StreamConfig
from headgate_events.upstreams import Upstreams

Checks = list[dict[str, Any]]
MAX_TEXT: Final = 1_000
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Means:
    """What every task and chore of a worker works with."""

    log: Log
    clock: Clock
    options: WorkerOptions
    sources: Kinds[SourceKind]
    destinations: Kinds[DestinationKind]
    connections: Connections = field(default_factory=NoConnections)
    upstreams: Upstreams = field(default_factory=Upstreams)
    in_band_topics: InBandTopics = field(default_factory=InBandTopics)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The parts of one revision of a stream, not open yet."""

    revision: int
    given: Mapping[str, Any]
    """The definition as it stands in the state."""
    config: StreamConfig
    source: SourceKind
    source_settings: Any
    destination: DestinationKind
    destination_settings: Any
    transform: Transform | None
    context: ConnectorContext
    namespace: str
    upstreams: Upstreams
    in_band_topics: InBandTopics
    patience_s: float
    """How long three heartbeats last: after that, who should speak and does not is suspect."""

    def make_reader(self) -> SourceReader:
        """Make the reader of a task."""
        return self.source.reader(self.source_settings, self.context)

    def make_destination(self) -> Destination:
        """Make the destination of a task."""
        return self.destination.destination(self.destination_settings, self.context)

    def make_catalogue(self) -> SourceCatalogue:
        """Make the catalogue of the source."""
        return self.source.catalogue(self.source_settings, self.context)

    def inspect(self) -> Checks:
        """Look at the source and at the destination, without changing them."""
        checks: Checks = []
        catalogue = self.make_catalogue()
        try:
            counts = attempt(checks, "source", catalogue.partitions)
            if counts is not None:
                place = self.source.place(self.source_settings)
                passed(checks, "source", f"{place} has {sum(counts.values())} partition(s)")
        finally:
            catalogue.close()
        found = attempt(checks, "destination", lambda: self.destination.check(self.destination_settings, self.context))
        checks += [check.model_dump() for check in found or ()]
        return checks


def build(view: View, means: Means) -> Pipeline:
    """Make the parts of the view's revision. Raises ConfigRejected with the itemised checks."""
    checks, pipeline = judge(view, means)
    if pipeline is None:
        raise ConfigRejected(checks)
    return pipeline


def judge(view: View, means: Means) -> tuple[Checks, Pipeline | None]:
    """Return the checks of a definition, and its parts when all of them passed. Imports code, but opens nothing."""
    checks: Checks = []
    config = attempt(checks, "definition", lambda: StreamConfig.model_validate(dict(view.config)), StreamConfig)
    if config is None:
        return checks, None
    passed(checks, "definition", f"revision {view.revision}")
    source = _kind(checks, "source.settings", means.sources, config.source.kind, config.source.model_extra or {})
    destination = _kind(
        checks,
        "destination.settings",
        means.destinations,
        config.destination.kind,
        config.destination.model_extra or {},
    )
    if destination is not None and config.delivery not in destination[0].promises:
        keeps = ", ".join(destination[0].promises)
        hint = f"Set delivery: {keeps}, or take another destination."
        failed(
            checks, "delivery", "delivery.not_promised", f"{config.destination.kind} can promise {keeps} only.", hint
        )
    if source is not None and destination is not None and _loops(config):
        message = "The destination is the source's own topic: every record would come round for ever."
        failed(checks, "destination", "destination.is_source", message, "Name another topic.")
    if (why_not := why_not_in_band(config)) is not None:
        failed(checks, "idleness", "markers.not_in_band", why_not, "Set idleness.markers: side_topic.")
    transform: Transform | None = None
    if (wanted := config.transform) is not None:
        transform = attempt(
            checks,
            "transform",
            lambda: load_transform(wanted.function, wanted.settings, means.options.transform_modules),
        )
        if transform is not None:
            passed(checks, "transform", wanted.function)
    if source is None or destination is None or any(check["result"] == "failed" for check in checks):
        return checks, None
    return checks, Pipeline(
        revision=view.revision,
        given=view.config,
        config=config,
        source=source[0],
        source_settings=source[1],
        destination=destination[0],
        destination_settings=destination[1],
        transform=transform,
        context=context_of(view, config, means),
        namespace=means.options.namespace,
        upstreams=means.upstreams,
        in_band_topics=means.in_band_topics,
        patience_s=means.options.silent_after_s,
    )


def context_of(view: View, config: StreamConfig, means: Means) -> ConnectorContext:
    """Return what the connectors of a stream are opened with."""
    options = means.options
    return ConnectorContext(
        log=means.log,
        clock=means.clock,
        stream=view.stream,
        incarnation=view.incarnation,
        worker=options.name,
        group=group_id(options.namespace, view.stream, view.incarnation),
        transactional_id=f"{options.namespace}.{options.name}.{view.stream}.{view.incarnation}",
        delivery=config.delivery,
        commit_interval_ms=config.commit_interval_ms,
        session_timeout_ms=options.session_timeout_ms,
        connections=means.connections,
        source_connection=(config.source.model_extra or {}).get("connection"),
    )


def attempt(checks: Checks, name: str, look: Callable[[], Found], model: Any = None) -> Found | None:
    """Return what `look` finds; whatever it raises becomes a failed check, and None is returned.

    `model` is what a ValidationError is about, so that the nearest right key can be named.
    """
    try:
        return look()
    except ValidationError as error:
        failed(checks, name, "config.invalid", f"{name}: {explain(error, model)}.", "Correct the definition.")
    except HeadgateError as error:
        failed(checks, name, error.code, error.message, error.hint or "")
    except Exception as error:  # noqa: BLE001 - a connector may raise anything; the person who starts a stream sees it
        failed(checks, name, "internal", f"{name}: {type(error).__name__}: {error}.", "See the worker's log.")
    return None


def passed(checks: Checks, name: str, message: str) -> None:
    """Add a check that passed."""
    checks.append({"name": name, "result": "passed", "code": None, "message": message[:MAX_TEXT], "hint": ""})


def failed(checks: Checks, name: str, code: str, message: str, hint: str = "") -> None:
    """Add a check that failed."""
    checks.append(
        {"name": name, "result": "failed", "code": code, "message": message[:MAX_TEXT], "hint": hint[:MAX_TEXT]}
    )


def any_failed(checks: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether one of the checks failed."""
    return any(check["result"] == "failed" for check in checks)


def _kind(checks: Checks, name: str, kinds: Kinds[Any], wanted: str, given: Mapping[str, Any]) -> Any:
    """Return (kind, settings), or None with the reason among the checks."""
    kind = attempt(checks, name, lambda: kinds.find(wanted))
    if kind is None:
        return None
    settings = attempt(checks, name, lambda: kind.settings.model_validate(dict(given)), kind.settings)
    if settings is None:
        return None
    passed(checks, name, f"kind {wanted}")
    return kind, settings


def _loops(config: StreamConfig) -> bool:
    source, destination = config.source, config.destination
    reads, writes = source.model_extra or {}, destination.model_extra or {}
    return (
        source.kind == destination.kind == "kafka"
        and reads.get("topic") is not None
        and all(reads.get(name) == writes.get(name) for name in ("topic", "connection"))
    )
