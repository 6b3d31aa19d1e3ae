"""Which cluster and namespace a command is for: flags, --context, the environment, the current context, the defaults.

The nearest wins, each setting for itself: `--namespace test` with a context takes the context's cluster.
HEADGATE_CONTEXT stands in for the current context. Who said a value is remembered, so that a wrong one is answered
with its origin.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headgate.cli.contexts import Context, check_servers, read_contexts
from headgate_events.errors import InvalidRequest
from headgate_events.names import DEFAULT_NAMESPACE, check_namespace

DEFAULT_SERVERS: Final = "localhost:9092"
SERVERS_VARIABLE: Final = "HEADGATE_BOOTSTRAP_SERVERS"
NAMESPACE_VARIABLE: Final = "HEADGATE_NAMESPACE"
CONTEXT_VARIABLE: Final = "HEADGATE_CONTEXT"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a command goes. `origins` says for both settings who decided, in words for people."""

    bootstrap_servers: str
    namespace: str
    context: str | None = None
    servers_from: str = "the default"
    namespace_from: str = "the default"


def find_target(
    bootstrap_servers: str | None = None,
    namespace: str | None = None,
    context: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Target:
    """Decide where a command goes. Raises InvalidRequest, which names the flag, variable or file that is wrong."""
    environ = os.environ if environ is None else environ
    contexts = read_contexts()
    named = contexts.get(context) if context is not None else Context()
    fallback = environ.get(CONTEXT_VARIABLE) or contexts.current if context is None else None
    current = contexts.get(fallback) if fallback is not None else Context()
    chosen = context or fallback
    by_context = f"the context {chosen!r} in {contexts.path}"
    servers, servers_from = _first(
        (bootstrap_servers, "--bootstrap-servers"),
        (named.bootstrap_servers, by_context),
        (environ.get(SERVERS_VARIABLE), SERVERS_VARIABLE),
        (current.bootstrap_servers, by_context),
        (DEFAULT_SERVERS, "the default"),
    )
    space, space_from = _first(
        (namespace, "--namespace"),
        (named.namespace, by_context),
        (environ.get(NAMESPACE_VARIABLE), NAMESPACE_VARIABLE),
        (current.namespace, by_context),
        (DEFAULT_NAMESPACE, "the default"),
    )
    try:
        check_servers(servers)
    except InvalidRequest as error:
        raise InvalidRequest(f"{servers_from} is not valid: {error.message}", hint=error.hint) from error
    try:
        check_namespace(space)
    except InvalidRequest as error:
        raise InvalidRequest(f"{space_from} is not valid: {error.message}", hint=error.hint) from error
    return Target(servers, space, chosen, servers_from, space_from)


def _first(*candidates: tuple[str | None, str]) -> tuple[str, str]:
    """Return the first value that was given. An empty variable counts as not given, an empty flag as given."""
    for value, origin in candidates:
        if value is not None and (value or origin.startswith("--")):
            return value, origin
    raise AssertionError("the default is always given")
