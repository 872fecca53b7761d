"""The page "New campaign": people, columns, check and calling, four steps on one page; what was answered is kept with a draft."""

from __future__ import annotations

import asyncio
import csv
import io
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web as http

from dialer.model import Role
from sql.drafts.drafts import DraftLimitError, Drafts
from web.access.auth import require_principal
from web.intake.drafts.draft_list import opened, packed
from web.intake.drafts.table_preview import previewed_table
from web.intake.form import Part, read_form
from web.intake.importer import import_run
from web.intake.imports.import_request import upload
from web.operations.exports.file_names import attachment
from web.operations.settings.business import own_business
from web.pages import forms, frame, notices
from web.pages.new_run.draft_answers import NOW, SAVED, SCHEDULED, DraftAnswers
from web.pages.new_run.draft_check import import_of
from web.pages.new_run.draft_view import DraftView, settings_of
from web.server import errors, i18n, keys
from web.server.error_responses import said, translated
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
from web.server.inputs import id_of, optional_id
from web.twilio.previews.preview import call_of
from web.twilio.previews.test_call import phone_to_test, place_test_call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sql.drafts.drafts import Draft
    from web.access.auth import Principal
    from web.intake.received import ReceivedBody

DRAFT_MAX: Final = 2**63 - 1
MAX_FILE_NAME_CHARACTERS: Final = 200
# A list with a mistake that was pasted comes back into the form up to this size.
MAX_PASTED_CHARACTERS: Final = 100_000
CLIENT_ERROR: Final = range(400, 500)
NO_ROOM: Final = msgid("Your business keeps too many unfinished campaigns. Discard some of them, or finish them.")
TEMPLATE: Final = (msgid("Name"), msgid("Phone"), msgid("City"))
PASTED: Final = msgid("Pasted list")
CREATED: Final = {
    NOW: msgid("The campaign has started; people to call: {people}."),
    SAVED: msgid("The campaign is saved; people to call: {people}. Nobody is called until you start it."),
    SCHEDULED: msgid("The campaign is saved; people to call: {people}. It starts by itself at the time that you chose."),
}
MARKED: Final = msgid("Please correct what is marked below.")
# The fields of the last step whose sentences stand beside them.
BESIDE: Final = frozenset(
    {"name", "script", "phone", "caller_ids", "concurrency", "calling_hours", "retries", "retry_minutes", "at", "schedule_at"}
)
LEFT_OUT: Final = msgid("Rows that were left out: {rows}; the load report says why.")


async def new_form(request: http.Request) -> http.Response:
    """The first step, with the campaigns that this user has not finished."""
    principal = require_principal(request, Role.OPERATOR)
    return await _first_step(request, principal)


async def template(request: http.Request) -> http.Response:
    """A list to fill in, with headings in the reader's language."""
    require_principal(request, Role.OPERATOR)
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(i18n.sentence(request, heading) for heading in TEMPLATE)
    headers = {"Content-Disposition": attachment("leads.csv"), "Content-Type": "text/csv; charset=utf-8"}
    return http.Response(body=b"\xef\xbb\xbf" + file.getvalue().encode(), headers=headers)


async def upload_list(request: http.Request) -> http.Response:
    """Keep an uploaded or pasted list as a draft; after a mistake the first step comes back with what was pasted."""
    principal = require_principal(request, Role.OPERATOR)
    drafts = _drafts(request, principal)
    draft = await _draft(request, drafts) if "draft_id" in request.match_info else None
    text, business = "", await own_business(request, principal)
    try:
        async with upload(request, principal.business_id) as body:
            part, text = await asyncio.to_thread(_part, request, body)
            kind, pieces = await asyncio.to_thread(packed, part.source, business.region)
        name = part.file_name[:MAX_FILE_NAME_CHARACTERS].replace("\x00", "") or i18n.sentence(request, PASTED)
        answers = DraftAnswers.stored({**draft.answers, "roles": ""}) if draft else DraftAnswers.first(business, part.file_name)
        kept = await drafts.keep(name, kind, pieces, answers.as_json(), draft.draft_id if draft else None)
    except DraftLimitError:
        return await _first_step(request, principal, draft, text, ApiError(409, "no_room", Text(NO_ROOM)))
    except ApiError as error:
        if error.status not in CLIENT_ERROR:
            raise
        return await _first_step(request, principal, draft, text, error)
    return forms.redirect(f"/runs/new/{kept}?step=columns")


