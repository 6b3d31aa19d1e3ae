"""`verify --receipts`: whether what the last drain's receipts say is what the source and the destination hold."""

from __future__ import annotations

import dataclasses

import typer

from headgate.cli import connection as connections
from headgate.cli.exits import OK, RUNTIME
from headgate.cli.options import Where
from headgate.cli.output import Format, note, say, structured, table
from headgate.cli.verbs import target_of
from headgate.cli.wording import plural
from headgate_events.errors import NotFound
from headgate_events.names import check_stream_name


def verify_receipts(stream: str, form: Format, where: Where) -> None:
    """Check the receipts of one stream, print what was found, and end with 1 when one differs."""
    from headgate.bootstrap import make_clock, make_log
    from headgate.settings import load_settings
    from headgate.worker.auditing import audit

    target = target_of(where)
    with connections.open_connection(target) as connection:
        state = connection.states().get(check_stream_name(stream))
    if state is None:
        raise NotFound(f"There is no stream {stream} in {target.namespace}.", hint="See `headgate get`.")
    settings = load_settings(bootstrap_servers=target.bootstrap_servers, namespace=target.namespace)
    found = audit(make_log(settings, "headgate-verify"), make_clock(), state, settings.transform_module_names)
    differ = sum(each.verdict == "differs" for each in found)
    if form in {Format.JSON, Format.YAML}:
        structured({"stream": stream, "ok": not differ, "receipts": [dataclasses.asdict(each) for each in found]}, form)
    elif not found:
        say(f"{stream} has no receipts: it has not been drained in its present run.")
    else:
        table(
            ("PARTITION", "FROM", "TO", "READ", "WRITTEN", "VERDICT", "WHAT"),
            [(f"{e.topic}:{e.partition}", e.start, e.end, e.read, e.written, e.verdict, e.told) for e in found],
        )
    if differ:
        note(f"headgate: {plural(differ, 'receipt')} of {stream} not as the source and the destination say.")
    raise typer.Exit(RUNTIME if differ else OK)
