"""`dead-letters`: reads `<ns>.dead-letters.<stream>` to its present end and shows what lies there.

A dead letter's number is its place on that topic, `PARTITION:OFFSET`. Keys, values and headers are shown as text where
they are text, else as base64 under a name that says so, so that nothing is changed on the way to whoever reads it.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import orjson
import typer

from headgate.cli import connection as connections
from headgate.cli.exits import OK
from headgate.cli.options import Where
from headgate.cli.output import Format, note, say, several, structured, table
from headgate.cli.reaching import reach
from headgate.cli.target import Target
from headgate.cli.verbs import target_of
from headgate.cli.wording import safe, when
from headgate.settings import Settings, load_settings
from headgate_events.dead_letters import Retried, is_retried, number_of, original_headers, read_dead_letter
from headgate_events.errors import NotFound, TopicsMissing, UnreadableRecord
from headgate_events.names import check_stream_name
from headgate_events.records import Record
from headgate_events.topics import Topics

TIMEOUT_S = 60.0
COLUMNS = ("NUMBER", "RECORD FROM", "SOURCE", "ATTEMPT", "RETRIED", "CODE", "WHY")


def list_dead_letters(stream: str, code: str | None, limit: int, form: Format, where: Where) -> None:
    """List the newest dead letters of a stream, the oldest of them first."""
    found = deque(_letters(stream, code, where), maxlen=limit)
    if form in {Format.JSON, Format.YAML}:
        several(list(found), form, alone=False)
    elif form is Format.NAME:
        for each in found:
            say(each["number"])
    elif found:
        table(
            COLUMNS,
            [
                (
                    each["number"],
                    when(each["timestamp_ms"]),
                    f"{each['topic']}:{each['partition']}@{each['offset']}",
                    each["attempt"],
                    _retried(each["retried"]),
                    each["code"],
                    safe(each["message"], 80),
                )
                for each in found
            ],
        )
    else:
        note(f"{stream} has no dead letters" + (f" with the code {code}." if code else "."))
    raise typer.Exit(OK)


def show_dead_letter(stream: str, number: str, form: Format, where: Where) -> None:
    """Show one dead letter. Raises NotFound where there is none of that number."""
    for each in _letters(stream, None, where):
        if each["number"] == number:
            structured(each, form if form in {Format.JSON, Format.YAML} else Format.YAML)
            raise typer.Exit(OK)
    raise NotFound(
        f"{stream} has no dead letter {safe(number, 40)}.", hint=f"See `headgate dead-letters list {stream}`."
    )


def export_dead_letters(stream: str, code: str | None, where: Where) -> None:
    """Write every dead letter as one JSON object a line."""
    for each in _letters(stream, code, where):
        say(orjson.dumps(each).decode())
    raise typer.Exit(OK)


def letter_of(record: Record, retried: Retried | None = None) -> dict[str, Any]:
    """Return a dead letter as a JSON object. Raises UnreadableRecord when it is none."""
    letter = read_dead_letter(record)
    fields = {name: getattr(letter, name) for name in letter.__slots__}
    key, value = record.key(), record.value()
    return {
        "number": f"{record.partition()}:{record.offset()}",
        **fields,
        **_text("key", key),
        **_text("value", value),
        "headers": [{"name": name, **_text("value", header)} for name, header in original_headers(record)],
        "retried": retried
        and {name: getattr(retried, name) for name in ("at_ms", "actor", "reason", "to", "revision")},
    }


def _retried(memory: dict[str, Any] | None) -> str:
    """Say in a cell when and by whom it was sent again."""
    if memory is None:
        return ""
    to = " to source" if memory["to"] == "source" else ""
    return f"{when(memory['at_ms'])}{to} by {safe(memory['actor'], 40)}"


def _text(name: str, data: bytes | str | None) -> dict[str, str | None]:
    if data is None or isinstance(data, str):
        return {name: data}
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode()}


def _letters(stream: str, code: str | None, where: Where) -> Iterator[dict[str, Any]]:
    from headgate.worker.retrying import look

    target = target_of(where)
    settings = load_settings(bootstrap_servers=target.bootstrap_servers, namespace=target.namespace)
    topic = Topics(target.namespace).dead_letters(check_stream_name(stream))
    reach(target)
    with closing(TopicOfLetters(settings, topic)) as reader:
        known = look(reader.read())
        if reader.missing:
            _must_exist(stream, target)
            return
        for batch in reader.read():
            for record in batch:
                if is_retried(record):
                    continue
                try:
                    letter = letter_of(record, known.retried.get(number_of(record)))
                except UnreadableRecord as error:
                    note(f"{topic}, partition {record.partition()}, offset {record.offset()}: {error.message}")
                    continue
                if code is None or letter["code"] == code:
                    yield letter


def _must_exist(stream: str, target: Target) -> None:
    """Raise NotFound where a stream without a topic of dead letters is none at all: perhaps its name is misspelt."""
    with connections.open_connection(target) as connection:
        if stream not in connection.states():
            raise NotFound(f"There is no stream {stream} in {target.namespace}.", hint="See `headgate get`.")


class TopicOfLetters:
    """The dead-letters topic of a stream, to be read as often as is needed. One thread owns it.

    `missing` says after the first reading whether there is no such topic (yet).
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        from headgate_events.client.reader import TopicReader

        self._reader = TopicReader(settings.bootstrap_servers, topic, settings.kafka)
        self.missing = False

    def read(self) -> Iterator[Sequence[Record]]:
        """Yield batches from the beginning to the present end; none where there is no topic yet."""
        try:
            count = self._reader.partitions(TIMEOUT_S)
        except TopicsMissing:
            self.missing = True
            return  # it is made when the first stream asks for it
        self._reader.start(dict.fromkeys(range(count)))
        yield from self._reader.to_now(TIMEOUT_S)

    def close(self) -> None:
        """Let go of the reader."""
        self._reader.close()