async def page(request: http.Request) -> http.Response:
    """A step of a draft; one that has become a run leads there."""
    principal = require_principal(request, Role.OPERATOR)
    drafts = _drafts(request, principal)
    draft = await _draft(request, drafts)
    if draft.run_id is not None:
        return forms.redirect(f"/runs/{draft.run_id}")
    answers = DraftAnswers.stored(draft.answers)
    step = request.query.get("step", "")
    if step == "people":
        return await _first_step(request, principal, draft)
    step = step if step in {"check", "calling"} and answers.roles else "columns"
    return await _show(request, principal, draft, answers, step)


async def keep_columns(request: http.Request) -> http.Response:
    """Keep what the columns are, and go on to the check."""
    return await _keep(request, "columns", "check")


async def keep_check(request: http.Request) -> http.Response:
    """Keep what becomes of people who were called lately, and go on."""
    return await _keep(request, "check", "calling")


async def keep_calling(request: http.Request) -> http.Response:
    """Keep how people are called; then show it again, call a phone of one's own, or create the campaign."""
    principal = require_principal(request, Role.OPERATOR)
    drafts = _drafts(request, principal)
    draft = await _draft(request, drafts)
    if draft.run_id is not None:
        return forms.redirect(f"/runs/{draft.run_id}")
    form = await forms.read(request)
    answers = DraftAnswers.stored(draft.answers).with_form(form)
    await drafts.answer(draft.draft_id, answers.as_json())
    action = form.get("action", "")
    try:
        if action == "test":
            phone = await _test_call(request, principal, draft, answers)
            path = f"/runs/new/{draft.draft_id}?step=calling#say-title"
            return notices.redirect(request, path, msgid("Your phone {phone} is being called."), phone=phone)
        if action in CREATED:
            return await _create(request, principal, draft, answers, action)
    except ApiError as error:
        if error.status not in CLIENT_ERROR:
            raise
        return await _show(request, principal, draft, answers, "calling", error)
    return forms.redirect(f"/runs/new/{draft.draft_id}?step=calling")


async def discard(request: http.Request) -> http.Response:
    """Delete a draft."""
    principal = require_principal(request, Role.OPERATOR)
    drafts = _drafts(request, principal)
    await drafts.discard((await _draft(request, drafts)).draft_id)
    return notices.redirect(request, "/runs/new", msgid("The unfinished campaign was discarded."))


def _drafts(request: http.Request, principal: Principal) -> Drafts:
    return Drafts(request.app[keys.POOL], principal.business_id, principal.actor)


async def _draft(request: http.Request, drafts: Drafts) -> Draft:
    draft = await drafts.get(id_of(request, "draft_id", DRAFT_MAX))
    if draft is None:
        raise errors.not_found()
    return draft


def _part(request: http.Request, body: ReceivedBody) -> tuple[Part, str]:
    """The list in a form, and its text if it was pasted; blocks on disk."""
    form = read_form(body, request.headers.get("Content-Type", ""))
    file = form.part("file")
    if file and file.file_name:
        return file, ""
    pasted = form.part("text") or Part.of_text("")
    text = b"".join(pasted.source()).decode(errors="replace") if pasted.size <= MAX_PASTED_CHARACTERS else ""
    if not any(piece.strip() for piece in pasted.source()):
        raise ApiError(422, "no_leads", Text(msgid("Choose a file with leads, or paste rows.")))
    return pasted, text


