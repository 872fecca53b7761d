"""Users, one-time links, own passwords, sessions and tokens: over the API, and the page that sets a password."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dialer.model import Role
from tests.browser_session import EMAIL, PASSWORD, BrowserSession
from tests.chaos.polling import until
from tests.web_site import PUBLIC, RUNS, hash_of
from web.access import credential_checks

if TYPE_CHECKING:
    import pytest

    from tests.web_site import Response, Site

USERS, SESSIONS, TOKENS = "/api/users", "/api/sessions", "/api/tokens"
ANOTHER = "another long password"
KEY = {"Idempotency-Key": "k1"}


def path_of(link: str) -> str:
    assert link.startswith(f"{PUBLIC}/reset/")
    return urlsplit(link).path


async def use(site: Site, link: str, password: str = ANOTHER) -> Response:
    """Set a password by a link, as a browser without a session does."""
    return await BrowserSession(site).post(path_of(link), {"password": password, "again": password})


async def test_users_are_listed_in_pages_both_ways(site: Site) -> None:
    get = partial(site.get, token="admin")
    made = [await site.user(f"{n}@example.com", PASSWORD, Role.VIEWER) for n in range(5)]
    await site.database.user(site.rival, "theirs@example.com", Role.ADMIN, hash_of(PASSWORD))
    await site.database.user(0, "operator@example.com", Role.ADMIN, hash_of(PASSWORD))
    pages = [(await get(f"{USERS}?limit=2")).json]
    while pages[-1]["next_cursor"]:
        pages.append((await get(f"{USERS}?limit=2&cursor={pages[-1]['next_cursor']}")).json)
    assert [user["user_id"] for page in pages for user in page["items"]] == made
    assert pages[0]["previous_cursor"] is None
    back = (await get(f"{USERS}?limit=2&cursor={pages[2]['previous_cursor']}")).json
    assert back["items"] == pages[1]["items"]
    assert pages[0]["items"][0] | {"created_at": ""} == {
        "user_id": made[0],
        "email": "0@example.com",
        "role": "viewer",
        "disabled": False,
        "has_password": True,
        "created_at": "",
        "last_seen_at": None,
        "link_expires_at": None,
    }


async def test_a_user_is_added_with_a_link_that_works_once(site: Site) -> None:
    post = partial(site.post, token="admin")
    added = await post(USERS, {"email": " Dana@example.com ", "role": "operator"})
    assert (added.status, added.json["email"], added.json["has_password"]) == (201, "Dana@example.com", False)
    assert (await BrowserSession(site).sign_in(EMAIL, "")).status == 422
    assert (await BrowserSession(site).sign_in(EMAIL, "anything")).status == 401
    link, user_id = added.json["link"], added.json["user_id"]
    page = await BrowserSession(site).get(path_of(link))
    assert (page.status, page.headers["Cache-Control"], page.headers["Referrer-Policy"]) == (200, "no-store", "no-referrer")
    assert EMAIL in page.body.decode().lower()
    browser = BrowserSession(site)
    for form in ({"password": "short", "again": "short"}, {"password": ANOTHER, "again": "x" * 20}, {"password": ANOTHER}):
        assert (await browser.post(path_of(link), form)).status == 422
    done = await browser.post(path_of(link), {"password": ANOTHER, "again": ANOTHER})
    assert (done.status, done.headers["Location"]) == (303, "/")
    assert (await browser.get("/runs")).status == 200, "signed in"
    assert (await use(site, link)).status == 410, "used"
    # A reset: the sessions stay until it is used; a second link replaces the first.
    links = [(await post(f"{USERS}/{user_id}/reset")).json["link"] for _ in range(2)]
    assert (await browser.get("/runs")).status == 200
    assert (await use(site, links[0])).status == 410, "replaced"
    await site.database.pool.execute("UPDATE dialer.users SET link_expires_at = now() WHERE user_id = $1", user_id)
    assert (await use(site, links[1])).status == 410, "expired"
    assert (await BrowserSession(site).get(path_of(links[1]))).status == 410
    last = (await post(f"{USERS}/{user_id}/reset")).json["link"]
    assert (await use(site, last, PASSWORD)).status == 303
    assert (await browser.get("/runs")).status == 303, "the sessions have ended"
    assert (await BrowserSession(site).sign_in()).status == 303
    assert (await use(site, f"{PUBLIC}/reset/{'x' * 43}")).status == 410
    assert (await use(site, f"{PUBLIC}/reset/{'x' * 4000}")).status == 410
    # Of another business it is like none.
    assert (await site.post(f"{USERS}/{user_id}/reset", token="rival")).status == 404


async def test_what_is_wrong_with_a_user_is_named(site: Site) -> None:
    post = partial(site.post, token="admin")
    await site.database.user(site.rival, "Taken@example.com", Role.ADMIN, hash_of(PASSWORD))
    wrong: list[tuple[dict[str, object], str]] = [
        ({"email": "dana", "role": "viewer"}, "email"),
        ({"email": "a b@example.com", "role": "viewer"}, "email"),
        ({"email": f"{'x' * 250}@example.com", "role": "viewer"}, "email"),
        ({"email": EMAIL, "role": "owner"}, "role"),
        ({"email": EMAIL, "role": 7}, "role"),
        ({"email": EMAIL, "role": "viewer", "password": "short"}, "password"),
        ({"email": EMAIL, "role": "viewer", "password": "x" * 1025}, "password"),
        ({"email": EMAIL, "role": "viewer", "password": "x\x00" * 9}, "password"),
        ({"email": EMAIL, "role": "viewer", "name": "x"}, "name"),
    ]
    for body, field in wrong:
        answer = await post(USERS, body)
        assert (answer.status, [detail["field"] for detail in answer.json["details"]]) == (422, [field]), answer.json
    taken = await post(USERS, {"email": "taken@EXAMPLE.com", "role": "viewer"})
    assert (taken.status, taken.code) == (409, "email_taken")
    assert (await post(USERS, {"email": EMAIL, "role": "viewer", "password": PASSWORD})).status == 201
    assert (await BrowserSession(site).sign_in()).status == 303


async def test_a_repeated_request_gets_the_same_secret_which_is_stored_sealed(site: Site) -> None:
    post = partial(site.post, token="admin", headers=KEY)
    requests: list[tuple[str, object, object, str]] = [
        (USERS, {"email": EMAIL, "role": "viewer"}, {"email": "x@example.com", "role": "viewer"}, "link"),
        (TOKENS, {"name": "CRM", "role": "viewer"}, {"name": "CRM", "role": "admin"}, "token"),
    ]
    secrets = []
    for path, body, other, name in requests:
        first, again = await post(path, body), await post(path, body)
        assert (first.status, first.body) == (again.status, again.body)
        secrets.append(first.json[name].rpartition("/")[2])
        assert (await post(path, other)).code == "idempotency_conflict"
    user_id = (await site.get(USERS, token="admin")).json["items"][0]["user_id"]
    resets = [await post(f"{USERS}/{user_id}/reset") for _ in range(2)]
    assert resets[0].body == resets[1].body
    secrets.append(resets[0].json["link"].rpartition("/")[2])
    tables = ("inbox", "users", "tokens", "audit_log")
    stored = [str(row) for table in tables for row in await site.database.pool.fetch(f"SELECT t::text FROM dialer.{table} t")]  # noqa: S608 - ours
    assert not [secret for secret in secrets if secret in "".join(stored)]
    assert (await use(site, resets[0].json["link"])).status == 303


async def test_the_last_admin_stays(site: Site) -> None:
    change = partial(site.request, "PATCH", token="admin")
    dana, noa = await site.user(EMAIL, PASSWORD, Role.ADMIN), await site.user("noa@example.com", PASSWORD, Role.ADMIN)
    invited = (await site.post(USERS, {"email": "new@example.com", "role": "admin"}, token="admin")).json["user_id"]
    assert (await change(f"{USERS}/{noa}", json={"role": "operator"})).json["role"] == "operator"
    # Who has no password yet cannot sign in.
    for answer in (
        await change(f"{USERS}/{dana}", json={"role": "viewer"}),
        await change(f"{USERS}/{dana}", json={"disabled": True}),
        await site.request("DELETE", f"{USERS}/{dana}", token="admin"),
    ):
        assert (answer.status, answer.code) == (409, "last_admin")
    assert (await change(f"{USERS}/{dana}", json={"role": "admin", "disabled": False})).status == 200
    assert (await site.request("DELETE", f"{USERS}/{invited}", token="admin")).status == 204
    assert (await change(f"{USERS}/{noa}", json={"role": "admin"})).status == 200
    assert (await site.request("DELETE", f"{USERS}/{dana}", token="admin")).status == 204
    assert (await site.request("DELETE", f"{USERS}/{dana}", token="admin")).status == 404
    assert (await BrowserSession(site).sign_in()).status == 401
    # The address is free again.
    assert (await site.post(USERS, {"email": EMAIL, "role": "viewer", "password": PASSWORD}, token="admin")).status == 201
    for body in ({"disabled": 1}, {"role": "x"}, {"email": "x@example.com"}):
        assert (await change(f"{USERS}/{noa}", json=body)).status == 422


async def test_a_disabled_user_is_out_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credential_checks, "RECHECK_SECONDS", 0.2)
    change = partial(site.request, "PATCH", token="admin")
    user_id, browser = await site.user(EMAIL, PASSWORD), BrowserSession(site)
    await browser.sign_in()
    assert (await browser.get("/runs")).status == 200
    assert (await change(f"{USERS}/{user_id}", json={"disabled": True})).json["disabled"] is True
    assert (await browser.get("/runs")).status == 303
    signed_in = await BrowserSession(site).sign_in()
    assert (signed_in.status, b"disabled" in signed_in.body) == (403, True)
    assert (await BrowserSession(site).sign_in(EMAIL, "wrong password")).status == 401
    reset = await site.post(f"{USERS}/{user_id}/reset", token="admin")
    assert (reset.status, reset.code) == (409, "invalid_state")
    await change(f"{USERS}/{user_id}", json={"disabled": False})
    assert (await browser.get("/runs")).status == 303, "the session has ended for good"
    assert (await BrowserSession(site).sign_in()).status == 303


async def test_ones_own_password_is_changed_and_the_other_sessions_end(site: Site) -> None:
    await site.user(EMAIL, PASSWORD, Role.VIEWER)
    here, elsewhere = BrowserSession(site), BrowserSession(site)
    for browser in (here, elsewhere):
        await browser.sign_in()
    path = f"{USERS}/me/password"

    async def change(current: str, new: str) -> Response:
        body = json.dumps({"current_password": current, "new_password": new})
        return await here.post(path, body, **{"Content-Type": "application/json"})

    wrong = await change("not this one", ANOTHER)
    assert (wrong.status, wrong.json["details"][0]["field"]) == (422, "current_password")
    assert (await change(PASSWORD, "short")).json["details"][0]["field"] == "new_password"
    assert (await elsewhere.get("/runs")).status == 200
    assert (await change(PASSWORD, ANOTHER)).status == 204
    assert ((await here.get("/runs")).status, (await elsewhere.get("/runs")).status) == (200, 303)
    assert (await BrowserSession(site).sign_in()).status == 401
    assert (await BrowserSession(site).sign_in(EMAIL, ANOTHER)).status == 303
    by_program = await site.post(path, {"current_password": PASSWORD, "new_password": ANOTHER}, token="admin")
    assert (by_program.status, by_program.code) == (403, "forbidden")


async def test_everybody_sees_own_sessions_and_an_admin_all(site: Site) -> None:
    dana, noa = await site.user(EMAIL, PASSWORD, Role.VIEWER), await site.user("noa@example.com", PASSWORD, Role.ADMIN)
    browsers = [BrowserSession(site) for _ in range(3)]
    for browser, email in zip(browsers, (EMAIL, EMAIL, "noa@example.com"), strict=True):
        await browser.sign_in(email)

    async def of(browser: BrowserSession, query: str = "") -> list[tuple[int, bool]]:
        return [(session["user_id"], session["current"]) for session in (await browser.get(SESSIONS + query)).json["items"]]

    assert await of(browsers[0]) == [(dana, False), (dana, True)]
    assert await of(browsers[0], f"?user_id={noa}") == []
    assert await of(browsers[2]) == [(noa, True), (dana, False), (dana, False)]
    assert await of(browsers[2], f"?user_id={dana}") == [(dana, False), (dana, False)]
    assert (await site.get(SESSIONS, token="viewer")).json["items"] == [], "a program has none of its own"
    page = (await site.get(f"{SESSIONS}?limit=2", token="admin")).json
    older = (await site.get(f"{SESSIONS}?limit=2&cursor={page['next_cursor']}", token="admin")).json
    assert [len(page["items"]), len(older["items"])] == [2, 1]
    assert (await site.get(f"{SESSIONS}?limit=2&cursor={older['previous_cursor']}", token="admin")).json["items"] == page["items"]
    ids = [session["session_id"] for session in [*page["items"], *older["items"]]]
    end = partial(browsers[0]._request, "DELETE", headers={"Sec-Fetch-Site": "same-origin"})
    assert (await end(f"{SESSIONS}/{ids[0]}")).status == 404, "another person's"
    assert (await end(f"{SESSIONS}/{ids[1]}")).status == 204, "one's own, elsewhere"
    assert [(await browser.get("/runs")).status for browser in browsers] == [200, 303, 200]
    assert (await site.request("DELETE", f"{SESSIONS}/{ids[2]}", token="rival")).status == 404
    assert (await site.request("DELETE", f"{SESSIONS}/{ids[2]}", token="admin")).status == 204
    assert (await site.request("DELETE", f"{SESSIONS}/{ids[2]}", token="admin")).status == 404
    assert (await browsers[0].get("/runs")).status == 303


async def test_a_token_is_shown_once_named_and_revoked(site: Site) -> None:
    get = partial(site.get, token="admin")
    made = await site.post(TOKENS, {"name": " CRM ", "role": "viewer"}, token="admin")
    assert (made.status, made.json["name"], made.json["last_used_at"]) == (201, "CRM", None)
    secret, token_id = made.json["token"], made.json["token_id"]
    assert (await site.get(RUNS, token=secret)).status == 200

    async def listed() -> dict[str, object]:
        [token] = [token for token in (await get(TOKENS)).json["items"] if token["token_id"] == token_id]
        assert secret not in str(token)
        return dict(token)

    async def used() -> bool:
        return (await listed())["last_used_at"] is not None

    await until(used, 5.0, "the use is noted")
    first = (await listed())["last_used_at"]
    assert (await site.get(RUNS, token=secret)).status == 200
    assert (await listed())["last_used_at"] == first, "at most once a minute"
    assert (await listed())["created_by_name"] == "API token 3"
    for body in ({"name": "", "role": "viewer"}, {"name": " ", "role": "viewer"}, {"name": "x" * 101, "role": "viewer"}, {"name": "x"}):
        assert (await site.post(TOKENS, body, token="admin")).status == 422
    assert (await site.request("DELETE", f"{TOKENS}/{token_id}", token="rival")).status == 404
    assert (await site.request("DELETE", f"{TOKENS}/{token_id}", token="admin")).status == 204
    assert (await site.get(RUNS, token=secret)).status == 401
    assert (await site.request("DELETE", f"{TOKENS}/{token_id}", token="admin")).status == 404
    page = (await get(f"{TOKENS}?limit=2")).json
    last = (await get(f"{TOKENS}?limit=2&cursor={page['next_cursor']}")).json
    assert ([len(page["items"]), len(last["items"])], last["next_cursor"]) == ([2, 1], None)
    assert (await get(f"{TOKENS}?limit=2&cursor={last['previous_cursor']}")).json["items"] == page["items"]


async def test_a_user_of_the_installation_sees_nothing_of_a_business(site: Site) -> None:
    await site.database.user(0, EMAIL, Role.ADMIN, hash_of(PASSWORD))
    run_id, browser = await site.load(1), BrowserSession(site)
    assert (await browser.sign_in()).status == 303
    for path in (RUNS, f"{RUNS}/{run_id}", f"{RUNS}/{run_id}/events", "/api/business", USERS, TOKENS, "/api/audit"):
        answer = await browser.get(path)
        assert (answer.status, answer.code) == (403, "of_no_business"), path
    page = await browser.get("/")
    assert (page.status, page.headers["Location"]) == (303, "/health")
    assert len((await browser.get(SESSIONS)).json["items"]) == 1
    body = json.dumps({"current_password": PASSWORD, "new_password": ANOTHER})
    assert (await browser.post(f"{USERS}/me/password", body, **{"Content-Type": "application/json"})).status == 204
    assert (await browser.get(SESSIONS)).status == 200
