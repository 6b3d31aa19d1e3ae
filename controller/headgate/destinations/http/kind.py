"""The kind `http`: what it promises, what a validation looks at, and how it is opened."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from headgate.destinations.http.answers import HINTS
from headgate.destinations.http.destination import HttpDestination
from headgate.destinations.http.sending import Sender
from headgate.destinations.http.settings import HttpDestinationSettings
from headgate.ports.connectors import ConnectorContext, Delivery
from headgate.ports.destination import Destination
from headgate_events.errors import HeadgateError
from headgate_events.schema.common import Check

CHECK_S: Final = 20.0


class Http:
    """Requests, at least once; an idempotency key lets the other side tell a repeated one."""

    name: Final = "http"
    settings: Final = HttpDestinationSettings
    promises: Sequence[Delivery] = ("at_least_once",)

    def check(self, settings: HttpDestinationSettings, context: ConnectorContext) -> Sequence[Check]:
        """Ask for the endpoint's headers (HEAD). Many endpoints that take records answer that with an error."""
        try:
            sender = Sender(settings, context)
        except HeadgateError as error:
            return [_failed(error.code, error.message, error.hint)]
        try:
            status = sender.look(time.monotonic() + CHECK_S)
        except HeadgateError as error:
            return [_failed(error.code, error.message, error.hint)]
        finally:
            sender.close()
        said = f"{sender.who} answers HEAD with {status}"
        if status in {401, 403}:
            return [_failed("destination.not_authorized", f"{said}.", HINTS[status])]
        if status < 300 or status == 405:
            return [Check(name="destination", result="passed", message=said)]
        return [Check(name="destination", result="warning", code="destination.answers_badly", message=f"{said}.")]

    def destination(self, settings: HttpDestinationSettings, context: ConnectorContext) -> Destination:
        """Make the destination, not open yet."""
        return HttpDestination(settings, context)


def _failed(code: str, message: str, hint: str | None) -> Check:
    return Check(name="destination", result="failed", code=code, message=message, hint=hint or "")
