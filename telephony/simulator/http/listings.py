"""Selects the calls of a listing: filters, pages, and the lag behind the call log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final

from telephony.simulator.http.rest_errors import invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multidict import MultiMapping

    from telephony.simulator.call_log import Call

PLAIN: Final = ("To", "From", "Status")
TIMES: Final = ("StartTime", "StartTime<", "StartTime>", "EndTime", "EndTime<", "EndTime>")
DEFAULT_PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 1_000
MAX_PAGE_DIGITS: Final = 7
A_DAY: Final = timedelta(days=1)
A_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Span:
    """The time of a filter: its first instant and the first after it (a day has 24 hours, a time one second)."""

    start: datetime
    end: datetime

    @classmethod
    def of(cls, name: str, text: str) -> Span:
        """Read a date or a time; without a zone it is UTC.

        Raises:
            RefusalError: when it is neither.
        """
        try:
            if len(text) == len("2026-01-31"):
                day = date.fromisoformat(text)
                start = datetime(day.year, day.month, day.day, tzinfo=UTC)
                return cls(start, start + A_DAY)
            at = datetime.fromisoformat(text)
            start = (at if at.tzinfo else at.replace(tzinfo=UTC)).replace(microsecond=0)
            return cls(start, start + A_SECOND)
        except (ValueError, OverflowError):
            raise invalid(name, "a date or a time in ISO 8601") from None

    def holds(self, name: str, at: datetime | None) -> bool:
        """True when `at` matches the filter `name`: at it, `<` at it or before, `>` at it or after."""
        if at is None:
            return False
        return (name.endswith("<") or at >= self.start) and (name.endswith(">") or at < self.end)


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A valid request for a listing."""

    filters: tuple[tuple[str, str], ...]
    spans: tuple[tuple[str, Span], ...]
    page: int
    size: int
    after: str | None

    @classmethod
    def of(cls, query: MultiMapping[str]) -> ListQuery:
        """Read the query string.

        Raises:
            RefusalError: naming the parameter that is wrong.
        """
        filters = tuple((name, query[name]) for name in (*PLAIN, *TIMES) if query.get(name))
        token = query.get("PageToken", "")
        return cls(
            filters=filters,
            spans=tuple((name, Span.of(name, text)) for name, text in filters if name in TIMES),
            page=page_number(query),
            size=page_size(query),
            after=token.removeprefix("PA") or None,
        )

    @property
    def to(self) -> str | None:
        """The number of the filter `To`, which narrows most."""
        return dict(self.filters).get("To")

    def page_of(self, calls: list[Call], shown_before: datetime) -> tuple[list[Call], bool]:
        """This page of all calls (given oldest first), newest first, and whether more follow."""
        matching: Iterator[Call] = (call for call in reversed(calls) if call.created_at <= shown_before and self._matches(call))
        if self.after is not None:
            matching = _beyond(matching, self.after)
        elif self.page:
            matching = islice(matching, self.page * self.size, None)
        found = list(islice(matching, self.size + 1))
        return found[: self.size], len(found) > self.size

    def _matches(self, call: Call) -> bool:
        fields = {"To": call.to, "From": call.from_, "Status": call.status}
        return all(fields[name] == text for name, text in self.filters if name in fields) and all(
            span.holds(name, call.started_at if name.startswith("Start") else call.ended_at) for name, span in self.spans
        )


def _beyond(calls: Iterator[Call], sid: str) -> Iterator[Call]:
    """Skip to after a call, so that new calls do not shift the pages; a page token names it."""
    for call in calls:
        if call.sid == sid:
            return calls
    return iter(())


def page_number(query: MultiMapping[str]) -> int:
    """The parameter `Page`, from 0.

    Raises:
        RefusalError: when it is no number.
    """
    return _number(query, "Page", 0, 10**MAX_PAGE_DIGITS)


def page_size(query: MultiMapping[str]) -> int:
    """The parameter `PageSize`, 50 by default.

    Raises:
        RefusalError: when it is not a number up to 1,000.
    """
    return _number(query, "PageSize", DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def _number(query: MultiMapping[str], name: str, default: int, most: int) -> int:
    text = query.get(name, "") or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_PAGE_DIGITS and int(text) <= most):
        raise invalid(name, f"a number up to {most}")
    return max(int(text), 1) if name == "PageSize" else int(text)
