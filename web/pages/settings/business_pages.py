"""The pages that show and change the business: each a form whose fields become a change of the API's fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dialer.model import Role
from web.access.auth import require_principal
from web.intake.imports.business_changes import read_changes
from web.operations.settings.business import BusinessChanges, change_business, check_changes, own_business
from web.pages import forms, frame, notices
from web.pages.settings import account_form, business_form, hours_form, rules_form
from web.pages.settings.problems import outer, problems_of
from web.server import errors
from web.server.error_responses import said
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
from web.server.inputs import check

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiohttp import web as http

    from sql.businesses.businesses import Business
    from web.pages.forms import Form

SAVED: Final = msgid("Saved.")


@dataclass(frozen=True, slots=True)
class BusinessForm:
    """A page: the values of its fields from the business, and the changes that a filled in form asks for.

    `role` is who may see it; its fields are those of the object `inside`, if that is not empty. `place` finds the field with a mistake.
    `boxes` are the fields that a browser leaves out when they are not ticked.
    """

    template: str
    values: Callable[[Business], dict[str, Any]]
    changes: Callable[[Form], dict[str, Any]]
    role: Role = Role.VIEWER
    inside: str = ""
    place: Callable[[Sequence[str]], str] = outer
    boxes: Sequence[str] = ()


FORMS: Final[Mapping[str, BusinessForm]] = {
    "business": BusinessForm("settings_business.html", business_form.values, business_form.changes),
    "hours": BusinessForm("settings_hours.html", hours_form.values, hours_form.changes, place=hours_form.place, boxes=hours_form.BOXES),
    "rules": BusinessForm("settings_rules.html", rules_form.values, rules_form.changes, place=rules_form.place),
    "account": BusinessForm("settings_account.html", account_form.values, account_form.changes, Role.ADMIN, "provider_account"),
}


async def first(request: http.Request) -> http.Response:
    """The first page of the settings."""
    require_principal(request)
    return forms.redirect(f"/settings/{next(iter(FORMS))}")


async def show(request: http.Request) -> http.Response:
    """The form, which only an admin can change."""
    page = _page(request)
    business = await own_business(request, require_principal(request, page.role))
    return await frame.render(request, page.template, business=business, values=page.values(business), problems={})


async def change(request: http.Request) -> http.Response:
    """Change the business, and show the form again; with something wrong it comes back as it was filled in."""
    page, principal = _page(request), require_principal(request, Role.ADMIN)
    form = await forms.read(request)
    business = await own_business(request, principal)
    try:
        changes = read_changes(business, check(BusinessChanges, page.changes(form)))
        facts = (await change_business(request, principal, changes)).facts
    except ApiError as error:
        values = {**page.values(business), **dict.fromkeys(page.boxes, ""), **form}
        problems = problems_of(request, error, page.inside, page.place)
        return await frame.render(request, page.template, status=error.status, business=business, values=values, problems=problems)
    return notices.redirect(request, request.path, Text(SAVED, then=(account_form.answer_of(facts),) if facts else ()))


async def check_account(request: http.Request) -> http.Response:
    """What the provider says about the account that is being entered, for the open page; nothing is stored.

    Empty while the account is incomplete.
    """
    principal = require_principal(request, Role.ADMIN)
    form = await forms.read(request)
    accepted, problems, is_known = "", {}, False
    if account_form.is_complete(form):
        try:
            business = await own_business(request, principal)
            changes = read_changes(business, check(BusinessChanges, account_form.changes(form)))
            facts = await check_changes(request, principal, changes)
            if facts:
                accepted, is_known = said(request, account_form.answer_of(facts)), account_form.is_known(facts)
        except ApiError as error:
            problems = problems_of(request, error, "provider_account")
    template, labels = "settings_account_check.html", account_form.LABELS
    return await frame.render(request, template, accepted=accepted, is_known=is_known, problems=problems, labels=labels)


def _page(request: http.Request) -> BusinessForm:
    page = FORMS.get(request.match_info["page"])
    if page is None:
        raise errors.not_found()
    return page
