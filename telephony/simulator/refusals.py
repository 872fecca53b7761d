"""How the API says no, in Twilio's shape.

On the road of a call: what the dialer gets instead of a call.
"""

from __future__ import annotations

from aiohttp import web as http


class RefusalError(Exception):
    """The request is turned down with an HTTP status and a code of Twilio's."""

    def __init__(self, status: int, code: int, message: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_seconds = retry_after_seconds

    def response(self) -> http.Response:
        """Say it as Twilio does."""
        body = {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }
        headers = {} if self.retry_after_seconds is None else {"Retry-After": str(self.retry_after_seconds)}
        return http.json_response(body, status=self.status, headers=headers)


def not_found(path: str) -> RefusalError:
    """Make the refusal for something that is not there, or not there yet."""
    return RefusalError(404, 20404, f"The requested resource {path} was not found")


def invalid(name: str, why: str) -> RefusalError:
    """Make the refusal for a parameter that has no code of its own."""
    return RefusalError(400, 20001, f"Invalid parameter {name}: {why}")
