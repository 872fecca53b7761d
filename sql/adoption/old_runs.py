"""Takes over runs of the old application: the numbers of their leads are read, and calls that have not ended are followed.

One run is one transaction: a process that dies in between leaves it as it was. Another process waits, and finds nothing to do.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Final

from dialer.phones.phone_numbers import read_phone
from dialer.phones.refusals import RefusedPhoneError
from dialer.phones.zones import zone_key
from sql.runs.load_reports import DUPLICATE, REJECTED, ListReport, ReportRow, keep_load
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from asyncpg import Record

    from sql.pool import Connection, Pool

TEXT = statements("adoption")
# Read, and written, so many at a time: a transaction that is silent for ten seconds is ended.
LEADS_AT_ONCE: Final = 5_000
# When a call that the old application placed is asked about again.
RING_SECONDS: Final = 60
# Statuses of leads that were called, or may be on the line.
CALLED: Final = ("completed", "failed", "dialing", "calling")
FOLLOWED: Final = ("dialing", "calling")
UNKNOWN_LEAD: Final = "missing_lead"
LOADED_BY: Final = "adoption"


@dataclass(frozen=True, slots=True)
class OldLead:
    """A lead of a run of the old application; `phone` in E.164 and `zone`, its zone key, as they were read."""

    job_id: int
    name: str | None = field(repr=False)
    phone: str = field(repr=False)
    zone: str


@dataclass(slots=True)
class Reading:
    """What was read: leads that are being `followed`, those to be `queued`, and the `rejected` jobs with their reason.

    `phones` are those of the run, each with its lead; `reported` is what the load report says of the rejected.
    """

    region: str
    timezone: str
    phones: dict[str, int]
    followed: list[OldLead] = field(default_factory=list)
    queued: list[OldLead] = field(default_factory=list)
    rejected: dict[int, str] = field(default_factory=dict)
    reported: list[ReportRow] = field(default_factory=list)

    def read(self, rows: Sequence[Record]) -> None:
        """Read the numbers of these rows; of two leads with one number the second is not called, nor one whose number was called before."""
        for row in rows:
            number, lead_id = row["number"], row["lead_id"]
            try:
                phone = self._phone(row)
            except RefusedPhoneError as error:
                self._reject(row, ReportRow(lead_id, REJECTED, lead_id, number, str(error.reason)))
                continue
            if phone is None:
                self._reject(row, ReportRow(lead_id, REJECTED, lead_id, None, UNKNOWN_LEAD))
            elif phone in self.phones and row["status"] == "queued":
                self._reject(row, ReportRow(lead_id, DUPLICATE, lead_id, phone, None, {"same_as": self.phones[phone], "by": "phone"}))
            else:
                self.phones.setdefault(phone, lead_id)
                if row["status"] in {"queued", *FOLLOWED}:
                    zone = zone_key(phone, None, self.region, self.timezone)
                    leads = self.queued if row["status"] == "queued" else self.followed
                    leads.append(OldLead(row["job_id"], row["name"], phone, zone))

    def _phone(self, row: Record) -> str | None:
        """The number in E.164; None when the lead is not there, or not of this business."""
        return read_phone(row["number"], self.region).e164 if row["is_known"] else None

    def _reject(self, row: Record, report: ReportRow) -> None:
        if row["status"] not in {"queued", *FOLLOWED}:
            return
        why = report.reason or f"the number of lead {report.detail['same_as']}"
        self.rejected[row["job_id"]] = f"rejected: {why}"
        self.reported.append(report)


class OldRuns:
    """The runs that the old application has inserted, in PostgreSQL."""

    def __init__(self, pool: Pool, default_account: str = "") -> None:
        """Use `pool`, which the caller closes; calls of businesses without an account of their own were placed by `default_account`."""
        self._pool = pool
        self._default_account = default_account

    async def in_doubt(self, business_id: int) -> list[int]:
        """The runs of a business with calls of the old application that may not have ended."""
        return [row["run_id"] for row in await self._pool.fetch(TEXT["runs_in_doubt"], business_id)]

    async def name_account(self) -> None:
        """Assign the calls that are followed to the default account, where it was not known when their business was adopted."""
        await self._pool.execute(TEXT["name_account"], self._default_account)

    async def complete(self, business_id: int, run_id: int) -> None:
        """Read the numbers of a run's leads and follow its calls; nothing happens when that is done, or there is no such run.

        Raises:
            RowLockedError, DatabaseUnavailableError: when nothing was done; trying again is harmless.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(TEXT["one_completion"], run_id)
            business = await connection.fetchrow(TEXT["of_business"], business_id, run_id)
            if business is None or not business["incomplete"]:
                return
            await connection.execute(TEXT["mark_old_calls"], business_id, run_id)
            known = {row["phone"]: row["lead_id"] for row in await connection.fetch(TEXT["known_phones"], business_id, run_id)}
            reading = Reading(business["region"], business["timezone"], known)
            # Those that were called first: their numbers are not called again for another lead.
            rows = [row async for row in _rows(connection, business_id, run_id)]
            rows.sort(key=lambda row: row["status"] not in CALLED)
            for start in range(0, len(rows), LEADS_AT_ONCE):
                await asyncio.to_thread(reading.read, rows[start : start + LEADS_AT_ONCE])
            await self._write(connection, business_id, run_id, reading)

    async def _write(self, connection: Connection, business_id: int, run_id: int, reading: Reading) -> None:
        last = await connection.fetchval(TEXT["last_position"], business_id, run_id)
        followed = sorted(reading.followed, key=lambda lead: lead.zone)
        ordered = [*followed, *sorted(reading.queued, key=lambda lead: lead.zone)]
        for start in range(0, len(ordered), LEADS_AT_ONCE):
            part = ordered[start : start + LEADS_AT_ONCE]
            columns = [lead.job_id for lead in part], [lead.phone for lead in part], [lead.name for lead in part]
            await connection.execute(TEXT["read_jobs"], business_id, run_id, *columns, last + start + 1)
        await connection.execute(TEXT["reject_jobs"], business_id, run_id, list(reading.rejected), list(reading.rejected.values()))
        ranges = [*_zones(followed, last + 1), *_zones(ordered[len(followed) :], last + len(followed) + 1)]
        zones = [zone for zone, _, _ in ranges], [first for _, first, _ in ranges], [end for _, _, end in ranges]
        completed = last + len(followed), self._default_account, RING_SECONDS
        await connection.execute(TEXT["complete_run"], business_id, run_id, *zones, *completed)
        await keep_load(connection, business_id, run_id, ListReport(len(ordered), reading.reported), LOADED_BY)


async def _rows(connection: Connection, business_id: int, run_id: int) -> AsyncIterator[Record]:
    after = 0
    while rows := await connection.fetch(TEXT["unread_jobs"], business_id, run_id, after, LEADS_AT_ONCE):
        for row in rows:
            yield row
        after = rows[-1]["position"]


def _zones(leads: Sequence[OldLead], first: int) -> Iterator[tuple[str, int, int]]:
    for zone, of_zone in groupby(leads, key=lambda lead: lead.zone):
        last = first + sum(1 for _ in of_zone) - 1
        yield zone, first, last
        first = last + 1
