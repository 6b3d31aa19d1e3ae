"""The journal of a stream in its folder: what was committed, and the right to commit what comes next.

Each source partition has a chain of entries, small files numbered 1, 2, 3 …, of which number *n + 1* is created
exclusively (link(2)) by whoever knows that *n* is the newest. So an entry is a compare-and-set: of two owners one gets
the number, and the other learns that it is stale. An entry is one of two things:

- a *claim*, made by an owner when it takes a partition on: the position as it was, and a higher token. From then on
  nothing that its predecessor began can be committed, because the number it would need is taken;
- a *commit*: the next position with the text beside it, and the file that this commit finishes, if it has one.

**The entry is the commit.** A file is written as `….staged` and made durable first, then the entry that names it is
created, then the staged file is renamed to its final name (`settle`). A crash before the entry leaves a staged file
that never counts; a crash after it leaves a staged file that is whole, durable and committed, and whoever comes next
renames it before anything else. No entry *n + 1* is made before the file of *n* has its name. So at every moment the
finished files are a prefix of what was committed, without a hole, a double or a part. Renaming is one step: the file
has either name, never both, and a reader that moves finished files away is not given one a second time.

**Why not in the finished files themselves.** A name that ends in the last offset would let 0–99 and 0–149 both
exist; plain JSON Lines has no place inside for a position; a commit without output has no file; and whoever loads
finished files and deletes them would delete the stream's memory.

**Leftovers.** A staged file carries the number of the entry that it is meant for. Once that number is taken by an entry
that does not name it, it can never be finished, whether its owner is dead or merely slow: `_sweep` removes it. One
whose number is still free is never touched, with two exceptions: where there is no room for the claim that would take
the number, and where the stream was deleted (`retire`). Then the file's lock decides, which its writer holds from the
first byte until the commit, and which the kernel lets go of only when the process is gone.

**Old entries** are deleted, all but the last few. A sleeper for whose number the entry was deleted can create it
again; it looks around afterwards, sees the higher one, and takes it back. Readers go by the highest number alone.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from headgate.destinations.files import names
from headgate.destinations.files.durable import create, sync_folder
from headgate.ports.connectors import ConnectorRefused, ConnectorUnavailable
from headgate.ports.destination import StaleOwner, Token
from headgate.ports.log import Committed, TopicPartition

KEPT_ENTRIES: Final = 4
ATTEMPTS: Final = 20
"""How often the newest entry is looked for, while others make entries and delete old ones."""


class Entry(NamedTuple):
    """One entry: what is committed of a partition, and by whom. `committed` is None before the first commit.

    `reach` is the highest position ever committed: a first offset from there on was never the name of a file.
    `staged` and `final` name the file of this commit, if it has one.
    """

    number: int
    token: Token
    committed: Committed | None
    reach: int
    staged: str | None = None
    final: str | None = None


class Journal:
    """The entries of one stream's incarnation in one folder. `nonce` is this destination's own, for names.

    `folder` holds the finished files, `beside` the entries and the staged files; both are in one file system.
    """

    def __init__(self, folder: Path, beside: Path, nonce: str) -> None:
        self._folder = folder
        self._beside = beside
        self._nonce = nonce

    # Reading

    def newest(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Entry]:
        """Return the newest entry of each partition that has one."""
        asked = {names.place(each): each for each in partitions}
        for _ in range(ATTEMPTS):
            with contextlib.suppress(FileNotFoundError):  # a newer one was made and this one deleted: look again
                return {
                    asked[place]: self._read(asked[place], number)
                    for place, number in self._numbers().items()
                    if place in asked
                }
        raise ConnectorUnavailable("The journal of the stream changed faster than it could be read.")

    def _numbers(self) -> dict[str, int]:
        """Return the highest number of an entry at each place."""
        highest: dict[str, int] = {}
        for _, place, number, what in self._present():
            if what == "entry" and number > highest.get(place, 0):
                highest[place] = number
        return highest

    def _present(self) -> Iterator[tuple[Path, str, int, str]]:
        for path in self._beside.iterdir():
            if (part := names.read(path.name)) is not None:
                yield path, *part

    def _read(self, partition: TopicPartition, number: int) -> Entry:
        path = self._beside / names.entry(partition, number)
        of, entry = _read(path.read_bytes(), number, path)
        if of != partition:
            raise ConnectorRefused(f"The journal's entry {path} is of another partition than its name says.")
        return entry

    # Writing

    def claim(self, claims: Mapping[TopicPartition, Token]) -> dict[TopicPartition, Entry]:
        """Take partitions on: finish what was committed, then shut out whoever was there. Return the claims.

        Raises StaleOwner where a higher token is known.
        """
        known = self.newest(claims)
        for partition, entry in known.items():
            if claims[partition] < entry.token:
                raise StaleOwner(f"A newer owner of {partition.topic}[{partition.partition}] is known in the folder.")
        self.settle(known)
        self._sweep({each: known[each].number if each in known else 0 for each in claims}, known)
        made = {}
        for partition, token in claims.items():
            before = known.get(partition) or Entry(0, token, None, 0)
            made[partition] = Entry(before.number + 1, token, before.committed, before.reach)
        try:
            self._append(made)
        except OSError:
            self._make_room(made)
            raise
        self._sweep({each: entry.number for each, entry in made.items()}, {})
        return made

    def fence(self, claims: Mapping[TopicPartition, Token]) -> None:
        """Claim for nobody, so that no owner with a lower token commits; where one is as high, that is done already."""
        for _ in range(ATTEMPTS):
            known = self.newest(claims)
            lower = {each: token for each, token in claims.items() if each not in known or known[each].token < token}
            if not lower:
                return
            with contextlib.suppress(StaleOwner):  # somebody was quicker: look again
                self.claim(lower)
        raise ConnectorUnavailable("The journal of the stream changed faster than it could be fenced.")

    def commit(self, entries: Mapping[TopicPartition, Entry]) -> None:
        """Create the next entries, whose staged files are durable, and give the files their names.

        After an error some partitions may be committed and others not; `newest` tells. Raises StaleOwner.
        """
        self._append(entries)
        self.settle(entries)
        self._prune(entries)

    def settle(self, entries: Mapping[TopicPartition, Entry]) -> None:
        """Give the files of committed entries their final names, where that was not done yet."""
        renamed = False
        for entry in entries.values():
            if entry.staged is not None and entry.final is not None:
                renamed |= self._rename(self._beside / entry.staged, self._folder / entry.final)
        if renamed:
            sync_folder(self._folder)

    def _rename(self, staged: Path, final: Path) -> bool:
        """Rename a staged file; False when that was done before, by whomever."""
        if _another(final, staged):
            raise ConnectorRefused(
                f"The folder has a file {final.name} that this stream did not write.", hint="Move it elsewhere."
            )
        try:
            staged.rename(final)
        except FileNotFoundError:
            return False
        with contextlib.suppress(FileNotFoundError):  # rename(2) leaves both names of one file as they are
            staged.unlink()
        return True

    def _append(self, entries: Mapping[TopicPartition, Entry]) -> None:
        sync_folder(self._beside)  # the names of staged files first, then the entries that speak of them
        try:
            for partition, entry in entries.items():
                path = self._beside / names.entry(partition, entry.number)
                if not create(path, _written(entry, partition), self._nonce):
                    raise StaleOwner(
                        f"A newer owner of {partition.topic}[{partition.partition}] has gone on in the folder."
                    )
        finally:
            sync_folder(self._beside)
        highest = self._numbers()
        for partition, entry in entries.items():
            if highest.get(names.place(partition), 0) > entry.number:
                (self._beside / names.entry(partition, entry.number)).unlink(missing_ok=True)
                raise StaleOwner(
                    f"Newer owners of {partition.topic}[{partition.partition}] have gone on long ago in the folder."
                )

    # Clearing away

    def _prune(self, entries: Mapping[TopicPartition, Entry]) -> None:
        for partition, entry in entries.items():
            if entry.number > KEPT_ENTRIES:
                (self._beside / names.entry(partition, entry.number - KEPT_ENTRIES)).unlink(missing_ok=True)

    def _sweep(self, taken: Mapping[TopicPartition, int], known: Mapping[TopicPartition, Entry]) -> None:
        """Remove what was staged for numbers that are taken, and old entries. The files of `known` entries are kept."""
        kept = {self._beside / entry.staged for entry in known.values() if entry.staged is not None}
        numbers = {names.place(partition): number for partition, number in taken.items()}
        for path, place, number, what in self._present():
            newest = numbers.get(place, 0) - (KEPT_ENTRIES if what == "entry" else 0)
            if number <= newest and path not in kept:
                path.unlink(missing_ok=True)

    def _make_room(self, claims: Mapping[TopicPartition, Entry]) -> None:
        """Remove what was staged for the numbers that could not be claimed, if its writer's process is gone."""
        numbers = {names.place(partition): entry.number for partition, entry in claims.items()}
        for path, place, number, what in self._present():
            if what == "staged" and numbers.get(place) == number:
                _remove_if_abandoned(path)

    def retire(self) -> None:
        """Finish what was committed, and remove what nobody writes: for an incarnation whose stream was deleted.

        Nobody goes on with it, so nobody else would. What a sleeper still writes stays.
        """
        known = {}
        for place, number in self._numbers().items():
            path = self._beside / f"{place}.{names.digits(number)}.json"
            partition, entry = _read(path.read_bytes(), number, path)
            known[partition] = entry
        self.settle(known)
        for path, _, _, what in self._present():
            if what != "entry":
                _remove_if_abandoned(path)


