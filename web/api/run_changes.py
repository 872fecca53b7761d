"""What is done to a run after it was loaded, over HTTP: change it, add leads, call leads again; and what a run would do and say."""

from __future__ import annotations

from typing import cast

from aiohttp import web as http

from dialer.model import Role
from web.access.auth import require_principal
from web.api.replies import canonical_json
from web.api.serializers import preflight_json, run_answer_json
from web.intake.importer import checked_for_new_run, report
from web.intake.imports.additions import add_leads
from web.intake.imports.import_request import imported
from web.intake.imports.script_numbers import check_script
from web.operations.reports.preflight import preflight
from web.operations.settings.business import own_business
from web.operations.settings.run_changes import AgainSettings, RunChange, call_again, change_run
from web.operations.settings.run_fields import PreviewSettings, TestCallSettings, check_settings
from web.server import keys
from web.server.inputs import body_of
from web.twilio.previews.preview import call_of, lead_to_hear, previewed
from web.twilio.previews.test_call import phone_to_test, place_test_call

routes = http.RouteTableDef()


@routes.patch("/api/outbound/runs/{run_id}")
async def change(request: http.Request) -> http.Response:
    """Change the settings of a run that has not ended, or archive one."""
    principal = require_principal(request, Role.OPERATOR)
    wanted = await body_of(request, RunChange)
    return http.json_response(run_answer_json(request, await change_run(request, principal, wanted)))


@routes.post("/api/outbound/runs/{run_id}/leads")
async def add(request: http.Request) -> http.Response:
    """Add leads to a run that has not ended."""
    principal = require_principal(request, Role.OPERATOR)
    async with imported(request, principal.business_id) as wanted:
        return canonical_json(await add_leads(request, principal, wanted), status=201)


@routes.post("/api/outbound/runs/{run_id}/again")
async def again(request: http.Request) -> http.Response:
    """Call leads of a run again, by their last outcomes, as a new run."""
    principal = require_principal(request, Role.OPERATOR)
    wanted = await body_of(request, AgainSettings)
    check_script(await own_business(request, principal), wanted.script)
    return canonical_json(await call_again(request, principal, wanted), status=201)


@routes.post("/api/outbound/runs/preflight")
async def check(request: http.Request) -> http.Response:
    """Tell what would become of a run; nothing is written."""
    principal = require_principal(request, Role.OPERATOR)
    async with imported(request, principal.business_id) as wanted:
        business = await own_business(request, principal)
        await check_settings(request, principal, business, wanted.settings)
        rows = await checked_for_new_run(wanted, business)
        found = await preflight(request, business, wanted.settings, rows.accepted)
        return http.json_response(preflight_json(request, found, report(request, rows)))


@routes.post("/api/outbound/runs/preview")
async def preview(request: http.Request) -> http.Response:
    """Show the TwiML that a lead of a run would hear; nothing is written."""
    principal = require_principal(request, Role.OPERATOR)
    async with imported(request, principal.business_id, PreviewSettings) as wanted:
        business = await own_business(request, principal)
        await check_settings(request, principal, business, wanted.settings)
        rows = await checked_for_new_run(wanted, business)
        text = previewed(business, cast("PreviewSettings", wanted.settings), rows, f"{request.app[keys.SETTINGS].public_url}/twiml/preview")
        return http.Response(text=text, content_type="text/xml")


@routes.post("/api/outbound/runs/test-call")
async def test_call(request: http.Request) -> http.Response:
    """Call a phone, and let it hear what a lead of a run would hear."""
    principal = require_principal(request, Role.OPERATOR)
    async with imported(request, principal.business_id, TestCallSettings) as wanted:
        business = await own_business(request, principal)
        await check_settings(request, principal, business, wanted.settings)
        settings = cast("TestCallSettings", wanted.settings)
        phone = phone_to_test(business, settings.phone)
        call = call_of(business, settings, lead_to_hear(settings, await checked_for_new_run(wanted, business)))
        return canonical_json(await place_test_call(request, principal, business, phone, call), status=202)
