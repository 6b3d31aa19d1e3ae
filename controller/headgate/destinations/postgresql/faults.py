"""What PostgreSQL's errors mean for a stream: one table from SQLSTATE to who has to act.

A connection that fails, a timeout, a deadlock, a full disk or a shutdown passes by itself. A missing table or column, a
type or a right needs a person. Data that the server refuses is one record's fault (`is_of_a_record`), and looked for by
`blame`. Messages are the server's first line, never its details, which quote whole rows; and never a secret: what is
known to be one is struck out, and the library's own error is not chained where it holds one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

import psycopg

from headgate.ports.connectors import ConnectorRefused, ConnectorUnavailable
from headgate_events.errors import HeadgateError

MAX_TEXT: Final = 300
PASSES_BY_ITSELF: Final = ("08", "40", "53", "57", "58", "55P03", "55006", "25006", "25P03", "XX000")
OF_A_RECORD: Final = ("22", "23", "44", "54000", "P0001")
OF_THE_SCHEMA: Final = ("3F", "42", "428C9", "0A000")
LACKS_RIGHTS: Final = ("28", "42501")
REFUSED_AT_THE_DOOR: Final = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "is not permitted to log in",
    "permission denied",
    "certificate authentication failed",
    "certificate verify failed",
)


class SchemaConflict(ConnectorRefused):
    """The table does not fit: it, a column or the key is missing, or of another type."""

    code: ClassVar[str] = "destination.schema_conflict"


class RightsMissing(ConnectorRefused):
    """The role may not do what the stream needs, or may not come in."""

    code: ClassVar[str] = "destination.not_authorized"


class TookTooLong(psycopg.OperationalError):
    """A call did not end within its bound. What the server did with it is unknown; the connection is beyond use."""


def is_of_a_record(error: psycopg.Error) -> bool:
    """Say whether the server refused data, so that one record is to blame."""
    return (error.sqlstate or "").startswith(OF_A_RECORD)


def explained(error: psycopg.Error, place: str, secrets: Sequence[str]) -> HeadgateError:
    """Return ours for an error of the library or of the server."""
    state, said = error.sqlstate, what_it_said(error, secrets)
    if state is None:
        if isinstance(error, psycopg.OperationalError):
            if not isinstance(error, TookTooLong) and any(words in said for words in REFUSED_AT_THE_DOOR):
                return RightsMissing(
                    f"PostgreSQL let us not into {place}: {said}.",
                    hint="Correct the connection, or the server's rights.",
                )
            return ConnectorUnavailable(f"PostgreSQL did not answer for {place}: {said}.")
        return ConnectorRefused(f"psycopg cannot do this with {place}: {said}.")
    if state.startswith(LACKS_RIGHTS):
        return RightsMissing(
            f"PostgreSQL refused a right in {place}: {said}.", hint="Grant it to the connection's role."
        )
    if state.startswith(PASSES_BY_ITSELF):
        return ConnectorUnavailable(f"PostgreSQL cannot take this now, {place}: {said} ({state}).")
    if state.startswith(OF_THE_SCHEMA):
        return SchemaConflict(
            f"The table and the stream do not fit, {place}: {said} ({state}).",
            hint="Change the table or the stream's destination, then recover the stream.",
        )
    return ConnectorRefused(f"PostgreSQL refused this, {place}: {said} ({state}).")


def chained(error: psycopg.Error, secrets: Sequence[str]) -> psycopg.Error | None:
    """Return the error as a cause, or None where its text holds a secret."""
    texts = (str(error), str(error.diag.message_detail), str(error.diag.context))
    return None if any(secret in text for secret in secrets for text in texts) else error


def what_it_said(error: psycopg.Error, secrets: Sequence[str]) -> str:
    """Return the first sentence of an error, without any secret, shortened."""
    text = error.diag.message_primary or str(error)
    for secret in secrets:
        text = text.replace(secret, "***")
    text = " ".join(text.split()).removesuffix(".")
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
