"""The audit log: every change has an entry that says who, what and from where; it is filtered and paged."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from dialer.messages import CommandType, parse_command
from dialer.model import AttemptState, Role
from tests.browser_session import EMAIL, PASSWORD, BrowserSession
from tests.contract.described_api import operations
from tests.web_site import RUNS, leads

if TYPE_CHECKING:
    from asyncpg import Record

    from tests.web_site import Response, Site

HERE = "127.0.0.1"
AUDIT, USERS, TOKENS, DNC = "/api/audit", "/api/users", "/api/tokens", "/api/outbound/do-not-call"
RUN, JOBS = f"{RUNS}/{{run_id}}", f"{RUNS}/{{run_id}}/jobs"
# Nothing is changed by these, although they are no GET.
ONLY_TELL = {f"POST {RUNS}/preflight", f"POST {RUNS}/preview"}
# Of each changing operation the action that its entry has.
ACTIONS = {
    f"POST {RUNS}": "run.create",
    f"PATCH {RUN}": "run.change",
    f"POST {RUN}/start": "run.start",
    f"POST {RUN}/pause": "run.pause",
    f"POST {RUN}/resume": "run.resume",
    f"POST {RUN}/leads": "run.add",
    f"POST {RUN}/again": "run.again",
    f"POST {JOBS}/{{job_id}}/cancel": "job.cancel",
    f"POST {JOBS}/{{job_id}}/resolve": "job.resolve",
    f"POST {JOBS}/cancel": "jobs.cancel",
    f"POST {JOBS}/again": "jobs.again",
    f"POST {JOBS}/do-not-call": "jobs.do_not_call",
    "POST /api/outbound_calls/jobs/{job_id}/cancel": "run.cancel",
    "POST /api/outbound/stop-queue": "run.stop",
    f"POST {RUNS}/test-call": "test_call",
    f"POST {DNC}": "do_not_call.add",
    f"DELETE {DNC}": "do_not_call.remove",
    "POST /api/stop-dialling": "business.stop",
    "POST /api/resume-dialling": "business.resume",
    "PATCH /api/business": "business.change",
    f"POST {USERS}": "user.create",
    f"POST {USERS}/me/password": "user.password",
    f"PATCH {USERS}/{{user_id}}": "user.change",
    f"DELETE {USERS}/{{user_id}}": "user.delete",
    f"POST {USERS}/{{user_id}}/reset": "user.reset",
    "DELETE /api/sessions/{session_id}": "session.end",
    f"POST {TOKENS}": "token.create",
    f"DELETE {TOKENS}/{{token_id}}": "token.revoke",
    "POST /api/webhooks": "webhook.add",
    "DELETE /api/webhooks/{webhook_id}": "webhook.delete",
    "POST /api/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver": "webhook.redeliver",
}


async def entries(site: Site, after: int = 0) -> list[Record]:
    found: list[Record] = await site.database.pool.fetch("SELECT * FROM dialer.audit_log WHERE id > $1 ORDER BY id", after)
    return found


class Changes:
    """Performs operations, and notes which of them have an entry with the address of the client."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.noted: set[str] = set()

    async def __call__(self, operation: str, body: Any = None, **ids: Any) -> Any:  # noqa: ANN401 - any JSON
        """Perform one; the answer."""
        method, path = operation.split(" ")
        last = max((entry["id"] for entry in await entries(self.site)), default=0)
        response = await self.site.request(method, path.format(**ids), token="admin", json=body)
        assert response.status < 300, f"{operation}: {response.status} {response.body!r}"
        found = [(entry["action"], entry["address"], entry["actor"][:6]) for entry in await entries(self.site, last)]
        assert (ACTIONS[operation], HERE, "token:") in found, f"{operation}: {found}"
        self.noted.add(operation)
        return response.json if response.body else None


async def test_every_changing_operation_says_who_and_from_where(site: Site) -> None:
    """Each operation that the API describes, once; but those that need a provider, a cookie or a receiver of webhooks."""
    change = Changes(site)
    run = (await change(f"POST {RUNS}", {"leads": leads(9)}))["run_id"]
    await change(f"PATCH {RUN}", {"name": "x"}, run_id=run)
    await change(f"POST {RUN}/start", run_id=run)
    await change(f"POST {RUN}/pause", run_id=run)
    await change(f"POST {RUN}/resume", run_id=run)
    await change(f"POST {RUN}/leads", {"leads": leads(2, first=20)}, run_id=run)
    attempts, _ = await site.database.claim(site.business)
    await site.database.record(attempts[0], AttemptState.UNKNOWN, reason="time-out")
    await change(f"POST {JOBS}/{{job_id}}/resolve", {"as": "over"}, run_id=run, job_id=attempts[0].job_id)
    await site.post_callback(attempts[1], "busy")
    await change(f"POST {RUN}/again", {"outcomes": ["busy"]}, run_id=run)
    waiting = (await site.get(f"{RUNS}/{run}/jobs?status=queued")).json["items"]
    await change(f"POST {JOBS}/{{job_id}}/cancel", run_id=run, job_id=waiting[0]["job_id"])
    for verb in ("cancel", "again", "do-not-call"):
        await change(f"POST {JOBS}/{verb}", {"job_ids": [waiting[1]["job_id"]]}, run_id=run)
    await change("POST /api/outbound_calls/jobs/{job_id}/cancel", job_id=run)
    await change("POST /api/outbound/stop-queue", {"run_id": await site.load(1)})
    await change(f"POST {DNC}", {"phones": ["0521234567"]})
    await change(f"DELETE {DNC}", {"phones": ["0521234567"]})
    await change("POST /api/stop-dialling", {"reason": "x"})
    await change("POST /api/resume-dialling")
    await change("PATCH /api/business", {"name": "New"})
    user = (await change(f"POST {USERS}", {"email": EMAIL, "role": "viewer", "password": PASSWORD}))["user_id"]
    await BrowserSession(site).sign_in()
    [session] = (await site.get("/api/sessions", token="admin")).json["items"]
    await change("DELETE /api/sessions/{session_id}", session_id=session["session_id"])
    await change(f"PATCH {USERS}/{{user_id}}", {"role": "operator"}, user_id=user)
    await change(f"POST {USERS}/{{user_id}}/reset", user_id=user)
    await change(f"DELETE {USERS}/{{user_id}}", user_id=user)
    token = (await change(f"POST {TOKENS}", {"name": "x", "role": "viewer"}))["token_id"]
    await change(f"DELETE {TOKENS}/{{token_id}}", token_id=token)
    hook = (await change("POST /api/webhooks", {"url": "https://example.com/x", "events": ["run.finished"]}))["webhook_id"]
    await change("DELETE /api/webhooks/{webhook_id}", webhook_id=hook)
    described = {str(each) for each in operations() if each.role is not None and each.method != "GET"} - ONLY_TELL
    assert described <= set(ACTIONS), "say which entry of the audit log it makes"
    elsewhere = {f"POST {RUNS}/test-call", f"POST {USERS}/me/password", *(each for each in described if "redeliver" in each)}
    assert described - change.noted - elsewhere == set()


