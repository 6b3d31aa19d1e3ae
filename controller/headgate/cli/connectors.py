"""The settings models of the sources and destinations that are installed here, by their kind."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from headgate.destinations import installed_destinations
from headgate.ports.connectors import UnknownKind
from headgate.sources import installed_sources


def settings_model(section: Literal["source", "destination"], kind: str) -> type[BaseModel] | None:
    """Return what a kind's section may hold, or None when the kind is not installed here (a worker may have it)."""
    try:
        if section == "source":
            return installed_sources().find(kind).settings
        return installed_destinations().find(kind).settings
    except UnknownKind:
        return None
