"""The settings of a run: read from a request, checked against the rules of its business, and stored as they were given."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, PlainSerializer, PlainValidator

from dialer.messages import MAX_NAME_CHARACTERS
from dialer.model import Role
from dialer.policy.run_settings import Budget, CallingRules, RunRules, loosens
from dialer.scripts.script import Script, SpokenText
from dialer.scripts.texts import variables_in
from sql.runs.new_run import NewRun
from sql.stored_text import storable
from web.server import errors, keys
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
from web.server.inputs import check, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiohttp import web as http

    from sql.businesses.businesses import Business
    from sql.runs.lead_rows import LeadRows
    from sql.runs.load_reports import ListReport
    from sql.runs.new_lead import NewLead
    from sql.runs.runs import Run
    from web.access.auth import Principal

MAX_CALLER_IDS: Final = 100
SHOWN_CALLER_IDS: Final = 5
MAX_PHONE_CHARACTERS: Final = 64
SCHEDULED_WITHIN: Final = timedelta(days=60)
# Columns of a run, which are not stored in its settings.
COLUMNS: Final = frozenset({"name", "concurrency", "start", "archived", "outcomes"})
# In a query string and in a form these are JSON.
JSON_FIELDS: Final = frozenset({"calling_hours", "retries", "budget", "min_gap_hours", "max_per_day", "outcomes", "script", "caller_ids"})


def _moment(value: object) -> datetime | None:
    """A time with its zone, in ISO 8601."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        refuse("moment")
    return moment


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


Moment = Annotated[datetime | None, PlainValidator(_moment), PlainSerializer(_iso)]


class RunSettings(RunRules):
    """How a run is dialled; `concurrency` None means all the lines of the business."""

    name: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)] | None = None
    concurrency: Annotated[int, Field(ge=1)] | None = None
    start: bool = False
    schedule_at: Moment = None
    script: Script | None = None
    machine_detection: Literal["Enable", "DetectMessageEnd"] | None = None
    machine_detection_async: bool = False
    on_machine: Literal["hang_up", "continue", "leave_message"] = "hang_up"
    machine_message: SpokenText | None = None
    record: bool = False
    caller_ids: Annotated[list[str], Field(min_length=1, max_length=MAX_CALLER_IDS)] | None = None
    caller_id_choice: Literal["first", "rotate", "local"] = "first"


class PreviewSettings(RunSettings):
    """The settings of a run, and the `row` of the lead to be shown; None is the first one that can be called."""

    row: Annotated[int, Field(ge=1)] | None = None


class TestCallSettings(PreviewSettings):
    """The settings of a run, and the phone on which a person hears what a lead would hear."""

    phone: Annotated[str, Field(max_length=MAX_PHONE_CHARACTERS)]


def settings_of_texts(texts: Mapping[str, str], model: type[RunSettings] = RunSettings) -> RunSettings:
    """The settings in the fields of a form or a query; an empty field counts as not sent, objects are JSON.

    Raises:
        ApiError: 422, naming the fields.
    """
    return check(model, {name: _value(name, text) for name, text in texts.items() if text}, texts=True)


def kept(settings: RunSettings) -> dict[str, Any]:
    """The settings that are stored and shown: those that were given, as JSON."""
    given = {name: value for name, value in settings.given().items() if name not in COLUMNS}
    # The claim returns these with each attempt: their defaults need not be stored.
    idle = {"machine_detection": None, "machine_detection_async": False, "record": False, "caller_ids": None}
    return {name: value for name, value in given.items() if name not in idle or value != idle[name]}


def business_rules(business: Business) -> CallingRules:
    """The rules of a business, which apply to its runs without their own."""
    return CallingRules.model_validate({name: getattr(business, name) for name in CallingRules.model_fields})


def variables_of(script: Mapping[str, Any] | None, machine_message: str | None) -> frozenset[str]:
    """The keys of the variables that a run needs from each lead; `script` as it is stored, None for the greeting."""
    own = Script.model_validate(script).variables if script else frozenset()
    return own | variables_in(machine_message or "")


def variables_of_new_run(business: Business, settings: RunSettings) -> frozenset[str]:
    """The keys of the variables that a new run needs from each lead, for its own script or its business's."""
    given = settings.script.given() if settings.script else None
    return variables_of(given if "script" in settings.model_fields_set else business.script, settings.machine_message)


def unknown_variable(key: str, machine_message: str | None) -> ApiError:
    """The error for a variable that no lead has, in the message for machines or else in the script."""
    name = "machine_message" if key in variables_in(machine_message or "") else "script"
    return errors.wrong_field(name=name, why=Text(msgid("needs {{{variable}}}, which no lead has"), {"variable": key}))


def new_run(
    principal: Principal,
    business: Business,
    settings: RunSettings,
    loosened: Sequence[str],
    leads: Sequence[NewLead] | LeadRows = (),
    report: ListReport | None = None,
) -> NewRun:
    """The run that these settings describe, after `check_settings`."""
    return NewRun(
        business_id=business.business_id,
        name=settings.name,
        concurrency=settings.concurrency or business.max_calls,
        leads=leads,
        start=settings.start,
        priority=settings.priority,
        settings=kept(settings),
        created_by_user_id=principal.user_id,
        schedule_at=settings.schedule_at,
        loosens=loosened,
        report=report,
    )