def _remove_if_abandoned(path: Path) -> None:
    """Remove a file that no process has locked, which is to say: that no process writes."""
    with contextlib.suppress(OSError), path.open("rb+") as abandoned:
        fcntl.flock(abandoned, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


def _another(final: Path, staged: Path) -> bool:
    """Say whether a name is taken by another file than the staged one, which is still there."""
    try:
        return staged.exists() and not final.samefile(staged)
    except FileNotFoundError:
        return False


def _written(entry: Entry, partition: TopicPartition) -> bytes:
    """Return an entry as the bytes of its file."""
    position, text = entry.committed if entry.committed is not None else (None, "")
    return orjson.dumps(
        {
            "topic": partition.topic,
            "partition": partition.partition,
            "token": list(entry.token),
            "next": position,
            "account": text,
            "reach": entry.reach,
            "staged": entry.staged,
            "file": entry.final,
        }
    )


def _read(content: bytes, number: int, path: Path) -> tuple[TopicPartition, Entry]:
    """Return the entry in a file, and whose it is. Raises ConnectorRefused for what no version of ours has written."""
    try:
        found = orjson.loads(content)
        partition = TopicPartition(str(found["topic"]), int(found["partition"]))
        position = found["next"]
        committed = None if position is None else Committed(int(position), str(found["account"]))
        token = Token(*(int(part) for part in found["token"]))
        return partition, Entry(number, token, committed, int(found["reach"]), found["staged"], found["file"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConnectorRefused(
            f"The journal's entry {path} cannot be read: {error}.",
            hint="It says how far the stream is; restore it, or recover the stream in a folder of its own.",
        ) from error
