"""Walks through every table that has rows of businesses, some pages at a time, whatever its indexes: no statement lasts long.

Tables come from the catalogue, so that none is forgotten. A walk reads the rows of the other businesses too, and locks none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sql.pool import Connection, Pool

TEXT = statements("erasure")
# Some 30,000 leads.
PAGES: Final = 500
LAST_PAGE: Final = 2**32 - 1

# {table} and {about} are from here and from the catalogue. Each gets the business, the person or NULL, and the pages.
_WHERE: Final = "t.business_id = $1 AND ($2::jsonb IS NULL OR ({about})) AND t.ctid >= $3::text::tid AND t.ctid < $4::text::tid"
_READ: Final = "SELECT (to_jsonb(t) - $5::text[])::text AS row FROM {table} t WHERE " + _WHERE  # noqa: S608 - constants
_DELETE: Final = "WITH erased AS (DELETE FROM {table} t WHERE " + _WHERE + " RETURNING 1) SELECT count(*) FROM erased"  # noqa: S608

# What lets somebody in, or signs: never written to a file.
SECRETS: Final = ("password_hash", "link_hash", "hash", "sealed", "sealed_key", "token", "nonce", "dial_lock_token", "digest")

_BY_PHONE: Final = "t.phone = $2::jsonb ->> 'phone'"
_BY_JOB: Final = "$2::jsonb -> 'jobs' ? t.job_id::text"
_BY_ATTEMPT: Final = "$2::jsonb -> 'attempts' ? t.attempt_id::text"
_IN_TEXT: Final = "strpos(t::text, substr($2::jsonb ->> 'phone', 2)) > 0"
JOBS: Final = "public.outbound_call_jobs"
ATTEMPTS: Final = "dialer.attempts"
# Which rows are about a person, for each table that may have such.
ABOUT: Final = {
    JOBS: _BY_PHONE,
    ATTEMPTS: _BY_PHONE,
    "dialer.audit_log": _IN_TEXT,
    "dialer.call_sids": _BY_ATTEMPT,
    "dialer.callbacks": _BY_ATTEMPT,
    "dialer.deliveries": f"{_BY_JOB} OR {_IN_TEXT}",
    "dialer.do_not_call": _BY_PHONE,
    "dialer.inbox": _IN_TEXT,
    "dialer.lead_numbers": "$2::jsonb -> 'externals' ? t.external_id",
    "dialer.lead_variables": "$2::jsonb -> 'places' ? concat(t.run_id, ':', t.position)",
    "dialer.legacy_archive": _IN_TEXT,
    "dialer.outbox": f"{_BY_JOB} OR {_IN_TEXT}",
    "dialer.recordings": _BY_ATTEMPT,
    "dialer.refusals": _BY_JOB,
    # Rejected rows have the number as it was written.
    "dialer.reported_rows": f"right(regexp_replace(t.phone, '\\D', '', 'g'), 9) = right($2::jsonb ->> 'phone', 9) OR {_IN_TEXT}",
    "dialer.retries": _BY_JOB,
    "dialer.test_calls": _BY_PHONE,
}
# The others, and why they have nothing about a person who was called.
WITHOUT_PERSONS: Final = {
    "public.outbound_call_runs": "counts, and the settings of the business",
    "dialer.businesses": "the business itself",
    "dialer.delivery_queues": "when a queue is due",
    "dialer.draft_pieces": "a list that was uploaded and is not a campaign yet, compressed: deleted after 2 days",
    "dialer.drafts": "the name of that list's file",
    "dialer.erasures": "counts",
    "dialer.lanes": "ids of calls",
    "dialer.loads": "counts, and headings of columns",
    "dialer.operations": "ids of leads",
    "dialer.proofs": "numbers are digests: they are what is kept",
    "dialer.provider_accounts": "credentials",
    "dialer.registers": "names of official registers",
    "dialer.run_zones": "how far a run is",
    "dialer.sessions": "users",
    "dialer.stalls": "why nothing is called",
    "dialer.tokens": "programs",
    "dialer.users": "users",
    "dialer.webhooks": "addresses",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table that has rows of businesses, by its full name, with its size in pages."""

    name: str
    pages: int

    def spans(self) -> Iterator[tuple[str, str]]:
        """Where each step begins, and where it ends; the last one has the pages that were added since."""
        for start in range(0, self.pages + 1, PAGES):
            end = start + PAGES if start + PAGES <= self.pages else LAST_PAGE
            yield f"({start},0)", f"({end},0)"

    @property
    def read_statement(self) -> str:
        """Reads rows as JSON: business, person, begin, end, names of columns that are left out."""
        return _READ.format(table=self.name, about=ABOUT.get(self.name, "FALSE"))

    @property
    def delete_statement(self) -> str:
        """Deletes rows, and returns how many: business, person, begin, end."""
        return _DELETE.format(table=self.name, about=ABOUT.get(self.name, "FALSE"))


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody by the phone number, with the ids of the leads and attempts that it has in one business.

    `places` are run and position, `externals` the ids that leads have elsewhere.
    """

    phone: str
    jobs: Sequence[str] = ()
    attempts: Sequence[str] = ()
    places: Sequence[str] = ()
    externals: Sequence[str] = ()

    @property
    def argument(self) -> dict[str, Any]:
        """As the statements take it."""
        return {name: getattr(self, name) for name in ("phone", "jobs", "attempts", "places", "externals")}


async def tables(source: Pool | Connection) -> list[Table]:
    """Every table with rows of businesses, in an order in which they can be deleted."""
    return [Table(**row) for row in await source.fetch(TEXT["tables"])]
