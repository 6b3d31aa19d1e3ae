"""What can go wrong between a person and a broker, each with a stable code and a way out.

All but `BrokerRefused` are `environment.*`: the machine lacks something, and a person (not a retry) has to act.
"""

from __future__ import annotations

from typing import ClassVar

from headgate_events.errors import EnvironmentProblem, HeadgateError, InvalidRequest


class JavaMissing(EnvironmentProblem):
    """No Java of at least the needed version was found on the machine or in the Python environment."""

    code: ClassVar[str] = "environment.java_missing"


class ArtifactsMissing(EnvironmentProblem):
    """The jars of Kafka are not whole in the cache, and they could not be downloaded."""

    code: ClassVar[str] = "environment.broker_artifacts_missing"
    retriable: ClassVar[bool] = True


class CacheUnusable(EnvironmentProblem):
    """A folder of ours cannot be written, or somebody else has held its lock for longer than the bound."""

    code: ClassVar[str] = "environment.cache_unusable"
    retriable: ClassVar[bool] = True


class PortUnavailable(EnvironmentProblem):
    """The port that was given is taken, or no free one was found."""

    code: ClassVar[str] = "environment.port_unavailable"
    retriable: ClassVar[bool] = True


class BrokerNotReady(EnvironmentProblem):
    """A broker was started and did not commit a transaction within the bound, or ended before it did.

    The message carries the tail of the broker's log.
    """

    code: ClassVar[str] = "environment.broker_not_ready"


class NoBroker(EnvironmentProblem):
    """None of the brokers that may be taken could be had, or the one that was insisted on could not."""

    code: ClassVar[str] = "environment.no_broker"


class BrokerRefused(InvalidRequest):
    """The caller's fault: a value is not valid, or it contradicts a broker that is running already."""

    code: ClassVar[str] = "request.broker_refused"


class BrokerNotRunning(HeadgateError):
    """The background broker was asked for and there is none, or it has ended."""

    code: ClassVar[str] = "broker.not_running"
