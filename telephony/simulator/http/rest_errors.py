"""The errors of the API, with the bodies Twilio sends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web as http

if TYPE_CHECKING:
    from telephony.simulator.faults import Faults
    from telephony.simulator.simulator import Simulator

TOO_MANY: Final = 429
UNREACHABLE: Final = 21214
# The HTTP status that Twilio sends with a code, where it is not 400.
STATUSES: Final = {20003: 401, 20404: 404, 20403: 403, 20429: 429, 10004: 403, 20005: 403}
PAGE: Final = "<html><head><title>Forbidden</title></head><body>Your request was blocked.</body></html>"


class RefusalError(Exception):
    """The request is refused, with an HTTP status and a code of Twilio's."""

    def __init__(self, status: int, code: int, message: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_seconds = retry_after_seconds

    def response(self) -> http.Response:
        """The response as Twilio sends it."""
        body = {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }
        headers = {} if self.retry_after_seconds is None else {"Retry-After": str(self.retry_after_seconds)}
        return http.json_response(body, status=self.status, headers=headers)


def refusal_of(code: int) -> RefusalError:
    """The refusal with a code of Twilio's that a number was given."""
    message = "'To' phone number cannot be reached" if code == UNREACHABLE else "The request was refused by the course of this number"
    return RefusalError(STATUSES.get(code, 400), code, message)


def not_found(path: str) -> RefusalError:
    """The error for something that does not exist, or not yet."""
    return RefusalError(404, 20404, f"The requested resource {path} was not found")


def invalid(name: str, why: str) -> RefusalError:
    """The error for a parameter that has no code of its own."""
    return RefusalError(400, 20001, f"Invalid parameter {name}: {why}")


async def inject_into_query(simulator: Simulator, *query: object) -> None:
    """Delay or break a GET, if a fault says so.

    Raises:
        RefusalError: the fault `ask_error`.
    """
    faults = simulator.faults
    if faults.ask_delay_seconds:
        await asyncio.sleep(faults.ask_delay_seconds)
    if faults.hits("ask_error", simulator.seed, *query):
        raise RefusalError(faults.error_status, 20500, "An internal server error has occurred")


def injected_refusal(faults: Faults) -> http.Response:
    """The answer for `refuse_before` and `refuse_after`: the provider's own, or that of a proxy between it and us."""
    status, kind = faults.refuse_status, faults.refuse_body
    own = RefusalError(
        status, faults.refuse_code, "refused on purpose", faults.retry_after_seconds if status == TOO_MANY else None
    ).response()
    match kind:
        case "own":
            return own
        case "html":
            return http.Response(status=status, text=PAGE, content_type="text/html")
        case "json":
            return http.json_response({"error": "blocked", "policy": 7}, status=status)
        case "half":
            return http.Response(status=status, text=str(own.text)[:20], content_type="application/json")
        case "empty":
            return http.Response(status=status)
