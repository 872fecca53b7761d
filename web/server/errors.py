"""The errors a request is answered with: a status, a code for programs, a sentence for people, and the fields concerned."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RETRY_SECONDS: Final = 2


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence not yet translated: its English form marked with `msgid`, and the values of its placeholders; `then` follows it.

    With `many`, `text` is the form for one and `many` that for several: `count` decides.
    """

    text: str
    values: Mapping[str, object] = field(default_factory=dict)
    then: tuple[Text, ...] = ()
    many: str = ""
    count: int = 1


def counted(forms: tuple[str, str], count: int, **values: object) -> Text:
    """A sentence in the form for this count; `forms` are those for one and for several, marked with `msgids`."""
    return Text(forms[0], values, many=forms[1], count=count)


class ApiError(Exception):
    """A request that is rejected; any `Text` within `details` is translated into the reader's language."""

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
    """There is no such row, or it belongs to another business: the answer is the same."""
    return ApiError(404, "not_found", Text(msgid("Nothing was found with this id.")))


def wrong_field(name: str, why: Text) -> ApiError:
    """One field is wrong."""
    return invalid([{"field": name, "message": why}])


def invalid(details: Sequence[Mapping[str, Any]]) -> ApiError:
    """Some fields are wrong; `details` has the `field` and the `message` of each."""
    fields = ", ".join(str(detail["field"]) for detail in details)
    return ApiError(422, "invalid", Text(msgid("Please correct: {fields}."), {"fields": fields}), details=details)


def invalid_state(why: Text | None = None) -> ApiError:
    """The state of the run or the call does not allow this; `why` names it."""
    return ApiError(409, "invalid_state", why or Text(msgid("This is not possible in the current state.")))


def idempotency_conflict() -> ApiError:
    """The Idempotency-Key was used before with another body."""
    return ApiError(409, "idempotency_conflict", Text(msgid("This Idempotency-Key was already used for a different request.")))


def too_large(megabytes: int) -> ApiError:
    """The body has too many bytes."""
    return ApiError(413, "too_large", Text(msgid("The request is too large: at most {megabytes} MB."), {"megabytes": megabytes}))


def away() -> ApiError:
    """PostgreSQL is unavailable."""
    text = Text(msgid("The database is not responding right now. Please try again shortly."))
    return ApiError(503, "database_away", text, headers={"Retry-After": str(RETRY_SECONDS)})


def busy() -> ApiError:
    """A row this request needs stayed locked for longer than it can wait."""
    text = Text(msgid("Someone else is changing this right now. Please try again shortly."))
    return ApiError(503, "busy", text, headers={"Retry-After": str(RETRY_SECONDS)})


def crowded() -> ApiError:
    """Too many requests of one business, or from one address, are in flight."""
    text = Text(msgid("Too many requests at once. Please try again shortly."))
    return ApiError(503, "busy", text, headers={"Retry-After": str(RETRY_SECONDS)})
