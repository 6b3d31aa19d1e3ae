"""Connections: what the administrator of a worker defines by name, so that a stream holds no address and no secret.

A file says what there is; secrets in it are references to the environment or to files. A stream names a connection;
the worker looks it up, resolves its references and validates it each time a connector is opened, so a secret that was
rotated is taken on by the next opening, and nothing of it ever stands in an event, a log or an answer.
"""

from headgate.connections.defined import DefinedConnections, KafkaConnection

__all__ = ["DefinedConnections", "KafkaConnection"]
