"""One holder at a time, across processes: a lock on a file that dies with its holder.

The kernel drops the lock when the last descriptor of it is closed, also after SIGKILL, so there is nothing stale to
clean up and no process id to mistrust. A descriptor that a child inherits keeps the lock: a broker that is started
with it holds the lock for exactly as long as it lives.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from headgate.broker.errors import CacheUnusable

try:
    import fcntl
except ImportError:  # pragma: no cover - a platform without POSIX locks; `node.refuse_platform` says so in a sentence
    fcntl = None  # type: ignore[assignment]

_POLL_S = 0.05


class ExclusiveFile:
    """A lock on `path`, which is created with its folder when missing. Not held until `try_hold` says so.

    Not for sharing between threads; two objects on one path exclude each other, in one process as well.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    @property
    def fd(self) -> int:
        """The descriptor that holds the lock, for handing on to a child. Only while it is held."""
        assert self._fd is not None, "the lock is not held"
        return self._fd

    def try_hold(self) -> bool:
        """Take the lock if nobody has it. True when it is held (also when it already was)."""
        if self._fd is not None:
            return True
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as problem:
            raise CacheUnusable(
                f"Cannot write {self.path}: {problem.strerror}.",
                hint="Give write access to its folder, or set HEADGATE_CACHE_DIR and HEADGATE_STATE_DIR to others.",
            ) from problem
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return True

    def is_held(self) -> bool:
        """Whether anybody holds it (we too). Looking disturbs a starter for an instant at most, never a holder."""
        if self._fd is not None:
            return True
        try:
            fd = os.open(self.path, os.O_RDWR)
        except OSError:
            return False
        try:
            # Lookers share, so only a holder is in the way.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def release(self) -> None:
        """Close our descriptor. The lock goes with it unless a child has inherited it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


@contextmanager
def held(path: Path, *, timeout_s: float, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock on `path` for the length of the block.

    Waits at most `timeout_s` for another holder, then raises `CacheUnusable`. `on_wait` is called once, when there is
    somebody to wait for.
    """
    lock = ExclusiveFile(path)
    deadline = time.monotonic() + timeout_s
    waited = False
    while not lock.try_hold():
        if time.monotonic() >= deadline:
            raise CacheUnusable(
                f"Another process has held {path} for more than {timeout_s:.0f} s.",
                hint="Wait for it or end it, then try again.",
            )
        if not waited and on_wait is not None:
            on_wait()
        waited = True
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        lock.release()
