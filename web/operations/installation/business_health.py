"""What is wrong with which business, the worst first, and how workers and queues stand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from dialer.model import PauseKind
from web.access.auth import require_installation
from web.operations.reports.waits_for import DRIVEN, SENTENCES, WaitReason
from web.server import keys
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web as http

    from sql.installation.business_states import BusinessState, InstallationState, WorkerState

# Commands are applied, and events published, within a second or two.
WAITS_TOO_LONG: Final = timedelta(seconds=30)
# An unknown call is resolved by the provider's lists some seconds after the lag, 60 s by default.
UNKNOWN_TOO_LONG: Final = timedelta(minutes=2)
NO_WORKER: Final = msgid("No worker drives its campaigns")
COMMANDS_WAIT: Final = msgid("Commands are not carried out")
EVENTS_WAIT: Final = msgid("Events are not published")
UNKNOWN: Final = msgid("Calls that the provider has not confirmed: {count}")
EXCESS: Final = msgid("A surplus call is being hung up")
PROVIDER_AWAY: Final = msgid("The provider cannot be reached, or rejects calls")
REFUSED: Final = msgid("Campaigns that paused because the provider refuses the account (code {code}): {count}")
PAUSED_ITSELF: Final = msgid("Campaigns that paused themselves: {count}")
STOPPED: Final = msgid("All dialling is stopped")
WEBHOOKS: Final = msgid("Its webhooks do not answer")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong; `is_bad` when it is ours or the provider's, not a choice of the business."""

    text: Text
    since: datetime | None
    is_bad: bool


@dataclass(frozen=True, slots=True)
class BusinessHealth:
    """A business and what is wrong with it, the worst first."""

    state: BusinessState
    problems: list[Problem]

    @property
    def level(self) -> str:
        """`bad`, `warn` or `good`."""
        return "bad" if any(problem.is_bad for problem in self.problems) else "warn" if self.problems else "good"


@dataclass(frozen=True, slots=True)
class Health:
    """The installation, its workers and its businesses, the worst first."""

    state: InstallationState
    workers: list[WorkerState]
    businesses: list[BusinessHealth]


async def read_health(request: http.Request) -> Health:
    """How everything stands, for a user of the installation.

    Raises:
        ApiError: 401 or 403.
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    require_installation(request)
    installation = request.app[keys.INSTALLATION]
    state = await installation.state()
    found = await installation.businesses(undriven_seconds=DRIVEN.total_seconds())
    outages = await _outages(request, {one.account_sid for one in found if one.running})
    healths = [BusinessHealth(one, sorted(_problems(one, state.now, outages), key=lambda problem: not problem.is_bad)) for one in found]
    return Health(state, await installation.workers(), sorted(healths, key=_worst_first))


def _worst_first(health: BusinessHealth) -> tuple[int, int, str]:
    bad = sum(problem.is_bad for problem in health.problems)
    return -bad, -len(health.problems), health.state.name.casefold()


async def _outages(request: http.Request, accounts: set[str | None]) -> dict[str | None, datetime]:
    """Since when the provider does not take the calls of these accounts; None is the default account."""
    found = {sid: await request.app[keys.OUTAGES].outage(request.app[keys.ACCOUNTS].sid_of(sid)) for sid in accounts}
    return {sid: datetime.fromtimestamp(outage.since, UTC) for sid, outage in found.items() if outage}


def _problems(one: BusinessState, now: datetime, outages: dict[str | None, datetime]) -> Iterator[Problem]:
    """What is wrong with a business."""
    if one.undriven_since:
        yield Problem(Text(NO_WORKER), one.undriven_since, is_bad=True)
    for text, since in ((COMMANDS_WAIT, one.command_since), (EVENTS_WAIT, one.event_since)):
        if since and now - since > WAITS_TOO_LONG:
            yield Problem(Text(text), since, is_bad=True)
    if one.unknown_since:
        yield Problem(Text(UNKNOWN, {"count": one.unknown}), one.unknown_since, is_bad=now - one.unknown_since > UNKNOWN_TOO_LONG)
    if one.excess_since:
        yield Problem(Text(EXCESS), one.excess_since, is_bad=True)
    if one.running and one.account_sid in outages:
        yield Problem(Text(PROVIDER_AWAY), outages[one.account_sid], is_bad=True)
    yield from _of_choices(one)


def _of_choices(one: BusinessState) -> Iterator[Problem]:
    """What its worker has noted, and what the business can change itself."""
    if one.stall and one.stall in list(WaitReason) and one.stall != WaitReason.PACED:
        yield Problem(Text(SENTENCES[WaitReason(one.stall)]), one.stalled_since, is_bad=one.stall != WaitReason.HISTORY)
    if one.paused_itself and one.pause_cause:
        refused = one.pause_cause.get("kind") == PauseKind.ACCOUNT_REFUSED
        values = {"count": one.paused_itself, "code": one.pause_cause.get("code", "")}
        yield Problem(Text(REFUSED if refused else PAUSED_ITSELF, values), None, is_bad=refused)
    if one.stopped_at:
        yield Problem(Text(STOPPED), one.stopped_at, is_bad=False)
    if one.webhooks_failing_since:
        yield Problem(Text(WEBHOOKS), one.webhooks_failing_since, is_bad=False)
