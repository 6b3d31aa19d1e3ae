"""Files that survive a crash, and the errors of a file system in the product's words.

Creating is exclusive: a file is written under a name of its own, made durable, and given its real name by link(2),
which fails when the name is taken and never shows half a file. Names are durable when their folder is.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from headgate.ports.connectors import ConnectorRefused, ConnectorUnavailable
from headgate_events.errors import HeadgateError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR})


def explained(error: OSError, doing: str) -> HeadgateError:
    """Return an error of the file system as ConnectorUnavailable (it may pass) or ConnectorRefused (it will not)."""
    why = f"{doing} failed: {error.strerror or error}."
    if error.errno in _FULL:
        return ConnectorUnavailable(f"There is no room: {why}", hint="Make room; the stream goes on by itself.")
    if error.errno in _REFUSED:
        return ConnectorRefused(f"The folder cannot be used: {why}", hint="Put the folder and its rights in order.")
    return ConnectorUnavailable(why)


@contextlib.contextmanager
def explaining(doing: str) -> Iterator[None]:
    """Raise what the file system refuses as `explained`."""
    try:
        yield
    except OSError as error:
        raise explained(error, doing) from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def begin_writing_out(descriptor: int, start: int, end: int) -> None:
    """Ask the kernel to begin with writing these bytes to the disk, so that less is left for fsync. Promises nothing.

    Linux does so when it is told that they will not be read soon; where nobody can be told, fsync does it all.
    """
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):
            os.posix_fadvise(descriptor, start, end - start, os.POSIX_FADV_DONTNEED)


def make_folders(within: Path, *names: str) -> Path:
    """Make folders in one another, durably, inside of one that exists; return the innermost."""
    folder = within
    for name in names:
        inner = folder / name
        try:
            inner.mkdir()
        except FileExistsError:
            pass
        else:
            sync_folder(folder)
        folder = inner
    return folder


def create(path: Path, content: bytes, nonce: str) -> bool:
    """Create a file with this content, whole or not at all; say False when the name is taken.

    Its name is durable after `sync_folder` of its folder.
    """
    draft = path.with_name(f"{path.name}.{nonce}.draft")
    try:
        with draft.open("wb") as sink:
            sink.write(content)
            sink.flush()
            os.fsync(sink.fileno())
        os.link(draft, path)
    except FileExistsError:
        return False
    except FileNotFoundError:  # the draft was swept away, which happens when the name is taken
        if not path.exists():
            raise
        return False
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()
    return True
