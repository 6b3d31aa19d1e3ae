r"""Values as cells of COPY's text format, in the way that the type of the column asks for.

The server parses the text, by the column's own type: so every type of PostgreSQL works, extensions' too, and what does
not fit is refused there, with the number of its line. Only four sorts of columns need more than the value's text: JSON,
bytes (from a JSON string they are base64, as in Kafka Connect and Debezium), arrays, and times.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

import orjson

Sort = Literal["plain", "json", "bytes", "array", "time"]
NULL: Final = r"\N"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Unencodable(ValueError):
    """A value that no text stands for; the message is half a sentence without the value."""


def text_of(value: Any) -> str:
    """Return the text of a value for a column of a plain type: objects and lists as JSON."""
    if type(value) is str:
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, (int, float, Decimal)):
        return str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise Unencodable("is no UTF-8 text") from None
    return json_of(value)


def json_of(value: Any) -> str:
    """Return the text of a value for a column of JSON; bytes are JSON already."""
    if isinstance(value, bytes):
        return text_of(value)
    try:
        return orjson.dumps(value, default=_number).decode()
    except (TypeError, ValueError):  # an integer beyond 64 bits
        return json.dumps(value, default=_number)


def bytes_of(value: Any) -> str:
    """Return the text of a value for a column of bytes."""
    if isinstance(value, str):
        try:
            value = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise Unencodable("is no base64, which is how JSON carries bytes") from None
    if not isinstance(value, bytes):
        raise Unencodable("is neither bytes nor base64 of them")
    return rf"\x{value.hex()}"


def array_of(value: Any, element: Sort = "plain") -> str:
    """Return the text of a list as an array, nested lists as its dimensions; text is taken as the server writes it."""
    if not isinstance(value, list):
        return text_of(value)
    one = {"json": json_of, "bytes": bytes_of}.get(element, text_of)
    return "{" + ",".join(_element(each, element, one) for each in value) + "}"


def instant_of(timestamp_ms: int) -> str:
    """Return epoch milliseconds as a time with its zone."""
    try:
        return (_EPOCH + timedelta(milliseconds=timestamp_ms)).isoformat(sep=" ")
    except OverflowError:
        raise Unencodable("is no time of this calendar") from None


def encoder(sort: Sort, element: Sort = "plain") -> Callable[[Any], str]:
    """Return what makes a cell of a value for columns of a sort."""
    if sort in {"plain", "time"}:
        return _plain_cell
    if sort == "array":
        return lambda value: cell(array_of(value, element))
    text = json_of if sort == "json" else bytes_of
    return lambda value: cell(text(value))


def _plain_cell(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return value if value.isprintable() and "\\" not in value else cell(value)
    if kind is int or kind is float:
        return repr(value)
    return cell(text_of(value))


def cell(text: str) -> str:
    """Return text as a cell: escaped where the format gives a sign a meaning of its own."""
    if text.isprintable() and "\\" not in text:
        return text
    if "\0" in text:
        raise Unencodable("holds a zero byte, which PostgreSQL keeps in no text")
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def line(cells: list[str]) -> bytes:
    """Return one line of the format."""
    try:
        return ("\t".join(cells) + "\n").encode()
    except UnicodeEncodeError:
        raise Unencodable("holds half of a surrogate pair, which is no text") from None


def _element(value: Any, element: Sort, one: Callable[[Any], str]) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return array_of(value, element)
    return '"' + one(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _number(value: Any) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError
