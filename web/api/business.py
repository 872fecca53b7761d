"""The business of a token or a session over HTTP: its limits and its rules of calling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web as http

from dialer.model import Role
from web.access.auth import require_principal
from web.api.serializers import business_json
from web.intake.phone_numbers import RefusedPhoneError, read_phone
from web.intake.phones.refusals import SENTENCES
from web.operations.settings.business import BusinessChanges, change_business, own_business
from web.server import errors
from web.server.errors import Text
from web.server.inputs import body_of

if TYPE_CHECKING:
    from collections.abc import Sequence

routes = http.RouteTableDef()


@routes.get("/api/business")
async def detail(request: http.Request) -> http.Response:
    """Show the business."""
    return http.json_response(business_json(await own_business(request, require_principal(request))))


@routes.patch("/api/business")
async def change(request: http.Request) -> http.Response:
    """Change the business; only an admin may."""
    principal = require_principal(request, Role.ADMIN)
    changes = await body_of(request, BusinessChanges)
    if changes.caller_ids:
        region = changes.region or (await own_business(request, principal)).region
        changes = changes.model_copy(update={"caller_ids": _numbers(changes.caller_ids, region)})
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
