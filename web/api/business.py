"""The business of a token or a session over HTTP: its limits and its rules of calling."""

from __future__ import annotations

from aiohttp import web as http

from dialer.model import Role
from web.access.auth import require_principal
from web.api.serializers import business_json
from web.operations.settings.business import BusinessChanges, change_business, own_business
from web.server.inputs import body_of

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
    return http.json_response(business_json(await change_business(request, principal, changes)))
