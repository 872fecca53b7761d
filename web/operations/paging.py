"""Pages of a list: one entry more than a page is read, which tells whether there are more, and where the page before begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


def page_of(found: list[T], limit: int) -> tuple[list[T], bool]:
    """The page of at most `limit` entries, and whether there are more; at most `limit + 1` were `found`."""
    return found[:limit], len(found) > limit


def start_after(found: Sequence[T], limit: int, beginning: T) -> T | None:
    """The place after which the page before begins, `beginning` for the first page; None when there is no such page.

    `found` are the last `limit + 1` places of that page and the one before it, the last first.
    """
    return (found[limit] if len(found) > limit else beginning) if found else None


def start_below(found: Sequence[int], limit: int) -> int | None:
    """The id below which the page of newer entries begins; None when there are none.

    `found` are the next `limit + 1` newer ids, the oldest first.
    """
    return (found[limit] if len(found) > limit else found[-1] + 1) if found else None
