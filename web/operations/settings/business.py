"""Reads the business of a request, and changes its name, limits and rules of calling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import phonenumbers
from pydantic import AfterValidator, Field

from dialer.policy.registers import RequiredRegister
from dialer.policy.run_settings import CallingRules
from dialer.policy.time_zones import zone_names
from dialer.scripts.script import Script
from web.server import errors, keys
from web.server.errors import Text
from web.server.i18n import msgid
from web.server.inputs import refuse, storable

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.businesses.businesses import Business
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


Country = Annotated[str, AfterValidator(_country)]
Registers = Annotated[list[RequiredRegister], AfterValidator(_distinct), Field(max_length=MAX_REGISTERS)]


class BusinessChanges(CallingRules):
    """The fields of a business to be changed; those that are not given stay as they are."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)] = ""
    region: Country = ""
    timezone: Annotated[str, AfterValidator(_zone)] = ""
    caller_ids: list[str] = Field(default_factory=list)
    max_calls: Annotated[int, Field(ge=1)] = 0
    allowed_countries: Annotated[list[Country], Field(min_length=1, max_length=MAX_COUNTRIES)] | None = None
    required_registers: Registers = Field(default_factory=list)
    retention_days: Annotated[int, Field(ge=1, le=MAX_RETENTION_DAYS)] | None = None
    script: Script | None = None


async def own_business(request: http.Request, principal: Principal) -> Business:
    """The business of the principal.

    Raises:
        ApiError: 404, when it has been deleted meanwhile.
    """
    business = await request.app[keys.BUSINESSES].get(principal.business_id)
    if business is None:
        raise errors.not_found()
    return business


async def change_business(request: http.Request, principal: Principal, changes: BusinessChanges) -> Business:
    """Change the business of the principal, an admin; return it as it is then.

    Raises:
        ApiError: 422, naming the field that is wrong, or 503.
    """
    business = await own_business(request, principal)
    given = _checked(business, changes)
    if given:
        await request.app[keys.BUSINESSES].change(business.business_id, given, principal.actor)
    return await own_business(request, principal)


def _checked(business: Business, changes: BusinessChanges) -> dict[str, Any]:
    given: dict[str, Any] = changes.given()
    if given.pop("caller_ids", [business.caller_id]) != [business.caller_id]:
        raise errors.wrong_field(name="caller_ids", why=Text(msgid("can only be changed at the command line")))
    if changes.max_calls > business.max_calls_limit:
        why = Text(msgid("must be at most {le}, as set at the command line"), {"le": business.max_calls_limit})
        raise errors.wrong_field(name="max_calls", why=why)
    if not storable(changes.name) or not changes.name.isprintable() or ("name" in given and not changes.name.strip()):
        raise errors.wrong_field(name="name", why=Text(msgid("must be text")))
    for n, register in enumerate(changes.required_registers):
        if not storable(register.name) or not register.name.isprintable():
            raise errors.wrong_field(name=f"required_registers.{n}.name", why=Text(msgid("must be text")))
    return given
