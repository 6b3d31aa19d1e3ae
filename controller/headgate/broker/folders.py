"""Where the embedded broker keeps its things, after each platform's convention.

Two folders, because they differ in what losing them means: the cache (jars; may be wiped at any time and comes back
by itself) and the state (the background broker's data, log and state file). Both are plain functions of the
environment, so that a test or a user moves them with one variable.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

CACHE_VARIABLE = "HEADGATE_CACHE_DIR"
STATE_VARIABLE = "HEADGATE_STATE_DIR"


def cache_folder(environ: Mapping[str, str] | None = None, platform: str = sys.platform) -> Path:
    """Return the folder for what can be downloaded again. It may not exist yet.

    HEADGATE_CACHE_DIR wins; else `headgate` in XDG_CACHE_HOME (or ~/.cache), ~/Library/Caches or %LOCALAPPDATA%.
    """
    environ = os.environ if environ is None else environ
    return _folder(environ, platform, CACHE_VARIABLE, "XDG_CACHE_HOME", (".cache",), ("Library", "Caches"), "Cache")


def state_folder(environ: Mapping[str, str] | None = None, platform: str = sys.platform) -> Path:
    """Return the folder for the background broker's state and data. It may not exist yet.

    HEADGATE_STATE_DIR wins; else `headgate` in XDG_STATE_HOME (or ~/.local/state), ~/Library/Application Support or
    %LOCALAPPDATA%.
    """
    environ = os.environ if environ is None else environ
    mac = ("Library", "Application Support")
    return _folder(environ, platform, STATE_VARIABLE, "XDG_STATE_HOME", (".local", "state"), mac, "State")


def _folder(
    environ: Mapping[str, str],
    platform: str,
    own_variable: str,
    xdg_variable: str,
    xdg_default: tuple[str, ...],
    mac: tuple[str, ...],
    windows: str,
) -> Path:
    if own := environ.get(own_variable):
        return Path(own).expanduser().absolute()
    if platform == "win32":
        local = environ.get("LOCALAPPDATA")
        base = Path(local) if local else Path.home() / "AppData" / "Local"
        return base / "headgate" / windows
    if platform == "darwin":
        return Path.home().joinpath(*mac) / "headgate"
    xdg = environ.get(xdg_variable, "")
    # The XDG specification: a relative path is invalid and is to be ignored.
    base = Path(xdg) if Path(xdg).is_absolute() else Path.home().joinpath(*xdg_default)
    return base / "headgate"
