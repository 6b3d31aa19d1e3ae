"""Files in a local folder, exactly once for whoever reads finished files. How is told in `journal.py`.

Each source partition has a file of its own, so that partitions move between workers one by one. All files of a task are
finished together, at each commit; `commit_due` says when. Between commits nothing of them can be seen.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headgate.destinations.files import names
from headgate.destinations.files.durable import explaining, make_folders
from headgate.destinations.files.formats import Format, Values
from headgate.destinations.files.grouping import only_topic_of
from headgate.destinations.files.journal import Entry, Journal
from headgate.destinations.files.settings import FilesSettings
from headgate.destinations.files.staging import Staged
from headgate.destinations.files.taking import Taking
from headgate.ports.connectors import ConnectorContext
from headgate.ports.destination import PositionsIn, StaleOwner, Token
from headgate.ports.log import Committed, TopicPartition
from headgate_events.errors import HeadgateError
from headgate_events.records import Record


class LocalFiles(Taking):
    """An open destination of one task. The task's thread owns it."""

    positions_in: PositionsIn = "destination"
    transactional_ids: tuple[str, ...] = ()

    def __init__(self, settings: FilesSettings, context: ConnectorContext, form: Format) -> None:
        self._folder = Path(settings.folder)
        self._stream, self._incarnation = context.stream, context.incarnation
        self._owner = names.owner(context.stream, context.incarnation)
        super().__init__(form, settings.roll)
        self._nonce = secrets.token_hex(6)
        self._begun = 0
        self._beside = self._folder / names.KEPT_BESIDE / self._owner
        self._journal = Journal(self._folder, self._beside, self._nonce)
        self._entries: dict[TopicPartition, Entry] = {}
        self._staged: dict[TopicPartition, Staged] = {}

    def open(self) -> None:
        """Drop what was being written, and make the folder of the journal where there is none."""
        self._drop_all()
        self._entries.clear()
        with explaining(f"Opening the folder {self._folder}"):
            make_folders(self._folder, names.KEPT_BESIDE, self._owner)
            self._form.prepare(self._beside, self._nonce)
            self._retire_predecessors()

    def _retire_predecessors(self) -> None:
        """Leave nothing unfinished of earlier streams of this name; what is wrong there is not this stream's fault."""
        for folder in self._beside.parent.iterdir():
            if names.predecessor(folder.name, self._stream, self._incarnation):
                with contextlib.suppress(OSError, HeadgateError):
                    Journal(self._folder, folder, self._nonce).retire()

    def _take(self, partition: TopicPartition, values: Values, origins: Sequence[Record]) -> None:
        with explaining(f"Writing to {self._folder}"):
            staged = self._staged.get(partition)
            if staged is None:
                staged = self._staged[partition] = self._begin(partition, origins[0].offset() or 0)
            staged.add(values, origins)
        self._rolling.note(partition, staged.records, staged.size_bytes)

    def _begin(self, partition: TopicPartition, first: int) -> Staged:
        entry = self._entries.get(partition)
        if entry is None:
            raise StaleOwner(f"{partition.topic}[{partition.partition}] was not taken on here.")
        self._begun += 1
        name = names.staged(partition, entry.number + 1, f"{self._nonce}-{self._begun}")
        return Staged(self._beside / name, first, self._form)

    def positions(self, claims: Mapping[TopicPartition, Token]) -> Mapping[TopicPartition, Committed]:
        """Take partitions on: finish what was committed, shut their former owners out, and tell where they stand."""
        for partition in claims:
            if (staged := self._staged.pop(partition, None)) is not None:
                staged.drop()
        with explaining(f"Reading the journal in {self._beside}"):
            claimed = self._journal.claim(claims)
        self._entries.update(claimed)
        self._only_topic = only_topic_of(self._entries)
        return {each: entry.committed for each, entry in claimed.items() if entry.committed is not None}

    def commit(self, positions: Mapping[TopicPartition, Committed], proof: Any) -> None:
        """Finish the files of these partitions, each together with its position.

        On any error some may be committed and some not; `positions` tells, and nothing is lost or doubled.
        """
        with explaining(f"Finishing files in {self._folder}"):
            entries = {each: self._next_entry(each, committed) for each, committed in positions.items()}
            finishing = {each: self._staged[each] for each in positions if each in self._staged}
            for partition, staged in finishing.items():
                staged.finish(self._facts(partition, staged, positions[partition]))
            for staged in finishing.values():
                staged.in_doubt = True
            self._journal.commit(entries)
        for partition, staged in finishing.items():
            staged.close()
            del self._staged[partition]
        self._entries.update(entries)
        self._rolling.begin_anew()

    def _next_entry(self, partition: TopicPartition, committed: Committed) -> Entry:
        before = self._entries.get(partition)
        if before is None:
            raise StaleOwner(f"{partition.topic}[{partition.partition}] was not taken on here.")
        number, reach = before.number + 1, max(before.reach, committed.position)
        staged = self._staged.get(partition)
        if staged is None:
            return Entry(number, before.token, committed, reach)
        again = number if staged.first < before.reach else None
        final = names.finished(self._owner, partition, staged.first, self._form.extension, again)
        return Entry(number, before.token, committed, reach, staged.path.name, final)

    def _facts(self, partition: TopicPartition, staged: Staged, committed: Committed) -> dict[str, str]:
        return {
            "headgate.stream": self._owner,
            "headgate.topic": partition.topic,
            "headgate.partition": str(partition.partition),
            "headgate.first": str(staged.first),
            "headgate.next": str(committed.position),
        }

    def close(self) -> None:
        """Drop what is being written."""
        self._drop_all()
        self._entries.clear()

    def _drop_all(self) -> None:
        for staged in self._staged.values():
            staged.drop()
        self._staged.clear()
        self._rolling.begin_anew()
