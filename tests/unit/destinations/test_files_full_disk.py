"""A disk without room: the stream waits, nothing half-done stays, and it goes on when there is room again.

A full disk is made in two ways: by a limit on the size of files, which works everywhere, and, where this process may
mount one, by a small file system that is really full.
"""

from __future__ import annotations

import contextlib
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headgate.destinations.files.durable import explained
from headgate.ports.connectors import ConnectorRefused, ConnectorUnavailable
from headgate.ports.destination import Token
from headgate.ports.log import Committed, TopicPartition
from headgate.testing import MadeRecord
from tests.support.files import TOPIC, Owner, check_prefix, close_all, make

P0 = TopicPartition(TOPIC, 0)
FIRST, SECOND = Token(7, 3, 10), Token(7, 3, 11)


@pytest.fixture(autouse=True)
def closed_in_the_end() -> Iterator[None]:
    yield
    close_all()


class Limited:
    """No file may grow beyond a size."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, self._before[1]))

    def empty(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


class Small:
    """A file system of 4 MB, filled by a file of another's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "another's"

    def fill(self) -> None:
        with self._filler.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(b"x" * 4096)

    def empty(self) -> None:
        self._filler.unlink(missing_ok=True)


Disk = Limited | Small


@contextlib.contextmanager
def small_file_system(folder: Path) -> Iterator[bool]:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(params=["limited", "small"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    with contextlib.ExitStack() as exits:
        small = request.param == "small" and exits.enter_context(small_file_system(folder))
        made: Disk = Small(folder) if small else Limited(folder)
        exits.callback(made.empty)
        exits.callback(close_all)
        yield made


def left_over(folder: Path) -> list[str]:
    beside = folder / ".headgate" / "orders.7"
    return [path.name for path in beside.iterdir() if path.name.endswith((".staged", ".draft"))]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_full_disk_is_waited_for_and_nothing_is_lost_or_doubled(kind: str, disk: Disk) -> None:
    owner = Owner(make(kind, disk.folder), FIRST, [0, 1])
    owner.take_on()
    owner.write(50)
    owner.commit()
    disk.fill()
    for _ in range(3):
        with pytest.raises(ConnectorUnavailable) as full:
            take_on_and_fill(owner)
        assert full.value.retriable
        owner.destination.open()
        assert left_over(disk.folder) == []
        check_prefix(disk.folder, [0, 1])
    disk.empty()
    assert owner.take_on() == {0: 50, 1: 50}
    owner.write(50)
    owner.commit()
    assert check_prefix(disk.folder, [0, 1]) == owner.written()


def take_on_and_fill(owner: Owner) -> None:
    owner.take_on()
    for _ in range(100):
        owner.write(1_000)
    owner.commit()


def test_the_disk_fills_up_while_records_are_written(tmp_path: Path, disk: Disk) -> None:
    destination = make("jsonl", disk.folder)
    destination.open()
    destination.positions({P0: FIRST})
    records = [MadeRecord(TOPIC, 0, number, b'{"text":"%s"}' % (b"x" * 10_000)) for number in range(100)]
    if isinstance(disk, Limited):
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    with pytest.raises(ConnectorUnavailable, match="no room"):
        write_for_ever(destination.forward, records)
    destination.open()
    assert left_over(disk.folder) == []
    assert [path.name for path in disk.folder.iterdir()] == [".headgate"]


def write_for_ever(forward: Callable[[list[MadeRecord]], None], records: list[MadeRecord]) -> None:
    for _ in range(100):
        forward(records)


def test_what_a_dead_owner_left_makes_room_for_its_heir(disk: Disk) -> None:
    owner = Owner(make("jsonl", disk.folder), FIRST, [0])
    owner.take_on()
    owner.write(2_000)
    (dead,) = owner.destination._staged.values()
    dead._sink.close()  # as the kernel does for a process that is gone: closed and unlocked, and the file stays
    disk.fill()
    assert left_over(disk.folder) != []
    heir = Owner(make("jsonl", disk.folder), SECOND, [0])
    with pytest.raises(ConnectorUnavailable):
        heir.take_on()
    assert left_over(disk.folder) == []
    disk.empty()
    assert heir.take_on() == {0: 0}


def test_what_a_living_owner_writes_is_never_removed_for_room(disk: Disk) -> None:
    owner = Owner(make("jsonl", disk.folder), FIRST, [0])
    owner.take_on()
    owner.write(200)
    disk.fill()
    heir = Owner(make("jsonl", disk.folder), SECOND, [0])
    with pytest.raises(ConnectorUnavailable):
        heir.take_on()
    disk.empty()
    owner.commit()
    assert check_prefix(disk.folder, [0]) == owner.written()
    assert heir.take_on() == {0: 200}


def test_errors_of_a_file_system_are_told_apart() -> None:
    for number, kind in ((28, ConnectorUnavailable), (122, ConnectorUnavailable), (27, ConnectorUnavailable)):
        assert isinstance(explained(OSError(number, "full"), "Writing"), kind)
    assert isinstance(explained(OSError(5, "I/O error"), "Writing"), ConnectorUnavailable)
    assert isinstance(explained(PermissionError(13, "denied"), "Writing"), ConnectorRefused)
    assert isinstance(explained(FileNotFoundError(2, "gone"), "Writing"), ConnectorRefused)


def test_a_commit_into_a_folder_that_is_gone_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    destination = make("jsonl", folder)
    destination.open()
    destination.positions({P0: FIRST})
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(ConnectorRefused):
        destination.commit({P0: Committed(1)}, None)
