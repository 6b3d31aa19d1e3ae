"""`context`: list, choose, set and remove the contexts in the user's file."""

from __future__ import annotations

from dataclasses import replace

from headgate.cli.contexts import (
    Context,
    check_context_name,
    check_servers,
    read_contexts,
    write_contexts,
)
from headgate.cli.options import Where
from headgate.cli.output import Format, note, say, structured, table
from headgate.cli.verbs import target_of
from headgate_events.errors import InvalidRequest
from headgate_events.names import check_namespace


def show_contexts(form: Format) -> None:
    """Print the contexts by name."""
    contexts = read_contexts()
    items = [
        {
            "name": name,
            "current": name == contexts.current,
            "bootstrap_servers": each.bootstrap_servers,
            "namespace": each.namespace,
        }
        for name, each in sorted(contexts.contexts.items())
    ]
    if form in {Format.JSON, Format.YAML}:
        structured({"items": items}, form)
    elif form is Format.NAME:
        for item in items:
            say(str(item["name"]))
    elif items:
        table(
            ("CURRENT", "NAME", "BOOTSTRAP SERVERS", "NAMESPACE"),
            [
                ("*" if item["current"] else "", item["name"], item["bootstrap_servers"] or "", item["namespace"] or "")
                for item in items
            ],
        )
    else:
        note(f"There are no contexts in {contexts.path}. Make one with `headgate context set NAME`.")


def use_context(name: str) -> None:
    """Make a context the current one."""
    contexts = read_contexts()
    contexts.get(name)
    write_contexts(replace(contexts, current=name))
    say(f"The current context is {name}.")


def change_context(name: str, bootstrap_servers: str | None, namespace: str | None, *, use: bool) -> None:
    """Make or change a context; what is not given stays as it was."""
    check_context_name(name)
    if bootstrap_servers is not None:
        check_servers(bootstrap_servers)
    if namespace is not None:
        check_namespace(namespace)
    contexts = read_contexts()
    before = contexts.contexts.get(name)
    if before is None and bootstrap_servers is None and namespace is None:
        raise InvalidRequest("A new context needs something to say.", hint="Give --bootstrap-servers or --namespace.")
    known = before or Context()
    after = Context(bootstrap_servers or known.bootstrap_servers, namespace or known.namespace)
    current = name if use or contexts.current is None else contexts.current
    write_contexts(replace(contexts, contexts={**contexts.contexts, name: after}, current=current))
    say(f"The context {name} is {'changed' if before else 'made'}" + (" and current." if current == name else "."))


def remove_context(name: str) -> None:
    """Forget a context; when it was the current one, there is none."""
    contexts = read_contexts()
    contexts.get(name)
    left = {each: context for each, context in contexts.contexts.items() if each != name}
    write_contexts(replace(contexts, contexts=left, current=contexts.current if contexts.current in left else None))
    say(f"The context {name} is removed.")


def show_current(form: Format, where: Where) -> None:
    """Print where commands go, and which flag, variable or file decided it."""
    target = target_of(where)
    if form in {Format.JSON, Format.YAML}:
        structured(
            {
                "context": target.context,
                "bootstrap_servers": target.bootstrap_servers,
                "bootstrap_servers_from": target.servers_from,
                "namespace": target.namespace,
                "namespace_from": target.namespace_from,
            },
            form,
        )
    elif form is Format.NAME:
        say(target.context or "")
    else:
        say(f"context:            {target.context or '-'}")
        say(f"bootstrap servers:  {target.bootstrap_servers} (from {target.servers_from})")
        say(f"namespace:          {target.namespace} (from {target.namespace_from})")
