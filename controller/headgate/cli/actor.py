"""Who sends a command: what was said, else HEADGATE_ACTOR, else user@host."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from typing import Final

from headgate_events.errors import InvalidRequest

VARIABLE: Final = "HEADGATE_ACTOR"
MAX_LENGTH: Final = 256


def find_actor(said: str | None, environ: Mapping[str, str] | None = None) -> str:
    """Return the actor that stands in the log. Raises InvalidRequest for one that cannot stand there."""
    environ = os.environ if environ is None else environ
    origin = "--actor" if said is not None else VARIABLE
    given = said if said is not None else environ.get(VARIABLE)
    if given is None or (said is None and not given):
        return f"{_user()}@{socket.gethostname()}"[:MAX_LENGTH]
    if not given.strip() or len(given) > MAX_LENGTH or not given.isprintable():
        raise InvalidRequest(
            f"{origin} is not valid.", hint=f"An actor is a printable text of at most {MAX_LENGTH} characters."
        )
    return given


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container's user often has no name.
        return f"uid-{os.getuid()}"
