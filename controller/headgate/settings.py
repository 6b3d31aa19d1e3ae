"""Settings of the long-running parts, from the environment: read once, frozen, handed on in the smallest piece.

Every variable begins with HEADGATE_. One that is unknown is an error that names the nearest right one, because a
setting that is silently ignored is worse than a process that does not start.
"""

from __future__ import annotations

import difflib
import os
import re
import socket
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from headgate_events.errors import InvalidRequest
from headgate_events.names import DEFAULT_NAMESPACE, check_namespace, check_worker_name

PREFIX: Final = "HEADGATE_"
READ_ELSEWHERE: Final = frozenset(
    {
        "HEADGATE_ACTOR",
        "HEADGATE_BROKER",
        "HEADGATE_CACHE_DIR",
        "HEADGATE_CI_CONTAINERS",
        "HEADGATE_CONFIG",
        "HEADGATE_CONTEXT",
        "HEADGATE_DEBUG",
        "HEADGATE_STATE_DIR",
    }
)
"""Variables of the command line, the embedded broker and CI, which are no settings of a running part."""

DEFAULT_TRANSFORM_MODULES: Final = "headgate.demo.transforms"
DEFAULT_SECRET_FOLDERS: Final = "/run/secrets"  # noqa: S105 - a folder
"""Where Docker, Podman and Kubernetes manifests by custom put the secrets that a process is given as files."""

SessionTimeoutMs = Annotated[int, Field(ge=1_000, le=300_000)]


def default_name() -> str:
    """Name this process by its host, cut to what a name may hold."""
    name = re.sub(r"[^-._a-zA-Z0-9]+", "-", socket.gethostname())[:120].strip("-._")
    return name or "host"


class Settings(BaseSettings):
    """What a projector or a worker is started with. Durations end in their unit.

    `kafka` are librdkafka settings of the administrator (security, for instance) as a JSON object. `connections` names
    the file of connections; what it refers to as files must lie in one of the `secret_folders`. A session timeout
    says how long a killed process keeps its partitions; six seconds is the lowest that brokers take by default.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True, validate_default=True
    )

    bootstrap_servers: Annotated[str, Field(min_length=1, max_length=4_096)] = "localhost:9092"
    namespace: str = DEFAULT_NAMESPACE
    kafka: Annotated[dict[str, str | int | float | bool], Field(max_length=100)] = Field(
        default_factory=dict, repr=False
    )
    group_protocol: Literal["classic", "consumer"] = "classic"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"

    projector_name: str = Field(default_factory=default_name)
    projector_session_timeout_ms: SessionTimeoutMs = 6_000
    projector_transaction_timeout_ms: Annotated[int, Field(ge=1_000, le=900_000)] = 15_000
    projector_batch_records: Annotated[int, Field(ge=1, le=100_000)] = 1_000

    worker_name: str = Field(default_factory=default_name)
    worker_heartbeat_interval_ms: Annotated[int, Field(ge=100, le=60_000)] = 2_000
    worker_session_timeout_ms: SessionTimeoutMs = 6_000
    worker_shutdown_timeout_s: Annotated[float, Field(gt=0, le=3_600)] = 30.0
    worker_source_check_s: Annotated[float, Field(gt=0, le=86_400)] = 30.0
    worker_position_check_s: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    transform_modules: Annotated[str, Field(max_length=4_096)] = DEFAULT_TRANSFORM_MODULES
    connections: Annotated[str, Field(max_length=4_096)] | None = None
    secret_folders: Annotated[str, Field(max_length=4_096)] = DEFAULT_SECRET_FOLDERS

    @field_validator("transform_modules")
    @classmethod
    def _modules(cls, text: str) -> str:
        for name in _listed(text):
            if not all(part.isidentifier() for part in name.split(".")):
                raise ValueError(f"{name!r} is not a module's name; name modules, with commas between them")
        return text

    @property
    def transform_module_names(self) -> tuple[str, ...]:
        """The modules from which workers load transforms; each allows itself and what is below it."""
        return _listed(self.transform_modules)

    @field_validator("secret_folders")
    @classmethod
    def _folders(cls, text: str) -> str:
        for name in _listed(text):
            if not Path(name).is_absolute():
                raise ValueError(f"{name!r} is no absolute path; name folders, with commas between them")
        return text

    @property
    def secret_folder_paths(self) -> tuple[Path, ...]:
        """The folders from which `${file:…}` in the file of connections may read."""
        return tuple(Path(name) for name in _listed(self.secret_folders))

    @field_validator("namespace")
    @classmethod
    def _namespace(cls, name: str) -> str:
        return _checked(check_namespace, name)

    @field_validator("projector_name", "worker_name")
    @classmethod
    def _name(cls, name: str) -> str:
        return _checked(check_worker_name, name)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _checked(check: Any, name: str) -> str:
    try:
        return str(check(name))
    except InvalidRequest as error:
        raise ValueError(f"{error.message} {error.hint}".rstrip(". ")) from error


def load_settings(**given: Any) -> Settings:
    """Read the settings from the environment; `given` (of flags, None for not given) stands above it.

    Raises InvalidRequest, one sentence with the variable's name, for an unknown variable or a bad value.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in os.environ:
        if name.startswith(PREFIX) and name not in known and name not in READ_ELSEWHERE:
            near = difflib.get_close_matches(name, sorted(known | READ_ELSEWHERE), n=1, cutoff=0.6)
            raise InvalidRequest(
                f"{name} is not a setting of Headgate.",
                hint=f"Did you mean {near[0]}?" if near else f"Known: {', '.join(sorted(known))}.",
            )
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        item = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in item["loc"])
        raise InvalidRequest(
            f"{PREFIX}{field.upper()} is not valid: {item['msg'].removeprefix('Value error, ')}.",
            hint="Correct or unset it.",
        ) from error
    except ValueError as error:
        # pydantic-settings says so of a value that should be JSON and is not.
        field = next((name for name in Settings.model_fields if f'"{name}"' in str(error)), "kafka")
        raise InvalidRequest(f"{PREFIX}{field.upper()} is not valid JSON.", hint="Correct or unset it.") from error
