"""Runs every check, one after the other; none keeps another from running."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from dialer import config
from dialer.streams.client import Streams
from dialer.tracing.opening import obstacle
from ringmaster import notice
from ringmaster.doctor.clock_check import Clocks
from ringmaster.doctor.database_check import APPLICATION, AWAY, check_database
from ringmaster.doctor.finding import Finding, Status
from ringmaster.doctor.provider_check import check_accounts
from ringmaster.doctor.public_check import check_public
from ringmaster.doctor.redis_check import check_redis
from sql.diagnosis.diagnosis import open_diagnosis
from sql.errors import FAILED
from sql.unusable import why_unusable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dialer.clock import Clock
    from dialer.config import Settings
    from ringmaster.doctor.finding import Findings

REQUIRED: Final = ("DATABASE_URL", "REDIS_URL", "PUBLIC_URL", "SECRET_KEY")
CORRECT: Final = "correct the variable in the environment of every process, and restart them; docs/contract.md has the list"
BROKEN: Final = "this is a fault of the check itself: report it with the trace in the log"

log = logging.getLogger(__name__)


async def examine(clock: Clock) -> Findings:
    """All findings about the installation of the environment, or of the `python -m dialer up` that runs in the data directory."""
    settings = config.read()[0]
    database_url = settings.database_url or notice.database_url(settings.data_dir)
    redis_url = settings.redis_url or notice.redis_url(settings.data_dir)
    by_up = bool(notice.database_url(settings.data_dir)) and not settings.database_url
    for finding in _settings(() if by_up else REQUIRED):
        yield finding
    clocks = Clocks(clock)
    async for finding in _safely("postgresql", _database(database_url, settings, clocks)):
        yield finding
    async for finding in _safely("redis", _redis(redis_url, settings.redis_ca_file, clocks)):
        yield finding
    if settings.public_url:
        async for finding in _safely("public_url", _public(settings)):
            yield finding
    yield clocks.finding()


def _settings(required: tuple[str, ...]) -> list[Finding]:
    settings, _ = config.read()
    found = [Finding("settings", Status.FAIL, fault, CORRECT) for fault in config.read(*required)[1]]
    found += [Finding("settings", Status.WARN, line, "remove it, or write its name as meant") for line in config.unknown()]
    if untraced := obstacle(settings):
        found.append(Finding("settings", Status.WARN, untraced, "as it says; dialling is not affected"))
    return found or [Finding("settings", Status.OK, "every setting is valid")]


async def _database(database_url: str, settings: Settings, clocks: Clocks) -> Findings:
    if not database_url:
        return
    try:
        async with open_diagnosis(database_url, name=APPLICATION) as diagnosis:
            async for finding in check_database(diagnosis, database_url, settings):
                yield finding

            async def read() -> float:
                return float((await diagnosis.ask("clock"))["at"])

            await clocks.ask("PostgreSQL", read)
            if settings.secret_key.get_secret_value():
                async for finding in check_accounts(diagnosis, database_url, settings, clocks):
                    yield finding
    except FAILED as error:
        yield Finding("postgresql", Status.FAIL, why_unusable(error, database_url), AWAY)


async def _redis(redis_url: str, ca_file: str, clocks: Clocks) -> Findings:
    if not redis_url:
        return
    async with _open(redis_url, ca_file) as streams:
        async for finding in check_redis(streams):
            yield finding
            if finding.status is Status.FAIL and finding.name == "redis":
                return
        asked = clocks.clock.now().timestamp()
        for name, at in (await streams.times()).items():
            if isinstance(at, float):
                clocks.add(name, at, at, asked)
            else:
                log.info("%s has not told its time: %s", name, at)


async def _public(settings: Settings) -> Findings:
    yield await check_public(settings)


@asynccontextmanager
async def _open(redis_url: str, ca_file: str) -> AsyncIterator[Streams]:
    streams = Streams(redis_url, ca_file=ca_file)
    try:
        yield streams
    finally:
        await streams.close()


async def _safely(name: str, findings: Findings) -> Findings:
    """These findings; should a check fail in a way that nobody thought of, one that says so."""
    try:
        async for finding in findings:
            yield finding
    except Exception as error:
        log.exception("the check of %s has failed", name)
        yield Finding(name, Status.FAIL, f"the check itself has failed: {type(error).__name__}: {error}", BROKEN)
