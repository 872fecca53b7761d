"""The business of a token or a session over HTTP: its limits and its rules of calling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web as http

from dialer.model import Role
from web.access.auth import require_principal
from web.api.serializers import business_json
from web.intake.imports.business_changes import read_changes
from web.operations.settings.business import BusinessChanges, change_business, own_business
from web.server import keys
from web.server.inputs import body_of

if TYPE_CHECKING:
    from sql.businesses.businesses import Business

routes = http.RouteTableDef()


@routes.get("/api/business")
async def detail(request: http.Request) -> http.Response:
    """Show the business."""
    return await _shown(request, await own_business(request, require_principal(request)))


@routes.patch("/api/business")
async def change(request: http.Request) -> http.Response:
    """Change the business; only an admin may."""
    principal = require_principal(request, Role.ADMIN)
    changes = await body_of(request, BusinessChanges)
    business = await own_business(request, principal)
    return await _shown(request, (await change_business(request, principal, read_changes(business, changes))).business)


async def _shown(request: http.Request, business: Business) -> http.Response:
    registers = await request.app[keys.DO_NOT_CALL].registers(business.business_id)
    return http.json_response(business_json(business, registers))
