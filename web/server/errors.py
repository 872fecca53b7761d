"""What a request is refused with: a status, a word for programs, a sentence for people, and the fields it is about.

On the road of a call: at its entrance; whoever cannot come in is told here why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RETRY_SECONDS: Final = 2


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence not yet said: its English form marked with `msgid`, and what fills its gaps."""

    text: str
    values: Mapping[str, object] = field(default_factory=dict)


class ApiError(Exception):
    """A request that is refused; any `Text` within `details` is said in the reader's language."""

    def __init__(
        self, status: int, code: str, text: Text, *, details: Sequence[Mapping[str, Any]] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.text = text
        self.details = details
        self.headers = dict(headers or {})


def not_found() -> ApiError:
    """The same for what is missing and for what belongs to another business."""
    return ApiError(404, "not_found", Text(msgid("There is nothing here with this id.")))


def wrong_field(name: str, why: Text) -> ApiError:
    """One field is wrong."""
    return invalid([{"field": name, "message": why}])


def invalid(details: Sequence[Mapping[str, Any]]) -> ApiError:
    """Some fields are wrong: `field` and `message` of each."""
    fields = ", ".join(str(detail["field"]) for detail in details)
    return ApiError(422, "invalid", Text(msgid("This cannot be accepted as it is: {fields}."), {"fields": fields}), details=details)


def invalid_state() -> ApiError:
    """The run or the call is not in a state that allows this."""
    return ApiError(409, "invalid_state", Text(msgid("The state it is in does not allow this.")))


def idempotency_conflict() -> ApiError:
    """An Idempotency-Key came before with another body."""
    return ApiError(409, "idempotency_conflict", Text(msgid("This Idempotency-Key was used before for another request.")))


def too_large(megabytes: int) -> ApiError:
    """The body has too many bytes."""
    return ApiError(413, "too_large", Text(msgid("The request is too large: at most {megabytes} MB."), {"megabytes": megabytes}))


def away() -> ApiError:
    """PostgreSQL does not answer."""
    text = Text(msgid("The database does not answer at the moment. Please try again shortly."))
    return ApiError(503, "database_away", text, headers={"Retry-After": str(RETRY_SECONDS)})


def busy() -> ApiError:
    """Somebody else holds what this request needs, for longer than it can wait."""
    text = Text(msgid("Somebody else is changing this right now. Please try again shortly."))
    return ApiError(503, "busy", text, headers={"Retry-After": str(RETRY_SECONDS)})


def crowded() -> ApiError:
    """Too many requests of one business, or from one address, are in progress."""
    text = Text(msgid("Too many requests at once. Please try again shortly."))
    return ApiError(503, "busy", text, headers={"Retry-After": str(RETRY_SECONDS)})
