"""What the lists of the API have in common: page size, the filter by status, and the shape of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp import web as http

from web.server import errors
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from enum import StrEnum

MAX_PAGE: Final = 200
DEFAULT_PAGE: Final = 50


def statuses_of(text: str | None, known: type[StrEnum]) -> list[str] | None:
    """The comma-separated statuses of a query, or None for all.

    Raises:
        ApiError: 422, when one does not exist.
    """
    if text is None:
        return None
    statuses = text.split(",")
    if not set(statuses) <= set(known):
        raise errors.wrong_field(name="status", why=Text(msgid("must be one of {expected}"), {"expected": ", ".join(known)}))
    return statuses


def page_response(items: list[dict[str, Any]], cursor: int | None) -> http.Response:
    """A page of a list; `cursor` is where the next page begins, None on the last one."""
    return http.json_response({"items": items, "next_cursor": None if cursor is None else str(cursor)})
