"""What the lists of the API have in common: page size, filters by words, and the shape of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp import web as http

from web.server import errors
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PAGE: Final = 200
DEFAULT_PAGE: Final = 50


def words_of(name: str, text: str | None, known: Iterable[str]) -> list[str] | None:
    """The comma-separated words of the field `name`, such as statuses, or None for all.

    Raises:
        ApiError: 422, when one is not known.
    """
    if text is None:
        return None
    words, possible = text.split(","), list(known)
    if not set(words) <= set(possible):
        raise errors.wrong_field(name=name, why=Text(msgid("must be one of {expected}"), {"expected": ", ".join(possible)}))
    return words


def page_response(items: list[dict[str, Any]], *, following: int | str | None, previous: int | str | None) -> http.Response:
    """A page of a list; `following` and `previous` are the cursors of the pages beside it, None where there is none."""
    cursors = {"next_cursor": following, "previous_cursor": previous}
    return http.json_response({"items": items, **{name: None if value is None else str(value) for name, value in cursors.items()}})