async def check_settings(request: http.Request, principal: Principal, business: Business, settings: RunSettings) -> list[str]:
    """Check the settings of a new run against its business; return the rules of the business that it loosens.

    Raises:
        ApiError: 403 when only an admin may set these, 422 naming the field that is wrong.
    """
    check_concurrency(settings.concurrency, business)
    if settings.start and settings.schedule_at:
        raise errors.wrong_field(name="schedule_at", why=Text(msgid("cannot be given together with start")))
    check_schedule(request, settings.schedule_at)
    check_name(settings.name)
    await check_budget(request, settings.budget)
    _check_machine(settings)
    check_caller_ids(settings.caller_ids or [], business)
    return allowed_to_loosen(principal, loosens(business_rules(business), settings))


def _check_machine(settings: RunSettings) -> None:
    leaves_message = settings.on_machine == "leave_message"
    for name in ("on_machine", "machine_detection_async"):
        if getattr(settings, name) != RunSettings.model_fields[name].default and settings.machine_detection is None:
            raise errors.wrong_field(name=name, why=Text(msgid("needs machine_detection")))
    if leaves_message and settings.machine_detection != "DetectMessageEnd":
        why = Text(msgid("must be DetectMessageEnd to leave a message: it is said after the beep"))
        raise errors.wrong_field(name="machine_detection", why=why)
    if leaves_message != (settings.machine_message is not None):
        why = Text(msgid("is missing") if leaves_message else msgid("needs on_machine leave_message"))
        raise errors.wrong_field(name="machine_message", why=why)


def check_concurrency(concurrency: int | None, business: Business) -> None:
    """Check that a run uses at most the lines of its business.

    Raises:
        ApiError: 422.
    """
    if concurrency is not None and concurrency > business.max_calls:
        raise errors.wrong_field(name="concurrency", why=Text(msgid("must be at most {le}"), {"le": business.max_calls}))


def check_schedule(request: http.Request, schedule_at: datetime | None) -> None:
    """Check that a run starts in the future, and within 60 days.

    Raises:
        ApiError: 422.
    """
    now = request.app[keys.CLOCK].now()
    if schedule_at is None or now < schedule_at <= now + SCHEDULED_WITHIN:
        return
    why = msgid("must not be in the past") if schedule_at <= now else msgid("must be within 60 days")
    raise errors.wrong_field(name="schedule_at", why=Text(why))


def check_name(name: str | None) -> None:
    """Check that PostgreSQL can store the name.

    Raises:
        ApiError: 422.
    """
    if name is not None and not storable(name):
        raise errors.wrong_field(name="name", why=Text(msgid("must be text")))


async def check_budget(request: http.Request, budget: Budget | None) -> None:
    """Check that there are prices in the currency of a budget.

    Raises:
        ApiError: 422, or 503 when PostgreSQL is unavailable.
    """
    if budget is None or budget.amount is None:
        return
    currencies = await request.app[keys.PRICES].currencies()
    if not currencies:
        raise errors.wrong_field(name="budget.amount", why=Text(msgid("cannot be used: no price table has been imported")))
    if budget.currency not in currencies:
        why = Text(msgid("must be one with a price table: {currencies}"), {"currencies": ", ".join(currencies)})
        raise errors.wrong_field(name="budget.currency", why=why)


def check_caller_ids(caller_ids: Sequence[str], business: Business) -> None:
    """Check that these are caller ids of the business, spelt as `GET /api/business` shows them.

    Raises:
        ApiError: 422.
    """
    if len(set(caller_ids)) < len(caller_ids):
        raise errors.wrong_field(name="caller_ids", why=Text(msgid("must not repeat a value")))
    for place, number in enumerate(caller_ids):
        if number not in business.caller_ids:
            raise foreign_caller_id(business, name=f"caller_ids.{place}")


def foreign_caller_id(business: Business, *, name: str) -> ApiError:
    """The error for a number that is not a caller id of the business."""
    shown = ", ".join(business.caller_ids[:SHOWN_CALLER_IDS])
    why = Text(msgid("must be a caller id of the business, spelt as {numbers}"), {"numbers": shown})
    return errors.wrong_field(name=name, why=why)


def own_rules(run: Run) -> RunRules:
    """The rules that a run has of its own."""
    return RunRules.model_validate({name: value for name, value in run.settings.items() if name in RunRules.model_fields})


def allowed_to_loosen(principal: Principal, loosened: Sequence[str]) -> list[str]:
    """The rules that a run loosens, if this principal may do so.

    Raises:
        ApiError: 403, for anybody but an admin.
    """
    if loosened and not principal.role.allows(Role.ADMIN):
        sentence = msgid("The run would be looser than the rules of the business ({fields}): only an admin may do that.")
        raise ApiError(403, "forbidden", Text(sentence, {"fields": ", ".join(loosened)}))
    return list(loosened)


def _value(name: str, text: str) -> object:
    if name not in JSON_FIELDS:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise errors.wrong_field(name=name, why=Text(msgid("must be JSON"))) from None
