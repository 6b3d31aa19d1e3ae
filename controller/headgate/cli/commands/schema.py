"""`headgate schema`: the JSON Schemas of every record and of a stream's definition."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The JSON Schemas of every record and of a definition.", no_args_is_help=True)


@app.callback()
def schema() -> None:
    """Work with the JSON Schemas of every record and of a definition."""


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write to; it is made where it is missing.")],
) -> None:
    """Write them as files. `stream.schema.json` is what an editor takes to check a stream's YAML."""
    from headgate.cli.exporting import export_schemas

    export_schemas(folder)
