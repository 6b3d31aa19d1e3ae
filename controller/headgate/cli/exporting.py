"""`schema export`: the published contract as files."""

from __future__ import annotations

from pathlib import Path

from headgate.cli.output import say
from headgate.cli.wording import plural
from headgate_events.contract import export
from headgate_events.errors import InvalidRequest


def export_schemas(folder: Path) -> None:
    """Write every document into a folder. Raises InvalidRequest when it cannot be written."""
    try:
        written = export(folder)
    except OSError as error:
        raise InvalidRequest(
            f"{error.filename or folder} cannot be written: {error.strerror or error}.", hint="Name another folder."
        ) from error
    for path in written:
        say(str(path))
    say(f"{plural(len(written), 'file')} written.")
