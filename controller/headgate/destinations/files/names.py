"""The names of finished files, and of what is kept beside them. Pure.

A finished file is called `<stream>.<incarnation>.<topic>.<partition>.<first offset>.<extension>`: two streams never
meet in one folder, a stream that was made anew never meets its former self, and names in order are records in order.
The last offset is no part of the name, so a file of 0–99 and one of 0–149 cannot both stand. Only where somebody
sent the stream back to offsets that it had already written is there a second name for one first offset, and it says so:
`….again-<commit's number>.<extension>`.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final, Literal, NamedTuple

from headgate.ports.log import TopicPartition

KEPT_BESIDE: Final = ".headgate"
"""The folder, within the destination's, for unfinished files and journals. Hidden, so that patterns pass it over."""

_LONGEST_TOPIC: Final = 100
_OFFSET_DIGITS: Final = 20
_NUMBER_DIGITS: Final = 12


def owner(stream: str, incarnation: int) -> str:
    """Return how a stream's files begin, and what its folder of journals is called."""
    return f"{stream}.{incarnation}"


def place(partition: TopicPartition) -> str:
    """Return a source partition as part of a name; a topic that is too long for one ends in a digest of itself."""
    topic = partition.topic
    if len(topic) > _LONGEST_TOPIC:
        topic = f"{topic[:80]}~{sha256(topic.encode()).hexdigest()[:16]}"
    return f"{topic}.{partition.partition}"


def finished(whose: str, partition: TopicPartition, first: int, extension: str, again: int | None = None) -> str:
    """Return the name of a finished file; `again` is the number of the commit where the plain name was used before."""
    marked = "" if again is None else f".again-{again}"
    return f"{whose}.{place(partition)}.{first:0{_OFFSET_DIGITS}}{marked}.{extension}"


def delivered(whose: str, partition: TopicPartition, first: int, nonce: str, extension: str) -> str:
    """Return the name of an object that may be delivered again: `nonce` keeps deliveries from replacing each other."""
    return f"{whose}.{place(partition)}.{first:0{_OFFSET_DIGITS}}.{nonce}.{extension}"


def entry(partition: TopicPartition, number: int) -> str:
    """Return the name of a journal's entry."""
    return f"{place(partition)}.{digits(number)}.json"


def staged(partition: TopicPartition, number: int, nonce: str) -> str:
    """Return the name of an unfinished file, which can only become finished with the journal's entry `number`."""
    return f"{place(partition)}.{digits(number)}.{nonce}.staged"


def digits(number: int) -> str:
    """Return an entry's number as it stands in names."""
    return f"{number:0{_NUMBER_DIGITS}}"


def predecessor(name: str, stream: str, incarnation: int) -> bool:
    """Say whether a folder of journals is of an earlier incarnation of a stream."""
    of, _, number = name.rpartition(".")
    return of == stream and number.isdecimal() and int(number) < incarnation


class Part(NamedTuple):
    """What a name in the folder beside says: of which partition, for which number, and what the file is."""

    place: str
    number: int
    what: Literal["entry", "staged", "draft"]


_PARTS: Final = re.compile(
    r"(?P<place>.+)\.(?P<number>\d{12})\.(?:(?P<entry>json)|(?P<draft>json\.\w+\.draft)|[\w-]+\.staged)"
)


def read(name: str) -> Part | None:
    """Take a name in the folder beside apart; None for a name of another make."""
    if (found := _PARTS.fullmatch(name)) is None:
        return None
    what: Literal["entry", "staged", "draft"] = "entry" if found["entry"] else "draft" if found["draft"] else "staged"
    return Part(found["place"], int(found["number"]), what)
