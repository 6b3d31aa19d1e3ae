"""`verify`: whether the history, refolded, is the state, and whether every input was answered once."""

from __future__ import annotations

import dataclasses
import sys

import typer

from headgate.cli.exits import OK, RUNTIME
from headgate.cli.options import Where
from headgate.cli.output import Format, note, say, structured, table
from headgate.cli.reaching import reach
from headgate.cli.verbs import target_of
from headgate.cli.wording import plural
from headgate_events.topics import Topics


def verify_namespace(form: Format, where: Where) -> None:
    """Verify a namespace, print what was found, and end with 1 when anything differs."""
    from headgate.bootstrap import make_clock, make_log
    from headgate.projector.verify import verify
    from headgate.settings import load_settings

    target = target_of(where)
    settings = load_settings(bootstrap_servers=target.bootstrap_servers, namespace=target.namespace)
    reach(target)

    def progress(done: int, count: int) -> None:
        if sys.stderr.isatty():
            note(f"partition {done} of {count} verified")

    found = verify(make_log(settings, "headgate-verify"), Topics(target.namespace), make_clock(), progress=progress)
    if form in {Format.JSON, Format.YAML}:
        structured({"ok": found.ok, **dataclasses.asdict(found)}, form)
    elif form is Format.NAME:
        for stream in dict.fromkeys(each.stream for each in found.differences if each.stream is not None):
            say(stream)
    else:
        say(
            f"{found.namespace}: {plural(found.streams, 'stream')}, {plural(found.transitions, 'transition')}, "
            f"{plural(found.outcomes, 'outcome')} of {plural(found.inputs, 'input')} in "
            f"{plural(found.partitions, 'partition')}."
        )
        if found.waiting:
            say(f"{plural(found.waiting, 'command')} still waits for its time or for a check.")
        if found.unfolded:
            say(f"{plural(found.unfolded, 'input')} came meanwhile and is not judged.")
        if found.ok:
            say("Refolding the history gives exactly the states that are stored; every input has one outcome.")
        else:
            table(
                ("PARTITION", "STREAM", "CODE", "WHAT"),
                [(each.partition, each.stream or "", each.code, each.message) for each in found.differences],
            )
            note(f"headgate: {plural(found.found, 'difference')} found: the state is not what the history says.")
    raise typer.Exit(OK if found.ok else RUNTIME)
