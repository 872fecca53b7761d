"""Reads the business of a request, and changes its name, limits and rules of calling."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import phonenumbers
from pydantic import AfterValidator, Field

from dialer.policy.registers import RequiredRegister
from dialer.policy.run_settings import CallingRules
from dialer.policy.time_zones import zone_names
from dialer.scripts.script import Script
from dialer.sealing import BrokenSealError
from sql.stored_text import storable
from web.operations.settings.account_check import check_at_provider, check_countries
from web.operations.settings.provider_account import AccountInput, check_account
from web.operations.settings.run_fields import MAX_CALLER_IDS
from web.server import errors, keys
from web.server.errors import Text
from web.server.i18n import msgid
from web.server.inputs import refuse

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.businesses.businesses import Business
    from telephony.provider import Account
    from telephony.twilio.account_reader import AccountFacts
    from web.access.auth import Principal

MAX_NAME_CHARACTERS: Final = 200
MAX_COUNTRIES: Final = 300
MAX_REGISTERS: Final = 20
MAX_RETENTION_DAYS: Final = 36_500


def _country(code: str) -> str:
    if code not in phonenumbers.SUPPORTED_REGIONS:
        refuse("country", code=code[:20])
    return code


def _zone(name: str) -> str:
    if name not in zone_names():
        refuse("zone")
    return name


def _distinct(registers: list[RequiredRegister]) -> list[RequiredRegister]:
    if len({register.name for register in registers}) < len(registers):
        refuse("repeated")
    return registers


def _inbound(script: Script | None) -> Script | None:
    """Inbound calls have no lead and no attempt, so there can be no variables and no keys."""
    if script and (script.variables or script.keypress):
        refuse("inbound_script")
    return script


Country = Annotated[str, AfterValidator(_country)]
Registers = Annotated[list[RequiredRegister], AfterValidator(_distinct), Field(max_length=MAX_REGISTERS)]


class BusinessChanges(CallingRules):
    """The fields of a business to be changed; those that are not given stay as they are.

    `caller_ids` may have any spelling until `web/api/business.py` has read them.
    """

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)] = ""
    region: Country = ""
    timezone: Annotated[str, AfterValidator(_zone)] = ""
    caller_ids: Annotated[list[str], Field(min_length=1, max_length=MAX_CALLER_IDS)] = Field(default_factory=list)
    max_calls: Annotated[int, Field(ge=1)] = 0
    allowed_countries: Annotated[list[Country], Field(min_length=1, max_length=MAX_COUNTRIES)] | None = None
    required_registers: Registers = Field(default_factory=list)
    retention_days: Annotated[int, Field(ge=1, le=MAX_RETENTION_DAYS)] | None = None
    script: Script | None = None
    inbound_script: Annotated[Script | None, AfterValidator(_inbound)] = None
    provider_account: AccountInput | None = None

    def given(self) -> dict[str, Any]:
        """The fields that were given and no others, as JSON; an account is without its secrets."""
        given = super().given()
        if self.provider_account:
            given["provider_account"] = self.provider_account.public()
        return given


async def own_business(request: http.Request, principal: Principal) -> Business:
    """The business of the principal.

    Raises:
        ApiError: 404, when it has been deleted meanwhile.
    """
    business = await request.app[keys.BUSINESSES].get(principal.business_id)
    if business is None:
        raise errors.not_found()
    return business


@dataclass(frozen=True, slots=True)
class ChangeAnswer:
    """The business after a change, and what the provider says about the account that was entered; None when none was."""

    business: Business
    facts: AccountFacts | None


async def change_business(request: http.Request, principal: Principal, changes: BusinessChanges) -> ChangeAnswer:
    """Change the business of the principal, an admin.

    Raises:
        ApiError: 422, naming the field that is wrong, or 503.
    """
    facts = await check_changes(request, principal, changes)
    if given := changes.given():
        account = changes.provider_account
        sealed = request.app[keys.ACCOUNTS].seal(account.credentials) if account and account.has_credentials else None
        await request.app[keys.BUSINESSES].change(principal.business_id, given, principal.actor, sealed=sealed)
    return ChangeAnswer(await own_business(request, principal), facts)


async def check_changes(request: http.Request, principal: Principal, changes: BusinessChanges) -> AccountFacts | None:
    """Check changes and store nothing; return what the provider says about the account that was entered, None when none was.

    Raises:
        ApiError: as `change_business`.
    """
    business = await own_business(request, principal)
    _check(business, changes)
    if "provider_account" in changes.model_fields_set:
        check_account(business, changes.provider_account, request.app[keys.ACCOUNTS])
    await _check_caller_ids(request, business, changes)
    return await _ask_provider(request, business, changes)


async def _check_caller_ids(request: http.Request, business: Business, changes: BusinessChanges) -> None:
    """Check that no other business calls from these numbers: the provider cannot distinguish businesses on the default account.

    Numbers that the business has already stay allowed.

    Raises:
        ApiError: 422, naming the number.
    """
    entered = [number for number in changes.caller_ids if number not in business.caller_ids]
    taken = await request.app[keys.BUSINESSES].used_elsewhere(business.business_id, entered) if entered else set()
    why = Text(msgid("is a number that another business calls from"))
    if wrong := [{"field": f"caller_ids.{n}", "message": why} for n, number in enumerate(changes.caller_ids) if number in taken]:
        raise errors.invalid(wrong)


async def _ask_provider(request: http.Request, business: Business, changes: BusinessChanges) -> AccountFacts | None:
    """Ask the provider about the entered values, with the account that the business will have; return what it says of an entered account.

    Raises:
        ApiError: 422, naming the field that the provider says is wrong.
    """
    given, reader = changes.provider_account, request.app[keys.ACCOUNT_READER]
    entered = given is not None and given.has_credentials
    other_account = entered or ("provider_account" in changes.model_fields_set and given is None)
    if not (other_account or changes.caller_ids or changes.allowed_countries):
        return None
    account, facts = await _account_after(request, business, changes), None
    if account is None:
        return None
    if other_account or changes.caller_ids:
        numbers, numbers_entered = changes.caller_ids or business.caller_ids, bool(changes.caller_ids)
        facts = await check_at_provider(reader, account, entered=entered, numbers=numbers, numbers_entered=numbers_entered)
    await check_countries(reader, account, changes.allowed_countries or [])
    return facts if entered else None


async def _account_after(request: http.Request, business: Business, changes: BusinessChanges) -> Account | None:
    """The account that the business will have; None when the credentials of the present one cannot be opened."""
    accounts, given = request.app[keys.ACCOUNTS], changes.provider_account
    if given and given.has_credentials:
        return accounts.entered(given.account_sid, given.credentials)
    if "provider_account" in changes.model_fields_set and given is None:
        return accounts.default
    stored = await request.app[keys.ACCOUNT_ROWS].of(business.business_id)
    with suppress(BrokenSealError):
        return accounts.account(business.business_id, business.account_sid, stored)
    return None


def _check(business: Business, changes: BusinessChanges) -> None:
    if len(set(changes.caller_ids)) < len(changes.caller_ids):
        raise errors.wrong_field(name="caller_ids", why=Text(msgid("must not repeat a value")))
    if changes.max_calls > business.max_calls_limit:
        why = Text(msgid("must be at most {le}, as set at the command line"), {"le": business.max_calls_limit})
        raise errors.wrong_field(name="max_calls", why=why)
    if not storable(changes.name) or not changes.name.isprintable() or ("name" in changes.model_fields_set and not changes.name.strip()):
        raise errors.wrong_field(name="name", why=Text(msgid("must be text")))
    for n, register in enumerate(changes.required_registers):
        if not storable(register.name) or not register.name.isprintable():
            raise errors.wrong_field(name=f"required_registers.{n}.name", why=Text(msgid("must be text")))
