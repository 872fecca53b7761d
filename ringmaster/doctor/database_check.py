"""Checks PostgreSQL: that it answers, its schema, a pooler in between, and every rule about what is stored."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from ringmaster.doctor.business_rules import BUSINESSES
from ringmaster.doctor.count_rules import COUNTS
from ringmaster.doctor.finding import Finding, Status, judged
from ringmaster.doctor.rule import follow
from ringmaster.doctor.server_rules import SERVER, connections
from ringmaster.doctor.work_rules import WORK, stuck_attempts
from sql.errors import FAILED
from sql.guards import missing_guards
from sql.migrate import report_of
from sql.unusable import why_unusable

if TYPE_CHECKING:
    from dialer.config import Settings
    from ringmaster.doctor.finding import Findings
    from sql.diagnosis.diagnosis import Diagnosis
    from sql.migrate import Report

APPLICATION: Final = f"dialer-cli:{os.getpid()}"
AWAY: Final = "start it, or correct DATABASE_URL; what is stored in it was not checked"


async def check_database(diagnosis: Diagnosis, database_url: str, settings: Settings) -> Findings:
    """All findings about the database, which has answered."""
    yield Finding("postgresql", Status.OK, "PostgreSQL answers")
    schema, is_there = await _schema(diagnosis, database_url)
    yield schema
    yield await _pooler(diagnosis, database_url)
    longest = settings.call_time_limit_seconds + settings.provider_lag_seconds
    rules = (*SERVER, connections(settings.database_connections, pooled=diagnosis.pooled))
    # Without our schema there is nothing that the others could read.
    stored = (*WORK, stuck_attempts(longest), *BUSINESSES, *COUNTS) if is_there else ()
    async for finding in follow(diagnosis, database_url, (*rules, *stored)):
        yield finding


async def _schema(diagnosis: Diagnosis, database_url: str) -> tuple[Finding, bool]:
    """The finding about the migrations, and whether any of them is applied, as far as that can be told."""
    try:
        report = await report_of(diagnosis.pool)
    except FAILED as error:
        remedy = "give this role USAGE on schema dialer and SELECT on dialer.schema_migrations"
        return Finding("migrations", Status.FAIL, why_unusable(error, database_url), remedy), True
    return _of_report(report), bool(report.applied)


def _of_report(report: Report) -> Finding:
    if report.changed:
        detail = f"applied migrations are not those of this code: {', '.join(report.changed)}"
        return Finding(
            "migrations", Status.FAIL, detail, "run the code that this database was migrated with, or start with an empty database"
        )
    if report.pending:
        detail = f"migrations that are pending: {len(report.pending)}, the first is {report.pending[0]}"
        return Finding("migrations", Status.FAIL, detail, "python -m sql migrate")
    if report.unknown:
        detail = f"this code does not know applied migrations: {', '.join(report.unknown)}"
        return Finding(
            "migrations", Status.WARN, detail, "run the newer code that has applied them; after a roll back go on only as its notes say"
        )
    return Finding("migrations", Status.OK, f"all {len(report.applied)} migrations are applied")


async def _pooler(diagnosis: Diagnosis, database_url: str) -> Finding:
    try:
        missing = await missing_guards(diagnosis.pool)
    except FAILED as error:
        return Finding("guards", Status.WARN, why_unusable(error, database_url), "run this again when PostgreSQL has less to do")
    between = "a pooler is in between" if diagnosis.pooled else "no pooler is in between"
    off = f", and time-outs are off: {', '.join(missing)}" if missing else ", and every time-out is in force"
    remedy = f"{'; '.join(missing.values())}; then let the pooler open its connections anew"
    return judged("guards", Status.WARN if missing else Status.OK, between + off, remedy)
