"""What will become of the list of a draft, group by group, each with its rows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from dialer.policy.forecasts.forecast import CLOSED, DAILY_CAP, RECENTLY_CALLED
from web.intake.importer import checked_for_new_run
from web.intake.imports.import_request import ImportRequest
from web.operations.exports.load_rows import SAME_ID, SAME_PHONE
from web.operations.exports.people_table import REASONS
from web.operations.reports.preflight import WILL_CALL, preflight
from web.operations.settings.run_fields import check_settings
from web.server import keys
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aiohttp import web as http

    from sql.businesses.businesses import Business
    from sql.drafts.drafts import Draft
    from sql.runs.new_lead import NewLead
    from web.access.auth import Principal
    from web.intake.drafts.draft_list import DraftList
    from web.intake.rows import CheckedRows
    from web.intake.tables.layout import Layout
    from web.operations.reports.preflight import PreflightReport
    from web.operations.settings.run_fields import RunSettings

ROWS_SHOWN: Final = 100
DO_NOT_CALL: Final = "do_not_call"
# The groups of the page in their order, with the reasons of the forecast that each has.
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "call": (WILL_CALL,),
    "cannot": ("country_not_allowed", "number_refused", "hours_never_open"),
    "twice": (),
    "recent": (RECENTLY_CALLED,),
    "listed": (DO_NOT_CALL,),
    "later": (CLOSED, DAILY_CAP),
}
# Of people who are not called at all.
LEFT_OUT: Final = ("cannot", "twice", "listed")
SAME_LEAD, SAME_NUMBER = msgid("Their ID is in the list before."), msgid("Their phone number is in the list before.")
PEOPLE_NAMED: Final = 3
WAITS: Final = {CLOSED: msgid("Outside calling hours right now"), DAILY_CAP: msgid("Called often enough today")}


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A row of a group: why it is in it, if that has to be said."""

    row: int
    lead_id: object
    name: str | None
    phone: str | None
    why: Text | None = None


@dataclass(slots=True)
class Omission:
    """People who are left out for one reason: their `group`, how many, and the first of them."""

    group: str
    why: Text
    count: int = 0
    first: list[GroupRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DraftCheck:
    """The rows of a list, checked, and the forecast for them."""

    rows: CheckedRows
    forecast: PreflightReport

    def count(self, group: str) -> int:
        """How many rows a group has."""
        own = sum(len(self.forecast.groups.get(reason, ())) for reason in GROUPS[group])
        return own + {"cannot": len(self.rows.rejected), "twice": len(self.rows.duplicates)}.get(group, 0)

    def page(self, group: str, after: int) -> list[GroupRow]:
        """The rows of a group behind the first `after`, at most `ROWS_SHOWN`."""
        return [*islice(self._rows(group), after, after + ROWS_SHOWN)]

    def left_out(self) -> list[Omission]:
        """Who is left out, by reason; the most frequent one first."""
        found: dict[tuple[object, ...], Omission] = {}
        for group in LEFT_OUT:
            for row in self._rows(group):
                why = _short(group, row)
                one = found.setdefault((group, why.text, *why.values.values()), Omission(group, why))
                one.count += 1
                if one.count <= PEOPLE_NAMED:
                    one.first.append(row)
        return sorted(found.values(), key=lambda one: -one.count)

    def _rows(self, group: str) -> Iterator[GroupRow]:
        if group == "cannot":
            for bad in self.rows.rejected:
                yield GroupRow(bad.row, bad.lead_id, bad.name, bad.phone, bad.text)
        if group == "twice":
            for again in self.rows.duplicates:
                why = Text(SAME_ID if again.by == "lead" else SAME_PHONE, {"same_as": again.same_as})
                yield GroupRow(again.row, again.lead_id, again.name, again.phone, why)
        for reason in GROUPS[group]:
            sentence = {**REASONS, **WAITS}.get(reason)
            for n in self.forecast.groups.get(reason, ()):
                yield self._lead(n, Text(sentence) if sentence else None)

    def _lead(self, n: int, why: Text | None) -> GroupRow:
        lead = self.rows.accepted[n]
        return GroupRow(
            self.rows.numbers[n], lead.external_id if lead.external_id is not None else lead.lead_id, lead.name, lead.phone, why
        )

    @property
    def first_lead(self) -> tuple[int, NewLead] | None:
        """The first row that can be called."""
        return (self.rows.numbers[0], self.rows.accepted[0]) if self.rows.accepted else None


def _short(group: str, row: GroupRow) -> Text:
    """Why a row is left out, in words that rows of the same kind share."""
    why = row.why or Text("")
    return Text(SAME_LEAD if why.text == SAME_ID else SAME_NUMBER) if group == "twice" else why


def import_of(principal: Principal, draft: Draft, opened: DraftList, layout: Layout, settings: RunSettings) -> ImportRequest:
    """The import that a draft asks for: the same draft sent twice is one run."""
    key = f"{principal.actor}|{draft.draft_id}|{layout}|{settings.model_dump_json(exclude_unset=True)}"
    digest = hashlib.sha256(key.encode(errors="replace")).digest()
    return ImportRequest(settings, opened.file(layout), opened.source, lambda: digest, opened.closing, f"draft:{draft.draft_id}")


async def checked_draft(request: http.Request, principal: Principal, business: Business, wanted: ImportRequest) -> DraftCheck:
    """Check the rows, and forecast what becomes of them; takes seconds for a long list.

    Raises:
        ApiError: 403, 413, 422 or 503.
    """
    async with request.app[keys.UPLOADS].checking.hold(business.business_id):
        await check_settings(request, principal, business, wanted.settings)
        rows = await checked_for_new_run(wanted, business)
        return DraftCheck(rows, await preflight(request, business, wanted.settings, rows.accepted))


def summary(check: DraftCheck) -> Sequence[Mapping[str, Any]]:
    """The groups that have rows, in their order."""
    return [{"key": group, "count": count} for group in GROUPS if (count := check.count(group)) or group == "call"]
