"""The settings of a single-node Kafka for development and tests, and why each is there.

One source for the embedded broker (a properties file) and the container (environment variables), so that a test means
the same on both. Names are Kafka's own. A caller's settings win over these; where the node listens and keeps its data
is not a setting here but the node's own business.
"""

from __future__ import annotations

from collections.abc import Mapping

SINGLE_NODE: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    # Topics are made by whoever needs them, with the partitions that they need: a typing error must not make one.
    "auto.create.topics.enable": "false",
    # One node cannot replicate; with the defaults transactions and groups would wait for ever.
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # 50 each by default; every one is a folder and a file to open at the start.
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.num.partitions": "8",
    "share.coordinator.state.topic.num.partitions": "8",
    # The first member of a group need not wait three seconds for company.
    "group.initial.rebalance.delay.ms": "0",
    # A transaction past its timeout is ended by a sweep, every 10 s by default.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    # Tests of takeover want short sessions: the classic protocol's is the client's, within these bounds ...
    "group.min.session.timeout.ms": "1000",
    # ... the consumer protocol's is the broker's, 45 s by default.
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "300",
    "group.consumer.heartbeat.interval.ms": "1000",
    # A broker that was killed may register again only when its last session is over, 9 s by default.
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "500",
}

NODE_OWNED = frozenset(
    {
        "process.roles",
        "node.id",
        "listeners",
        "advertised.listeners",
        "listener.security.protocol.map",
        "inter.broker.listener.name",
        "controller.listener.names",
        "controller.quorum.voters",
        "log.dirs",
        "log.dir",
        "metadata.log.dir",
    }
)
"""What a caller may not set, because the node would not be found or would lose its data."""

_LOG4J = """\
<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="ERROR" shutdownHook="disable">
  <Appenders>
    <RollingFile name="file" fileName="{log}" filePattern="{log}.%i">
      <PatternLayout pattern="[%d] %p %m (%c)%n"/>
      <Policies><SizeBasedTriggeringPolicy size="20 MB"/></Policies>
      <DefaultRolloverStrategy max="3"/>
    </RollingFile>
  </Appenders>
  <Loggers>
    <Root level="INFO"><AppenderRef ref="file"/></Root>
  </Loggers>
</Configuration>
"""


def properties_text(settings: Mapping[str, str]) -> str:
    """Return `settings` as a Java properties file (which is Latin-1), one line each."""
    return "".join(f"{_escaped(name)}={_escaped(value)}\n" for name, value in settings.items())


def environment_name(name: str) -> str:
    """Return the environment variable by which an apache/kafka image takes the property `name`."""
    return "KAFKA_" + name.replace("_", "__").replace("-", "___").replace(".", "_").upper()


def log4j_text(log: str) -> str:
    """Return a log4j2 configuration that writes to the file `log`, at most 80 MB with what was rolled over.

    log4j's own shutdown hook is off: it would run beside Kafka's and cut off the end of a clean stop.
    """
    escaped = log.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;").replace("$", "$$")
    return _LOG4J.format(log=escaped)


def _escaped(text: str) -> str:
    out = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("=", "\\=").replace(":", "\\:")
    if out.startswith((" ", "#", "!")):
        out = "\\" + out
    return "".join(c if ord(c) < 127 else "".join(f"\\u{u:04x}" for u in _utf16(c)) for c in out)


def _utf16(character: str) -> tuple[int, ...]:
    raw = character.encode("utf-16-be")
    return tuple(int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2))
