"""`dead-letters retry`: does a worker's work for some dead letters, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import typer

from headgate.cli import connection as connections
from headgate.cli.actor import find_actor
from headgate.cli.choosing import now_ms
from headgate.cli.connection import StateJson
from headgate.cli.exits import OK, RUNTIME
from headgate.cli.letters import TopicOfLetters
from headgate.cli.options import Where
from headgate.cli.output import Format, note, say, structured
from headgate.cli.reaching import reach
from headgate.cli.verbs import target_of
from headgate.cli.wording import plural, safe
from headgate.ports.errors import ProducerFenced
from headgate.settings import Settings, load_settings
from headgate_events.dead_letters import Number, Retried, read_number
from headgate_events.errors import HeadgateError, InvalidRequest, NotFound
from headgate_events.names import check_stream_name
from headgate_events.topics import Topics

if TYPE_CHECKING:
    from headgate.worker.retrying import Result, Trouble, Way

MAX_REASON = 1_000
SHOWN = 20


class AnotherRetry(HeadgateError):
    """Somebody else began to retry the same stream's dead letters, and was given the turn."""

    code = "retry.overtaken"
    retriable = True


def retry_dead_letters(
    stream: str,
    numbers: Sequence[str],
    where: Where,
    form: Format,
    *,
    everything: bool,
    code: str | None,
    to_source: bool,
    dry_run: bool,
    reason: str | None,
    actor: str | None,
) -> None:
    """Send what was chosen, print what came of it, and end with 1 when something was not sent."""
    from headgate.worker.retrying import Choice, retry

    check_stream_name(stream)
    chosen = _numbers(numbers)
    if sum((bool(chosen), everything, code is not None)) != 1:
        raise InvalidRequest(
            "Say which dead letters to retry.", hint="Give their numbers, or --all, or --code, and one of these alone."
        )
    if reason is not None and len(reason) > MAX_REASON:
        raise InvalidRequest(f"--reason is longer than {MAX_REASON:,} characters.")
    who, target = find_actor(actor), target_of(where)
    with connections.open_connection(target) as connection:
        state = connection.states().get(stream)
    if state is None:
        raise NotFound(f"There is no stream {stream} in {target.namespace}.", hint="See `headgate get`.")
    settings = load_settings(bootstrap_servers=target.bootstrap_servers, namespace=target.namespace)
    topic = Topics(target.namespace).dead_letters(stream)
    reach(target)
    way = _way(settings, state, topic, to_source=to_source)
    choice = Choice(state["incarnation"], frozenset(chosen) or None, code)

    def remembering(done: tuple[Number, ...]) -> Retried:
        return Retried(done, now_ms(), who, reason, way.to, state["revision"]["desired"])

    try:
        with closing(way), closing(TopicOfLetters(settings, topic)) as letters:
            result = retry(way, letters.read, choice, remembering, dry_run=dry_run)
    except ProducerFenced as error:
        raise AnotherRetry(
            f"Another retry of {stream} began meanwhile, and goes on with what this one left.",
            hint="See `headgate dead-letters list`; the same command sends what is still left.",
        ) from error
    _tell(stream, way, result, form, dry_run=dry_run)
    raise typer.Exit(OK if result.is_whole else RUNTIME)


def _numbers(given: Sequence[str]) -> list[Number]:
    found = []
    for text in given:
        number = read_number(text)
        if number is None:
            raise InvalidRequest(f"{safe(text, 40)!r} is no number of a dead letter.", hint="Write PARTITION:OFFSET.")
        found.append(number)
    return found


def _way(settings: Settings, state: StateJson, topic: str, *, to_source: bool) -> Way:
    from headgate.bootstrap import make_means
    from headgate.worker.pipeline import build
    from headgate.worker.retrying import RetryRefused, ThroughTransform, ToSource
    from headgate.worker.view import view_of

    view, means = view_of(state), make_means(settings)
    if to_source:
        return ToSource(view, means, topic)
    if not view.runs:
        raise RetryRefused(
            f"{view.stream} is {view.status}, so nothing is written to its destination.",
            hint="Let it run first, or send the records back to its source: --to-source.",
        )
    return ThroughTransform(build(view, means), view, means, topic)


def _tell(stream: str, way: Way, result: Result, form: Format, *, dry_run: bool) -> None:
    if form in {Format.JSON, Format.YAML}:
        structured(
            {
                "stream": stream,
                "to": way.to,
                "promise": way.promise.replace(" ", "_"),
                "dry_run": dry_run,
                "sent": result.sent,
                "outputs": result.outputs,
                "already": result.already,
                "failed_again": [_trouble(each) for each in result.failed],
                "left": [_trouble(each) for each in result.left],
            },
            form,
        )
        return
    would = "would be sent" if dry_run else "sent"
    came = f", as {plural(result.outputs, 'record')}" if way.to == "destination" else ""
    already = f"; {result.already:,} had been sent before" if result.already else ""
    say(f"{stream}: {plural(result.sent, 'dead letter')} {would} to the {way.to}{came} ({way.promise}){already}.")
    if result.failed:
        ends = "would fail again" if dry_run else "failed again and became new dead letters"
        note(f"{plural(len(result.failed), 'dead letter')} {ends}:")
        _list(result.failed)
    if result.left:
        note(f"{plural(len(result.left), 'dead letter')} left as they are:")
        _list(result.left)


def _list(troubles: Sequence[Trouble]) -> None:
    for letter, error in troubles[:SHOWN]:
        note(f"  {letter.number}: {safe(error.message, 300)} ({error.code})")
    if len(troubles) > SHOWN:
        note(f"  … and {len(troubles) - SHOWN:,} more; -o json names all.")


def _trouble(trouble: Trouble) -> dict[str, Any]:
    letter, error = trouble
    return {"number": str(letter.number), "code": error.code, "message": error.message}