async def _first_step(
    request: http.Request, principal: Principal, draft: Draft | None = None, text: str = "", error: ApiError | None = None
) -> http.Response:
    others = [other for other in await _drafts(request, principal).unfinished() if not draft or other.draft_id != draft.draft_id]
    return await frame.render(
        request,
        "new_run.html",
        status=error.status if error else 200,
        step="people",
        draft=draft,
        drafts=others,
        text=text,
        error=said(request, error.text) if error else "",
        details=[],
        wrong={},
        view=None,
    )


async def _keep(request: http.Request, step: str, following: str) -> http.Response:
    principal = require_principal(request, Role.OPERATOR)
    drafts = _drafts(request, principal)
    draft = await _draft(request, drafts)
    form = await forms.read(request)
    answers = DraftAnswers.stored(draft.answers)
    try:
        answers = answers.with_columns(form) if step == "columns" else answers.with_form(form)
    except ApiError as error:
        return await _show(request, principal, draft, answers.with_roles(form), step, error)
    await drafts.answer(draft.draft_id, answers.as_json())
    return forms.redirect(f"/runs/new/{draft.draft_id}?step={following}")


async def _show(
    request: http.Request, principal: Principal, draft: Draft, answers: DraftAnswers, step: str, error: ApiError | None = None
) -> http.Response:
    drafts = _drafts(request, principal)
    business = await own_business(request, principal)
    async with opened(drafts, draft) as leads:
        view = await DraftView.made(request, principal, business, draft, leads, answers, step)
    error = error or view.error
    details: Sequence[dict[str, Any]] = [translated(request, dict(detail)) for detail in error.details] if error else []
    fields = [detail for detail in details if "field" in detail]
    elsewhere = [detail for detail in fields if view.step != "calling" or str(detail["field"]).split(".")[0] not in BESIDE]
    return await frame.render(
        request,
        "new_run.html",
        status=error.status if error and request.method == "POST" else 200,
        step=view.step,
        draft=draft,
        drafts=[],
        text="",
        error=(said(request, error.text) if elsewhere or not fields else i18n.sentence(request, MARKED)) if error else "",
        details=elsewhere,
        wrong={str(detail["field"]).split(".")[0]: detail["message"] for detail in fields},
        view=view,
        after=optional_id(request.query.get("after", "")) or 0,
    )


async def _create(request: http.Request, principal: Principal, draft: Draft, answers: DraftAnswers, when: str) -> http.Response:
    drafts = _drafts(request, principal)
    business = await own_business(request, principal)
    async with opened(drafts, draft) as leads, request.app[keys.UPLOADS].checking.hold(business.business_id):
        preview = await asyncio.to_thread(lambda: previewed_table(leads.records(), business.region))
        if preview is None:
            raise errors.not_found()
        layout = preview.layout(answers.roles_of(preview))
        wanted = import_of(principal, draft, leads, layout, settings_of(answers, business, when))
        answer = await import_run(request, principal, wanted)
    await drafts.finish(draft.draft_id, answer["run_id"])
    left = len(answer["rejected"]) + len(answer["duplicates"])
    following = (Text(LEFT_OUT, {"rows": left}),) if left else ()
    return notices.redirect(request, f"/runs/{answer['run_id']}", Text(CREATED[when], {"people": answer["accepted"]}, following))


async def _test_call(request: http.Request, principal: Principal, draft: Draft, answers: DraftAnswers) -> str:
    business = await own_business(request, principal)
    phone = phone_to_test(business, answers.phone.strip())
    async with opened(_drafts(request, principal), draft) as leads:
        view = await DraftView.made(request, principal, business, draft, leads, answers, "calling")
    if view.error:
        raise view.error
    if view.check is None or view.check.first_lead is None:
        raise errors.wrong_field(name="phone", why=Text(msgid("None of these leads can be called.")))
    call = call_of(business, settings_of(answers, business, SAVED), view.check.first_lead[1])
    await place_test_call(request, principal, business, phone, call)
    return phone
