"""`init`: the topics of the namespace, created where they are missing and checked where they are there."""

from __future__ import annotations

import dataclasses

import typer

from headgate.cli.exits import ENVIRONMENT, OK
from headgate.cli.options import Where
from headgate.cli.output import Format, note, say, structured, table
from headgate.cli.reaching import reach
from headgate.cli.verbs import target_of
from headgate_events.topics import Topics


def initialise(check: bool, partitions: int | None, replication_factor: int | None, form: Format, where: Where) -> None:
    """Create and check the topics, print an item for each, and end with 3 when one is not as it must be."""
    from headgate.adapters.kafka.topics import BROKERS_DEFAULT
    from headgate.bootstrap import make_topic_administration
    from headgate.settings import load_settings

    target = target_of(where)
    settings = load_settings(bootstrap_servers=target.bootstrap_servers, namespace=target.namespace)
    reach(target)
    checks = make_topic_administration(settings).ensure(
        Topics(target.namespace).specs,
        partitions=partitions,
        replication_factor=replication_factor or BROKERS_DEFAULT,
        create=not check,
    )
    if form in {Format.JSON, Format.YAML}:
        structured({"items": [dataclasses.asdict(each) for each in checks]}, form)
    elif form is Format.NAME:
        for each in checks:
            say(each.topic)
    else:
        table(
            ("TOPIC", "RESULT", "WHAT"),
            [(each.topic, each.verdict, each.detail) for each in checks],
            {"created": "green", "ok": "green", "missing": "yellow", "wrong": "red", "failed": "red"},
        )
    wrong = [each for each in checks if not each.fine]
    for each in wrong:
        note(f"headgate: {each.topic}: {each.detail}" + (f" {each.hint}" if each.hint else ""))
    raise typer.Exit(ENVIRONMENT if wrong else OK)
