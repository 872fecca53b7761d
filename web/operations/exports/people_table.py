"""The leads of a run as a table for people: outcomes in words, times of the business, the columns of the list they came from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final

from dialer.model import JobStatus
from dialer.policy.time_zones import time_zone
from dialer.scripts.texts import key_of
from sql.runs.load_reports import MAX_COLUMNS, ListReports
from web.operations.csv_cells import escaped
from web.operations.explanations.call_explanation import explain_call
from web.operations.explanations.outcome_labels import OUTCOME_LABELS
from web.operations.exports.file_names import file_name
from web.server import keys
from web.server.error_responses import said_in
from web.server.i18n import ENGLISH, msgid, translate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiohttp import web as http

    from sql.jobs.jobs import ExportJob, Job
    from sql.runs.runs import Run
    from web.server.i18n import Language

HEADINGS: Final = (
    msgid("Lead"),
    msgid("Name"),
    msgid("Phone"),
    msgid("Result"),
    msgid("Calls"),
    msgid("Last call"),
    msgid("Length"),
    msgid("Note"),
)
# A lead that has no outcome yet, or ended by no call.
STATUS_WORDS: Final = {
    JobStatus.QUEUED: msgid("Not called yet"),
    JobStatus.DIALING: msgid("On the line"),
    JobStatus.CALLING: msgid("On the line"),
    JobStatus.COMPLETED: msgid("Answered"),
    JobStatus.FAILED: msgid("Failed"),
    JobStatus.CANCELLED: msgid("Cancelled"),
    JobStatus.SKIPPED: msgid("Left out"),
}
REASONS: Final = {
    "do_not_call": msgid("On the do-not-call list"),
    "hours_never_open": msgid("The calling hours never allow a call"),
    "country_not_allowed": msgid("In a country that is not called"),
    "number_refused": msgid("The provider has refused this number lately"),
    "recently_called": msgid("Called recently"),
    "rejected": msgid("Could not be taken from the system that was used before"),
}
# How times are written: in English as no country does, so that day and month cannot be taken for each other.
TIME: Final = "%d/%m/%Y %H:%M"
ENGLISH_TIME: Final = "%Y-%m-%d %H:%M"


@dataclass(frozen=True, slots=True)
class PeopleRow:
    """A lead: `called_at` is local and without a zone, as spreadsheets have times; `own` are the cells of its list's columns."""

    lead_id: int | str
    name: str
    phone: str
    result: str
    calls: int
    called_at: datetime | None
    length: timedelta | None
    note: str
    own: Sequence[str]


@dataclass(frozen=True)
class PeopleTable:
    """What is the same for all rows: the words, the zone, and the columns of the lists by key and heading; `name` is for the file."""

    name: str
    language: Language
    zone: tzinfo
    columns: Sequence[tuple[str, str]]

    @property
    def headings(self) -> list[str]:
        """The first row."""
        return [*(translate(self.language, text) for text in HEADINGS), *(escaped(heading) or "" for _, heading in self.columns)]

    def row(self, exported: ExportJob) -> PeopleRow:
        """A lead."""
        job = exported.job
        local = exported.called_at.astimezone(self.zone).replace(tzinfo=None, microsecond=0) if exported.called_at else None
        length = timedelta(seconds=exported.seconds) if exported.seconds is not None else None
        own = [exported.variables.get(key, "") for key, _ in self.columns]
        return PeopleRow(job.lead_id, job.name or "", job.phone or "", self._result(job), job.attempts, local, length, self._note(job), own)

    def csv_rows(self, jobs: Iterable[ExportJob]) -> list[list[object]]:
        """Rows of a CSV file, in which no text is a formula; a number in E.164 stays as it is."""
        return [self._csv_row(self.row(job)) for job in jobs]

    def _csv_row(self, row: PeopleRow) -> list[object]:
        lead_id = escaped(row.lead_id) if isinstance(row.lead_id, str) else row.lead_id
        called_at = f"{row.called_at:{ENGLISH_TIME if self.language == ENGLISH else TIME}}" if row.called_at else ""
        texts = [escaped(row.name), row.phone, row.result, row.calls, called_at, "" if row.length is None else str(row.length)]
        return [lead_id, *texts, escaped(row.note), *(escaped(cell) for cell in row.own)]

    def _result(self, job: Job) -> str:
        label = OUTCOME_LABELS.get(job.outcome or "") if job.status not in {JobStatus.QUEUED, JobStatus.SKIPPED} else None
        return translate(self.language, label or STATUS_WORDS[JobStatus(job.status)])

    def _note(self, job: Job) -> str:
        if job.reason:
            return translate(self.language, REASONS.get(job.reason, job.reason))
        explanation = explain_call(job.error_code, job.error)
        return said_in(self.language, explanation) if explanation else ""


async def people_table(request: http.Request, run: Run, language: Language) -> PeopleTable:
    """The table of a run; the columns are those of all lists that its leads came from, each once."""
    business = await request.app[keys.BUSINESSES].get(run.business_id)
    columns: dict[str, str] = {}
    for name, heading in await ListReports(request.app[keys.POOL]).columns(run.business_id, run.run_id):
        columns.setdefault(key_of(name), heading)
    zone = time_zone(business.timezone) if business else None
    return PeopleTable(file_name(run.name, f"run-{run.run_id}"), language, zone or UTC, list(columns.items())[:MAX_COLUMNS])