async def test_what_people_do_on_pages_and_programs_by_the_stream_is_in_it(site: Site) -> None:
    """The address is that of the client; what comes by the stream says so."""
    user = await site.user(EMAIL, PASSWORD, Role.ADMIN)
    run_id, browser = await site.load(2), BrowserSession(site)
    await browser.sign_in()
    await browser.post(f"/runs/{run_id}/pause")
    body = json.dumps({"current_password": PASSWORD, "new_password": "another long password"})
    await browser.post(f"{USERS}/me/password", body, **{"Content-Type": "application/json"})
    await browser.post("/logout")
    command = {"v": "1", "id": "c1", "type": "run.resume", "business_id": str(site.business), "run_id": str(run_id)}
    await by_stream(site, command)
    found = [(entry["action"], entry["actor"], entry["address"]) for entry in await entries(site) if entry["action"] not in SETUP]
    me = f"user:{user}"
    assert found == [
        ("session.begin", me, HERE),
        ("run.pause", me, HERE),
        ("user.password", me, HERE),
        ("session.end", me, HERE),
        ("run.resume", "stream", "dialer:commands"),
    ]


# What the fixtures do.
SETUP = {"business.create", "token.create", "user.create", "run.create", "run.start"}


async def by_stream(site: Site, fields: dict[str, str]) -> None:
    """Receive a command as the worker that reads dialer:commands does, and decide it."""
    await site.database.commands.receive(await site.database.commands.position(), "5-0", [parse_command(fields, "5-0")])
    await site.database.commands.apply_received(site.business)


async def test_the_log_is_filtered_and_paged(site: Site) -> None:
    get = partial(site.get, token="admin")
    run_id = await site.load(1)
    await site.post(f"{RUNS}/{run_id}/pause")
    await site.database.command(site.rival, CommandType.PAUSE, await site.rivals_run())
    middle = datetime.now(UTC).isoformat()
    made = (await site.post(TOKENS, {"name": "CRM", "role": "operator"}, token="admin")).json
    await site.post(f"{RUNS}/{run_id}/resume", token=made["token"])

    async def actions(**query: Any) -> list[str]:  # noqa: ANN401 - of a query string
        return [entry["action"] for entry in (await get(AUDIT, params=query)).json["items"]]

    everything = await actions()
    assert everything[:4] == ["run.resume", "token.create", "run.pause", "run.start"]
    assert await actions(run_id=run_id) == ["run.resume", "run.pause", "run.start", "run.create"]
    assert await actions(action="run.pause,run.resume") == ["run.resume", "run.pause"]
    assert await actions(since=middle) == ["run.resume", "token.create"]
    assert await actions(until=middle, run_id=run_id) == ["run.pause", "run.start", "run.create"]
    assert await actions(actor=f"token:{made['token_id']}") == ["run.resume"]
    assert await actions(actor="nobody") == []
    [entry] = (await get(AUDIT, params={"limit": 1})).json["items"]
    assert entry | {"audit_id": 0, "at": "", "detail": {}} == {
        "audit_id": 0,
        "at": "",
        "actor": f"token:{made['token_id']}",
        "actor_name": "CRM",
        "action": "run.resume",
        "address": HERE,
        "run_id": run_id,
        "job_id": None,
        "detail": {},
    }
    pages: list[Response] = [await get(AUDIT, params={"limit": 3})]
    for direction in ("next_cursor", "previous_cursor"):
        while cursor := pages[-1].json[direction]:
            pages.append(await get(AUDIT, params={"limit": 3, "cursor": cursor}))
    forward = [entry["action"] for page in pages[: (len(pages) + 1) // 2] for entry in page.json["items"]]
    assert (forward, pages[0].json) == (everything, pages[-1].json)
    for query in ({"since": "yesterday"}, {"until": "2026-01-01T00:00:00"}, {"run_id": "x"}, {"cursor": "0"}, {"x": "1"}, {"actor": ""}):
        assert (await get(AUDIT, params=query)).status == 422, query
    assert [(await site.get(AUDIT, token=token)).status for token in ("operator", "viewer", "rival")] == [403, 403, 200]
