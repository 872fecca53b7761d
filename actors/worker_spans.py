"""The spans of a worker: what it does for a run and for each of its calls. Without a collector each of these functions returns at once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from dialer.messages import COMMANDS, Command, CommandType
from dialer.policy.checks import SEND_SECONDS
from dialer.tracing.spans import Attributes, Span, SpanKind, call_span_id, parse_traceparent, run_span_id
from telephony.provider import PlacedCall, RefusedCall, UnansweredCall, UnsentCall

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from actors.services import Services
    from dialer.messages import RunChanged
    from sql.attempts.attempts import ClaimedAttempt, OpenAttempt
    from sql.commands.commands import AppliedCommand, MalformedCommand
    from telephony.provider import PlaceResult

STREAM: Final = {"messaging.system": "redis", "messaging.destination.name": COMMANDS}
ROUTE: Final = "/2010-04-01/Accounts/{sid}/Calls.json"


def commands_received(services: Services, entries: Iterable[Command | MalformedCommand]) -> None:
    """The commands of other programs have come into the inbox; a program's own trace goes on with this."""
    if not services.spans.enabled:
        return
    now = services.clock.now()
    for command in entries:
        if isinstance(command, Command):
            caller = parse_traceparent(command.traceparent)
            name, ids = f"receive {command.type}", (command.business_id, command.run_id)
            services.spans.add(Span(name, *ids, now, now, SpanKind.CONSUMER, caller=caller, attributes=STREAM))


def commands_decided(services: Services, applied: Iterable[AppliedCommand], began: datetime) -> None:
    """PostgreSQL has decided commands of other programs."""
    if not services.spans.enabled:
        return
    for one in applied:
        hint, answer = one.hint, one.answer
        if answer.accepted and not answer.duplicate:
            _add_command(services, (hint.business_id, hint.run_id), hint.command, began)


def scheduled_start(services: Services, business_id: int, run_id: int, began: datetime) -> None:
    """A run has been started at its time."""
    if services.spans.enabled:
        _add_command(services, (business_id, run_id), CommandType.START, began)


def run_taken(services: Services, hint: RunChanged) -> None:
    """The hint of a command has reached this worker, which drives the run."""
    if services.spans.enabled:
        now = services.clock.now()
        services.spans.add(Span(f"worker: {hint.command}", hint.business_id, hint.run_id, now, now, SpanKind.CONSUMER))


def leads_claimed(services: Services, attempts: Sequence[ClaimedAttempt], began: float) -> None:
    """A claim that began at `began` (boot clock, seconds) has been answered."""
    if services.spans.enabled:
        for attempt in attempts:
            _add(services, "claim", attempt, wall(services, began), attributes={"leads": len(attempts)})


def claimed_at(services: Services, deadline: float) -> datetime | None:
    """When the claim began whose calls must be placed before `deadline` (boot clock, seconds); None without a collector."""
    return wall(services, deadline - SEND_SECONDS) if services.spans.enabled else None


def call_posted(services: Services, attempt: ClaimedAttempt, result: PlaceResult, began: datetime) -> None:
    """The request to place a call is over."""
    if services.spans.enabled:
        attributes, error = _of_post(result)
        _add(services, "POST Calls.json", attempt, began, SpanKind.CLIENT, attributes, error)


def call_adopted(services: Services, attempt: OpenAttempt) -> None:
    """This worker follows a call that another one has placed."""
    if services.spans.enabled:
        attributes = {"state": str(attempt.state), **({"sid": attempt.sid} if attempt.sid else {})}
        _add(services, "take over", attempt, services.clock.now(), attributes=attributes)


def call_ended(services: Services, attempt: ClaimedAttempt | OpenAttempt, began: datetime) -> None:
    """The call of an attempt that began at `began` is over: the span that all others of it are below."""
    if services.spans.enabled:
        _add(services, "call", attempt, began, span_id=call_span_id(attempt.business_id, attempt.attempt_id))


def wall(services: Services, moment: float) -> datetime:
    """The wall clock's time at this moment of the boot clock, in seconds."""
    return services.clock.now() - timedelta(seconds=services.clock.boot() - moment)


def _add(
    services: Services,
    name: str,
    attempt: ClaimedAttempt | OpenAttempt,
    began: datetime,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Attributes | None = None,
    error: str = "",
    span_id: int = 0,
) -> None:
    ids = attempt.business_id, attempt.run_id
    ended, of_call = services.clock.now(), (attempt.job_id, attempt.attempt_id)
    services.spans.add(Span(name, *ids, began, ended, kind, *of_call, span_id, error=error, attributes=attributes or {}))


def _add_command(services: Services, ids: tuple[int, int], command: CommandType, began: datetime) -> None:
    # The start of a run is the root of its trace.
    own, parent = (run_span_id(*ids), 0) if command is CommandType.START else (0, None)
    services.spans.add(Span(command, *ids, began, services.clock.now(), span_id=own, parent_id=parent))


def _of_post(result: PlaceResult) -> tuple[Attributes, str]:
    http = {"http.request.method": "POST", "url.template": ROUTE}
    match result:
        case PlacedCall(sid=sid):
            return {**http, "sid": sid}, ""
        case RefusedCall(code=code):
            return {**http, "error_code": code}, "refused"
        case UnsentCall(reason=reason):
            return http, f"not sent: {reason}"
        case UnansweredCall(reason=reason):
            return http, f"no answer: {reason}"
