"""What a stream may set of its Kafka clients: a short list, each with bounds, and nothing else.

A setting of the Kafka client can load code (`plugin.library.paths`), read files (`ssl.*.location`), run a command
(`sasl.kerberos.kinit.cmd`) or send a request anywhere, and whoever may create a stream is not who administers the
worker. So it is a list of what is allowed: how much is fetched, held, batched and compressed. The administrator's own
settings (HEADGATE_KAFKA, and those of a connection) are not bound by it, and what correctness depends on is nobody's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from headgate.ports.log import ClientSetting

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number within bounds."""

    low: int
    high: int

    def takes(self, value: ClientSetting) -> bool:
        """Say whether the value may be set."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"a whole number from {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def takes(self, value: ClientSetting) -> bool:
        """Say whether the value may be set."""
        return isinstance(value, str) and value in self.words

    def __str__(self) -> str:
        return f"one of {', '.join(self.words)}"


@dataclass(frozen=True, slots=True)
class Switch:
    """On or off."""

    def takes(self, value: ClientSetting) -> bool:
        """Say whether the value may be set."""
        return isinstance(value, bool)

    def __str__(self) -> str:
        return "true or false"


Bound = Number | Choice | Switch

CONSUMER_SETTINGS: Final[Mapping[str, Bound]] = {
    "check.crcs": Switch(),
    "fetch.max.bytes": Number(MIB, 128 * MIB),
    "fetch.min.bytes": Number(1, MIB),
    "fetch.wait.max.ms": Number(0, 5_000),
    "max.partition.fetch.bytes": Number(1_024, 64 * MIB),
    "queued.max.messages.kbytes": Number(1_024, 262_144),
    "queued.min.messages": Number(1, 1_000_000),
}
"""Settings of a source's `client` section."""

PRODUCER_SETTINGS: Final[Mapping[str, Bound]] = {
    "batch.num.messages": Number(1, 1_000_000),
    "batch.size": Number(1, 16 * MIB),
    "compression.level": Number(-1, 12),
    "compression.type": Choice(("none", "gzip", "snappy", "lz4", "zstd")),
    "linger.ms": Number(0, 1_000),
    "message.max.bytes": Number(1_000, 64 * MIB),
    "queue.buffering.max.kbytes": Number(1_024, 1_048_576),
    "queue.buffering.max.messages": Number(1_000, 1_000_000),
}
"""Settings of a destination's `client` section."""


def _checked(allowed: Mapping[str, Bound]) -> Callable[[dict[str, ClientSetting]], dict[str, ClientSetting]]:
    def check(given: dict[str, ClientSetting]) -> dict[str, ClientSetting]:
        for name, value in given.items():
            bound = allowed.get(name)
            if bound is None:
                raise ValueError(f"{name[:80]} is not for a stream to set; it may set {', '.join(allowed)}")
            if not bound.takes(value):
                raise ValueError(f"{name} has to be {bound}")
        return given

    return check


_Given = Annotated[dict[str, ClientSetting], Field(max_length=100)]
ConsumerSettings = Annotated[_Given, AfterValidator(_checked(CONSUMER_SETTINGS))]
ProducerSettings = Annotated[_Given, AfterValidator(_checked(PRODUCER_SETTINGS))]
