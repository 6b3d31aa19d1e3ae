"""The account of one source partition: where a run began, how far it is, and what a drain's receipt says of it.

The account travels with the committed position, as the text beside it, so that it survives its owner: whoever
inherits a partition in the middle of a run, or of a drain, goes on counting where the predecessor's last commit
stopped. A text of another run is not continued: `begin` decides where a partition starts, by one rule.

A run is named by `started_epoch`, the epoch at which the stream's tasks last started. Within it:

1. committed by this run: go on there, with its account;
2. else an explicit position of the state, which a validation, a resume or a recover resolved;
3. else the committed position, whoever committed it;
4. else unknown: the partition's beginning when the run already knew its topic (it appeared later), or the stream's
   start policy when the topic is new to the stream.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

from headgate_events.idleness.signals import MAX

MAX_METADATA_BYTES: Final = 4_096


@dataclass(slots=True)
class Account:
    """What happened to one partition in this run. `position` is the next offset to read; `start` where the run began.

    `read` and `written` count records over start…position, also across owners; `set_aside` those of `read` that could
    not be processed and were passed over or became dead letters. `digest` is chained over the records where the stream
    asks for it, else None. `watermark` is how far the event time of what was read has come, in any run and under any
    owner, where the stream has event time. `dirty` says that the last commit does not cover it yet.
    """

    start: int
    position: int
    read: int = 0
    written: int = 0
    dirty: bool = True
    set_aside: int = 0
    digest: bytes | None = None
    watermark: int | None = None

    def advance(self, position: int, read: int, written: int) -> None:
        """Move on to `position` after `read` records that yielded `written`."""
        assert position >= self.position, "a position never goes back within a run"
        self.position = position
        self.read += read
        self.written += written
        self.dirty = True

    def metadata(self, started_epoch: int) -> str:
        """Return the text to commit beside the position."""
        more = f',"a":{self.set_aside}' if self.set_aside else ""
        if self.digest is not None:
            more += f',"d":"{self.digest.hex()}"'
        if self.watermark is not None:
            more += f',"m":{self.watermark}'
        return f'{{"e":{started_epoch},"s":{self.start},"r":{self.read},"w":{self.written}{more}}}'

    def receipt(self, topic: str, partition: int, worker: str) -> dict[str, Any]:
        """Return the drain's receipt; only for an account that is committed."""
        assert not self.dirty, "a receipt speaks of what is committed"
        return {
            "topic": topic,
            "partition": partition,
            "start": self.start,
            "end": self.position,
            "read": self.read,
            "written": self.written,
            "worker": worker,
            "set_aside": self.set_aside,
            "digest": None if self.digest is None else self.digest.hex(),
        }


def begin(started_epoch: int, committed: tuple[int, str] | None, explicit: int | None) -> Account | Literal["unknown"]:
    """Return the account with which a partition starts, by rules 1 to 3, or `unknown` for rule 4.

    `committed` is the group's position with its text; `explicit` the state's position for this partition.
    """
    if committed is not None and (account := _continued(started_epoch, *committed)) is not None:
        return account
    if explicit is not None:
        return Account(start=explicit, position=explicit)
    if committed is not None:
        return Account(start=committed[0], position=committed[0])
    return "unknown"


def watermark_of(text: str) -> int | None:
    """Return the watermark that the text beside a position tells, of whatever run; None where it tells none."""
    if not text or len(text) > MAX_METADATA_BYTES:
        return None
    try:
        found = json.loads(text)["m"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if type(found) is int and -MAX <= found < MAX else None


def _continued(started_epoch: int, position: int, text: str) -> Account | None:
    """Read an account of this run back; None for a text of another run, or of somebody else."""
    if not text or len(text) > MAX_METADATA_BYTES:
        return None
    try:
        found = json.loads(text)
        numbers = epoch, start, read, written, aside = (*(found[name] for name in "esrw"), found.get("a", 0))
        digest = bytes.fromhex(found["d"]) if "d" in found else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        return None
    if epoch != started_epoch or start > position or (digest is not None and len(digest) != 32):
        return None
    return Account(start, position, read, written, dirty=False, set_aside=aside, digest=digest)
