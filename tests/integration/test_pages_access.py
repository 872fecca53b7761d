"""The pages of users, tokens, sessions, the audit log and one's own account, as a browser without scripts uses them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dialer.model import AttemptState, Role
from tests.browser_session import EMAIL, PASSWORD, BrowserSession, text_of
from tests.web_site import RUNS, hash_of

if TYPE_CHECKING:
    from tests.web_site import Response, Site

SECRET = re.compile(r'<p class="secret">(?:http\S*/reset/)?([^<]+)</p>')
ANOTHER = "another long password"


async def signed_in(site: Site, role: Role, email: str = EMAIL, language: str = "en") -> tuple[int, BrowserSession]:
    user_id, browser = await site.user(email, PASSWORD, role), BrowserSession(site, language)
    await browser.sign_in(email)
    return user_id, browser


async def posted(browser: BrowserSession, path: str, form: object = None) -> Response:
    """The page that a form leads to."""
    sent = await browser.post(path, form)
    assert sent.status == 303, text_of(sent)
    return await browser.get(sent.headers["Location"])


async def test_an_admin_adds_changes_and_deletes_a_user(site: Site) -> None:
    _, browser = await signed_in(site, Role.ADMIN)
    wrong = await browser.post("/settings/users", {"email": "noa", "role": "viewer"})
    assert (wrong.status, "must be an e-mail address" in text_of(wrong), 'value="noa"' in wrong.body.decode()) == (422, True, True)
    slip = await browser.post("/settings/users", {"email": "noa@example", "role": "viewer"})
    assert (slip.status, "E-mail: must be an e-mail address" in text_of(slip)) == (422, True)
    taken = await browser.post("/settings/users", {"email": EMAIL, "role": "viewer"})
    assert (taken.status, "There is a user with this e-mail address already." in text_of(taken)) == (409, True)
    sent = await browser.post("/settings/users", {"email": "noa@example.com", "role": "viewer"})
    page = sent.headers["Location"]
    shown = await browser.get(page)
    [secret] = SECRET.findall(shown.body.decode())
    assert "Has no password yet" in text_of(shown)
    assert SECRET.findall((await browser.get(page)).body.decode()) == [], "shown once"
    noa = BrowserSession(site)
    assert "noa@example.com" in text_of(await noa.get(f"/reset/{secret}"))
    unequal = await noa.post(f"/reset/{secret}", {"password": ANOTHER, "again": "x"})
    assert (unequal.status, "The two passwords are not the same." in text_of(unequal)) == (422, True)
    assert (await noa.post(f"/reset/{secret}", {"password": ANOTHER, "again": ANOTHER})).status == 303
    assert "This link does not work any more" in text_of(await BrowserSession(site).get(f"/reset/{secret}"))
    assert (await noa.get("/settings/users")).status == 403
    assert "noa@example.com is Administrator now." in text_of(await posted(browser, f"{page}/role", {"role": "admin"}))
    assert (await noa.get("/settings/users")).status == 200
    assert "is disabled, and signed out everywhere" in text_of(await posted(browser, f"{page}/access", {"disabled": "1"}))
    assert (await noa.get("/runs")).status == 303
    assert "can sign in again" in text_of(await posted(browser, f"{page}/access", {"disabled": "0"}))
    reset = await browser.get((await browser.post(f"{page}/reset")).headers["Location"])
    assert len(SECRET.findall(reset.body.decode())) == 1
    assert "Delete this user?" in text_of(await browser.get(f"{page}/delete"))
    assert "noa@example.com is deleted" in text_of(await posted(browser, f"{page}/delete"))
    assert (await browser.get(page)).status == 404
    foreign = await site.database.user(site.rival, "theirs@example.com", Role.VIEWER, hash_of(PASSWORD))
    theirs = f"/settings/users/{foreign}"
    for path in ("", "/delete"):
        assert (await browser.get(theirs + path)).status == 404
    for path in ("/role", "/access", "/reset", "/delete"):
        assert (await browser.post(theirs + path, {"role": "admin"})).status == 404, path


async def test_the_last_admin_is_told_why_nothing_happened(site: Site) -> None:
    user_id, browser = await signed_in(site, Role.ADMIN, language="he")
    page = f"/settings/users/{user_id}"
    for path, form in (("role", {"role": "viewer"}), ("access", {"disabled": "1"}), ("delete", {})):
        told = await posted(browser, f"{page}/{path}", form)
        assert "זה המנהל האחרון שיכול להתחבר." in text_of(told)
        assert 'dir="rtl"' in told.body.decode()


async def test_an_admin_adds_and_revokes_a_token(site: Site) -> None:
    _, browser = await signed_in(site, Role.ADMIN)
    wrong = await browser.post("/settings/tokens", {"name": " ", "role": "viewer"})
    assert (wrong.status, "must not be blank" in text_of(wrong)) == (422, True)
    shown = await posted(browser, "/settings/tokens", {"name": "<CRM>", "role": "viewer"})
    [secret] = SECRET.findall(shown.body.decode())
    assert "The new token: &lt;CRM&gt;" in shown.body.decode()
    assert secret not in (await browser.get("/settings/tokens")).body.decode()
    assert (await site.get(RUNS, token=secret)).status == 200
    question = await browser.get("/settings/tokens/5/revoke")
    assert "Revoke this token?" in text_of(question)
    assert "&lt;CRM&gt; is revoked" in text_of(await posted(browser, "/settings/tokens/5/revoke"))
    assert (await site.get(RUNS, token=secret)).status == 401
    assert (await browser.get("/settings/tokens/4/revoke")).status == 404, "of another business"
    assert (await browser.post("/settings/tokens/4/revoke")).status == 404


async def test_everybody_changes_the_own_password_and_signs_out_other_browsers(site: Site) -> None:
    _, browser = await signed_in(site, Role.VIEWER)
    elsewhere, admin = BrowserSession(site), (await signed_in(site, Role.ADMIN, "noa@example.com"))[1]
    await elsewhere.post("/login", {"email": EMAIL, "password": PASSWORD, "next": ""}, **{"User-Agent": "Firefox Windows"})
    account = await browser.get("/settings/me")
    assert "Firefox, Windows" in text_of(account)
    assert "Users and roles" not in text_of(account), "not for a viewer"
    [end] = re.findall(r"/settings/sessions/\d+/end", account.body.decode())
    assert "That browser is signed out." in text_of(await posted(browser, end, {"of": "own"}))
    assert (await elsewhere.get("/runs")).status == 303
    assert (await browser.get("/settings/sessions")).status == 403
    everyone = await admin.get("/settings/sessions")
    assert EMAIL in text_of(everyone)
    fields = {"current_password": PASSWORD, "new_password": ANOTHER, "again": ANOTHER}
    for changed, told in (
        ({"current_password": "not this"}, "is not your present password"),
        ({"again": "x"}, "The two passwords are not the same."),
        ({"new_password": "short", "again": "short"}, "must have at least 8 characters"),
    ):
        wrong = await browser.post("/settings/me/password", fields | changed)
        assert (wrong.status, told in text_of(wrong)) == (422, True), text_of(wrong)
    assert "Your password is changed." in text_of(await posted(browser, "/settings/me/password", fields))
    assert (await BrowserSession(site).sign_in(EMAIL, ANOTHER)).status == 303
    [end, *_] = re.findall(r"/settings/sessions/\d+/end", (await admin.get("/settings/sessions")).body.decode())
    await posted(admin, end, {"of": "all"})
    assert "Signed out" in text_of(await admin.get("/settings/audit?action=session.end"))


async def test_the_audit_log_is_read_in_words(site: Site) -> None:
    user_id, browser = await signed_in(site, Role.ADMIN)
    run_id = await site.load(3, name="Renewals")
    await browser.post(f"/runs/{run_id}/pause")
    await site.request("PATCH", "/api/business", token="admin", json={"max_calls": 2})
    await site.post("/api/outbound/do-not-call", {"phones": ["0521234567"]})
    await site.request("DELETE", "/api/outbound/do-not-call", json={"phones": ["0521234567"]})
    page = text_of(await browser.get("/settings/audit"))
    for told in (
        f"{EMAIL} Paused a campaign",
        "Changed settings of the business lines",
        "Removed from the do-not-call list +972 52-123-4567",
    ):
        assert told in page
    assert f"user:{user_id}" not in page
    mine = text_of(await browser.get(f"/settings/audit?actor=user:{user_id}&run={run_id}"))
    assert ("Paused a campaign · Renewals" in mine, "Created a campaign · Renewals" in mine) == (True, False)
    assert "Nothing was done that fits this." in text_of(await browser.get("/settings/audit?from=2001-01-01&to=2001-01-02"))
    assert (await browser.get("/settings/audit?from=x&run=y&before=z&actor=%00")).status == 200
    for n in range(60):
        await site.post("/api/outbound/do-not-call", {"phones": [f"05212345{n:02}"]})
    older = re.search(r'href="(/settings/audit\?[^"]*before=\d+)" rel="next"', (await browser.get("/settings/audit")).body.decode())
    assert older is not None
    back = await browser.get(older[1].replace("&amp;", "&"))
    assert 'rel="prev"' in back.body.decode()
    hebrew = BrowserSession(site, "he")
    hebrew.cookies = browser.cookies
    assert "השהיית קמפיין" in text_of(await hebrew.get("/settings/audit?action=run.pause"))
    _, viewer = await signed_in(site, Role.OPERATOR, "noa@example.com")
    assert (await viewer.get("/settings/audit")).status == 403


async def test_names_stand_for_ids_where_a_call_was_decided_by_a_person(site: Site) -> None:
    _, browser = await signed_in(site, Role.OPERATOR)
    run_id = await site.load(2)
    attempts, _ = await site.database.claim(site.business)
    paths = [f"{RUNS}/{run_id}/jobs/{attempt.job_id}" for attempt in attempts]
    for attempt in attempts:
        await site.database.record(attempt, AttemptState.UNKNOWN, reason="time-out")
    assert (await browser.post(f"{paths[0]}/resolve", '{"as": "over"}', **{"Content-Type": "application/json"})).status == 200
    assert (await site.post(f"{paths[1]}/resolve", {"as": "over"})).status == 200
    for path, name in zip(paths, (EMAIL, "API token 2"), strict=True):
        [attempt] = (await site.get(path)).json["attempts"]
        assert attempt["explanation"].startswith(f"{name} said that this call is over.")
        assert attempt["reason"].startswith("resolved as over by "), "for programs as it was"
    listed = (await site.get(f"{RUNS}/{run_id}/jobs")).json["items"]
    assert not [job for job in listed if "user:" in (job["error"] or "")]
    assert EMAIL in text_of(await browser.get(f"/runs/{run_id}/jobs/{attempts[0].job_id}"))
