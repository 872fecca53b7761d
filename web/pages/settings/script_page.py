"""The pages of what calls say that have no script of their own, and of what people hear who call back: heard before it is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dialer.model import Role
from dialer.scripts.script import Script
from web.access.auth import require_principal
from web.intake.imports.business_changes import read_changes
from web.operations.settings.business import BusinessChanges, change_business, own_business
from web.operations.settings.run_fields import PreviewSettings
from web.pages import forms, frame, notices
from web.pages.settings import script_form
from web.pages.settings.problems import FORM, problems_of
from web.server import i18n
from web.server.errors import ApiError
from web.server.i18n import msgid
from web.server.inputs import check
from web.twilio.previews.preview import call_of
from web.twilio.previews.test_call import phone_to_test, place_test_call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web as http

    from sql.businesses.businesses import Business
    from web.access.auth import Principal

# The last part of the address, and the field of the business.
OF_PAGE: Final = {"script": script_form.SCRIPT, "inbound-script": script_form.INBOUND}
SAVED: Final = {
    script_form.SCRIPT: msgid("Saved. Campaigns without a script of their own say it from now on."),
    script_form.INBOUND: msgid("Saved. Whoever calls back hears it from now on."),
}
CALLED: Final = msgid("Your phone {phone} is being called.")
FIELDS: Final = frozenset({"say", "language", "phone", FORM})


async def page(request: http.Request) -> http.Response:
    """The form, which only an admin can change."""
    business, field = await own_business(request, require_principal(request)), OF_PAGE[request.match_info["page"]]
    stored = script_form.stored(business, field)
    script = Script.model_validate(stored) if stored else None
    return await _shown(request, business, script_form.values(business, field), script)


async def change(request: http.Request) -> http.Response:
    """Save the script, call a phone to hear it, or show it again; what is wrong comes back with the form as it was filled in."""
    principal = require_principal(request, Role.ADMIN)
    form, business = await forms.read(request), await own_business(request, principal)
    field = OF_PAGE[request.match_info["page"]]
    values = {**script_form.values(business, field), "removes": "", **form}
    script: Script | None = None
    try:
        changes = read_changes(business, check(BusinessChanges, {field: script_form.script_of(business, field, form)}))
        script = changes.script if field == script_form.SCRIPT else changes.inbound_script
        if form.get("action") == "save":
            await change_business(request, principal, changes)
            return notices.redirect(request, request.path, SAVED[field])
        if form.get("action") == "test":
            phone = await _test_call(request, principal, business, script, form.get("phone", ""))
            values["said"] = i18n.sentence(request, CALLED, phone=phone)
    except ApiError as error:
        return await _shown(request, business, values, script, _problems(request, field, error))
    return await _shown(request, business, values, script)


async def _test_call(request: http.Request, principal: Principal, business: Business, script: Script | None, text: str) -> str:
    phone = phone_to_test(business, text.strip())
    settings = PreviewSettings(script=script)
    lead = script_form.sample_lead(script, i18n.sentence(request, script_form.SAMPLE_NAME), phone)
    await place_test_call(request, principal, business, phone, call_of(business, settings, lead))
    return phone


def _problems(request: http.Request, field: str, error: ApiError) -> dict[str, str]:
    """What is wrong, by field of the form; the kinds that are no text share one."""
    found = problems_of(request, error, field)
    return {name if name in FIELDS else FORM if name == field else "address": text for name, text in found.items()}


async def _shown(
    request: http.Request,
    business: Business,
    values: Mapping[str, Any],
    script: Script | None,
    problems: Mapping[str, str] | None = None,
) -> http.Response:
    name, field = i18n.sentence(request, script_form.SAMPLE_NAME), OF_PAGE[request.match_info["page"]]
    is_known = not problems or script is not None
    return await frame.render(
        request,
        "settings_script.html",
        status=422 if problems else 200,
        values=values,
        problems=problems or {},
        kinds=script_form.KINDS,
        spoken_languages=script_form.languages(values["language"]),
        heard=script_form.heard(business, field, script, name) if is_known else "",
        inbound=field == script_form.INBOUND,
    )
