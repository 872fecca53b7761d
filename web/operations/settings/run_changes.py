"""Changes the settings of a run, and calls leads of a run again in a new one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dialer.messages import MAX_NAME_CHARACTERS, CommandType
from dialer.model import RunStatus
from dialer.policy.calling_hours import CallingHours
from dialer.policy.retries import Retries
from dialer.policy.run_settings import MAX_PRIORITY, Budget, loosens
from sql.commands.requests import IdReusedError
from sql.runs.changes import NoSuchLeadsError, RunChanges, UnknownVariableError
from sql.runs.new_run import Request
from web.operations.idempotency import request_id
from web.operations.job_filter import OUTCOMES
from web.operations.runs import announce_run, refused_in_state, requested_run, run_not_found
from web.operations.settings.business import own_business
from web.operations.settings.run_fields import (
    Moment,
    RunSettings,
    allowed_to_loosen,
    business_rules,
    check_budget,
    check_concurrency,
    check_name,
    check_schedule,
    check_settings,
    new_run,
    own_rules,
    unknown_variable,
    variables_of_new_run,
)
from web.server import errors, keys
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
from web.server.inputs import refuse
from web.server.tracing.request_spans import trace_command

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.businesses.businesses import Business
    from sql.runs.runs import Run
    from web.access.auth import Principal

# Where the fields that can be changed are stored: in a column, in the settings, or in both.
COLUMNS: Final = frozenset({"name", "concurrency", "priority", "schedule_at", "archived"})
CANCELLED_BEFORE: Final = msgid(
    "Leads that were cancelled before any call have no outcome: call them again with jobs/again and the status cancelled."
)
SETTINGS: Final = frozenset({"calling_hours", "retries", "budget", "priority", "schedule_at"})


def _outcome(word: str) -> str:
    if word not in OUTCOMES:
        refuse("literal_error", expected=", ".join(OUTCOMES))
    return word


class RunChange(BaseModel):
    """The fields of a run to be changed; those that are not given stay as they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    # Known fields of a new run: web/server/inputs.py says of them that they cannot be changed.
    FIXED: ClassVar[frozenset[str]] = frozenset(RunSettings.model_fields) - {"start"}

    name: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)] | None = None
    concurrency: Annotated[int, Field(ge=1)] = 1
    priority: Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 0
    calling_hours: CallingHours | None = None
    retries: Retries | None = None
    schedule_at: Moment = None
    budget: Budget | None = None
    archived: bool = False


class AgainSettings(RunSettings):
    """The settings of a run that calls leads of another run again: those whose last call ended in one of `outcomes`."""

    outcomes: Annotated[list[Annotated[str, AfterValidator(_outcome)]], Field(min_length=1, max_length=len(OUTCOMES))]


async def change_run(request: http.Request, principal: Principal, wanted: RunChange) -> Run:
    """Change the run in the path; return the changed run.

    Raises:
        ApiError: 403, 404, 409, 422 or 503.
    """
    run = await requested_run(request, principal)
    business = await own_business(request, principal)
    given = wanted.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if not given:
        return run
    loosened = await _checked(request, principal, business, run, wanted)
    changes: dict[str, Any] = {name: value for name, value in given.items() if name in COLUMNS}
    if settings := {name: value for name, value in given.items() if name in SETTINGS}:
        changes["settings"] = settings
    answer = await RunChanges(request.app[keys.POOL]).change(run.business_id, run.run_id, changes, principal.actor, loosened)
    if answer["code"] == "not_found":
        raise await run_not_found(request, principal, run.run_id)
    if answer["code"] == "currency":
        why = Text(msgid("must be {currency}: the calls of this campaign have been counted in it"), {"currency": answer["currency"]})
        raise errors.wrong_field(name="budget.currency", why=why)
    if answer["code"]:
        raise await refused_in_state(request.app, run.business_id, run.run_id)
    changed = await requested_run(request, principal)
    announce_run(request, business, changed.run_id, changed.status)
    return changed


async def call_again(request: http.Request, principal: Principal, wanted: AgainSettings) -> dict[str, Any]:
    """Load a new run with leads of the run in the path; return the answer of the contract.

    Raises:
        ApiError: 403, 404, 409, 422 or 503.
    """
    source = await requested_run(request, principal)
    business = await own_business(request, principal)
    new = new_run(principal, business, wanted, await check_settings(request, principal, business, wanted))
    digest = hashlib.sha256(wanted.model_dump_json(exclude_unset=True).encode(errors="replace")).digest()
    report: dict[str, Any] = {"rejected": [], "duplicates": [], "read_as": []}
    identity = Request(request_id(request), digest, principal.actor, report, "run.again")
    try:
        variables = variables_of_new_run(business, wanted)
        began = request.app[keys.CLOCK].now()
        answer, repeated = await RunChanges(request.app[keys.POOL]).again(source.run_id, wanted.outcomes, new, identity, variables)
    except IdReusedError:
        raise errors.idempotency_conflict() from None
    except UnknownVariableError as error:
        raise unknown_variable(str(error), wanted.machine_message) from None
    except NoSuchLeadsError:
        cancelled = (Text(CANCELLED_BEFORE),) if source.cancelled else ()
        why = Text(msgid("No lead of this run has ended with one of these outcomes."), then=cancelled)
        raise ApiError(422, "no_leads", why, details=[{"field": "outcomes", "message": why}]) from None
    if answer["status"] == RunStatus.RUNNING and not repeated:
        trace_command(request, CommandType.START, (business.business_id, answer["run_id"]), began)
    announce_run(request, business, answer["run_id"], answer["status"])
    return answer


async def _checked(request: http.Request, principal: Principal, business: Business, run: Run, wanted: RunChange) -> list[str]:
    """Check the changes against the business; return the rules of the business that they loosen."""
    given = wanted.model_fields_set
    check_concurrency(wanted.concurrency if "concurrency" in given else None, business)
    check_schedule(request, wanted.schedule_at)
    check_name(wanted.name)
    await check_budget(request, wanted.budget)
    if "calling_hours" not in given:
        return []
    rules = own_rules(run).model_copy(update={"calling_hours": wanted.calling_hours})
    return allowed_to_loosen(principal, [name for name in loosens(business_rules(business), rules) if name == "calling_hours"])
