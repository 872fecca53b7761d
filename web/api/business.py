"""The business of a token or a session over HTTP: its limits and its rules of calling."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aiohttp import web as http

from dialer.model import Role
from dialer.scripts.script import Script
from web.access.auth import require_principal
from web.api.serializers import business_json
from web.intake.imports.script_numbers import check_script
from web.intake.phone_numbers import RefusedPhoneError, read_phone
from web.intake.phones.refusals import SENTENCES
from web.operations.settings.business import BusinessChanges, change_business, own_business
from web.server import errors
from web.server.errors import Text
from web.server.inputs import body_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sql.businesses.businesses import Business

routes = http.RouteTableDef()

# What calls say, and what those hear who call back.
SCRIPTS: Final = ("script", "inbound_script")


@routes.get("/api/business")
async def detail(request: http.Request) -> http.Response:
    """Show the business."""
    return http.json_response(business_json(await own_business(request, require_principal(request))))


@routes.patch("/api/business")
async def change(request: http.Request) -> http.Response:
    """Change the business; only an admin may."""
    principal = require_principal(request, Role.ADMIN)
    changes = await body_of(request, BusinessChanges)
    business = await own_business(request, principal)
    if changes.caller_ids:
        changes = changes.model_copy(update={"caller_ids": _numbers(changes.caller_ids, changes.region or business.region)})
    _check_scripts(business, changes)
    return http.json_response(business_json(await change_business(request, principal, changes)))


def _numbers(caller_ids: Sequence[str], region: str) -> list[str]:
    """The caller ids in E.164.

    Raises:
        ApiError: 422, naming those that are not numbers.
    """
    numbers, wrong = [], []
    for place, text in enumerate(caller_ids):
        try:
            numbers.append(read_phone(text, region).e164)
        except RefusedPhoneError as error:
            wrong.append({"field": f"caller_ids.{place}", "message": Text(SENTENCES[error.reason])})
    if wrong:
        raise errors.invalid(wrong)
    return numbers


def _check_scripts(business: Business, changes: BusinessChanges) -> None:
    """Hold the scripts that the business will have against the caller ids and countries that it will have, when one of these changes.

    Raises:
        ApiError: 422, naming the number in the script.
    """
    given = changes.model_fields_set & {"caller_ids", "allowed_countries"}
    after = replace(business, **{name: getattr(changes, name) for name in given})
    for name in SCRIPTS:
        if name in changes.model_fields_set:
            check_script(after, getattr(changes, name), name)
        elif given and (stored := getattr(business, name)):
            check_script(after, Script.model_validate(stored), name)
