"""Settings of `destination: {kind: http}`, and of the connection that it may name.

Where a service is and what it wants to see of us is the administrator's. A `url` of the stream's own is for services
that want no secret: none may stand in it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from headgate.ports.connectors import ConnectionName

OURS: Final = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "host",
        "idempotency-key",
        "transfer-encoding",
        "headgate-signature",
    }
)
"""Headers that nobody sets but this destination."""


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and parts.hostname and not parts.fragment and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("is no address like https://orders.example/events")
    return text


def _url(text: str) -> str:
    parts = urlsplit(_address(text))
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user or a password; name a connection and put them into its headers")
    return text


def _not_ours(name: str) -> str:
    if name.lower() in OURS:
        raise ValueError(f"{name} is set by the destination itself")
    return name


Url = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_url)]
Path = Annotated[str, StringConstraints(max_length=2_000, pattern=r"^(/[!-\"$-~]*)?$")]
HeaderName = Annotated[
    str, StringConstraints(max_length=200, pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"), AfterValidator(_not_ours)
]
HeaderText = Annotated[str, StringConstraints(max_length=2_000, pattern=r"^[ -~]*$")]
Status = Annotated[int, Field(ge=200, le=599)]


class HttpConnection(BaseModel):
    """A connection of the kind `http`, defined by the administrator.

    `headers` go with every request. With a `signing_secret` each body is signed. `ca_file` holds the certificates to
    trust, instead of the usual ones; certificates are always checked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: SecretStr
    headers: Annotated[dict[HeaderName, SecretStr], Field(max_length=50)] = Field(default_factory=dict)
    signing_secret: SecretStr | None = None
    ca_file: str | None = None
    proxy: SecretStr | None = None

    @model_validator(mode="after")
    def _usable(self) -> Self:
        for name, given, check in (("base_url", self.base_url, _url), ("proxy", self.proxy, _address)):
            try:
                check("http://none" if given is None else given.get_secret_value())
            except ValueError as error:
                raise ValueError(f"{name} {error}") from None
        for name, value in self.headers.items():
            if not value.get_secret_value().isprintable() or not value.get_secret_value().isascii():
                raise ValueError(f"the header {name} holds what no header can")
        return self


class HttpBatch(BaseModel):
    """How many records go into one request, at most."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    records: Annotated[int, Field(ge=1, le=10_000)] = 100
    bytes: Annotated[int, Field(ge=1_000, le=50_000_000)] = 1_000_000


class HttpDestinationSettings(BaseModel):
    """Settings of `destination: {kind: http}`.

    `body`: `json_array` and `json_lines` send many records in a request, `value` one, its value as it is. `element`
    says what stands for a record in the first two: `record`, an object with everything, or `value`, its value, which
    must be JSON. `accept` lists further statuses that count as taken. `timeout_s` bounds one request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    connection: ConnectionName | None = None
    url: Url | None = None
    path: Path = ""
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    body: Literal["json_array", "json_lines", "value"] = "json_array"
    element: Literal["record", "value"] = "record"
    content_type: HeaderText | None = None
    headers: Annotated[dict[HeaderName, HeaderText], Field(max_length=50)] = Field(default_factory=dict)
    batch: HttpBatch = Field(default_factory=HttpBatch)
    concurrency: Annotated[int, Field(ge=1, le=32)] = 4
    accept: Annotated[list[Status], Field(max_length=20)] = Field(default_factory=list)
    timeout_s: Annotated[float, Field(gt=0, le=30)] = 10.0

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if (self.connection is None) == (self.url is None):
            raise ValueError("give either a connection or a url")
        return self
