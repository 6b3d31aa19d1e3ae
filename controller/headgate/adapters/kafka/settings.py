"""How to reach a cluster, and the client settings that every client of ours shares, each with its reason."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from headgate.ports.log import ClientSetting

RETRY_BACKOFF_MS: Final = 5
"""Back-to-back transactions wait for the last one's markers by retrying: 100 ms, the default, would be their price."""

SESSION_TIMEOUT_MS: Final = 10_000
"""How long a silent member keeps its partitions, and a commit waits for a coordinator. The default is 45 s."""

FETCH_QUEUE_BACKOFF_MS: Final = 5
"""A consumer whose queue was full otherwise idles for a second, the default, before it fetches again."""

REQUEST_TIMEOUT_MS: Final = 15_000
"""How long one request may take. The default, 60 s, is longer than anybody here waits."""

UNKNOWN_TOPIC_MS: Final = 10_000
"""How long a topic may be unknown, as a new one is for a moment, before that is an error. The default is 30 s."""

QUEUED_KBYTES: Final = 16_384
"""Fetched records that a consumer may hold, in KiB. The default is 64 MiB for each consumer."""

CLOSE_TIMEOUT_S: Final = 15.0
"""Bound for leaving a group and closing a client."""

logger = logging.getLogger("headgate.kafka")
# Without a handler, logging would print what librdkafka says to the user's standard error.
logger.addHandler(logging.NullHandler())
# That a consumer's setting is given to a producer is intended (see `Connection.base`), so nobody needs to read of it.
logger.addFilter(lambda record: not (isinstance(record.args, tuple) and record.args[:1] == ("CONFWARN",)))


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach one cluster.

    `client` are librdkafka's settings as the administrator gave them (security, timeouts); they stand above our own,
    but below what correctness needs (positions, idempotence, isolation). `group_protocol` is `consumer` for KIP-848.
    `client_id` is shown in the broker's logs and metrics.
    """

    bootstrap_servers: str
    client: Mapping[str, ClientSetting] = field(default_factory=dict, repr=False)
    client_id: str = "headgate"
    group_protocol: Literal["classic", "consumer"] = "classic"

    def base(self) -> dict[str, Any]:
        """Return the settings that all clients share."""
        return {
            "client.id": self.client_id,
            "retry.backoff.ms": RETRY_BACKOFF_MS,
            # A misspelt topic is an error, not a new topic with one partition.
            "allow.auto.create.topics": False,
            "topic.metadata.propagation.max.ms": UNKNOWN_TOPIC_MS,
            # A closing client would wait for its last push of metrics.
            "enable.metrics.push": False,
            "log.connection.close": False,
            **self.client,
            "bootstrap.servers": self.bootstrap_servers,
            "logger": logger,
        }
