"""Webhooks over HTTP: added, listed, deleted; the events of a business arrive at a real receiver; the receivers of docs/webhooks.md."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import re
import shutil
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from actors.bootstrap import open_services
from actors.worker import Worker
from dialer.config import Settings
from dialer.webhooks.signing import EVENT_TYPES
from ringmaster.local.ports import free_port
from tests.chaos import polling
from tests.contract.test_openapi import ask_of
from tests.rows import SECRET_KEY
from tests.web_site import RUNS, Site, serving
from tests.webhook_targets import Post, post, target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.rows import DatabaseFixture
    from tests.webhook_targets import Target

WEBHOOKS, WEBHOOK = "/api/webhooks", "/api/webhooks/{webhook_id}"
DELIVERIES, REDELIVER = f"{WEBHOOK}/deliveries", f"{WEBHOOK}/deliveries/{{delivery_id}}/redeliver"
PAGE = Path(__file__).parents[2] / "docs" / "webhooks.md"
ALLOWED = {"DIALER_WEBHOOK_ALLOWED_HOSTS": "127.0.0.1"}
BOUND_SECONDS = 20.0


@pytest_asyncio.fixture
async def hooked(database_url: str, redis_url: str, database: DatabaseFixture) -> AsyncIterator[Site]:
    """A web process that lets webhooks be on this machine."""
    async with serving(database_url, redis_url, database, **ALLOWED) as site:
        yield site


async def add(site: Site, url: str, *events: str, token: str = "admin", **headers: str) -> dict[str, Any]:  # noqa: S107 - opens nothing
    response = await site.post(WEBHOOKS, {"url": url, "events": list(events or EVENT_TYPES)}, token=token, headers=headers)
    assert response.status == 201, response.body
    return dict(response.json)


async def sent(mail: Post, receiver: Target, last: str) -> None:
    """Relay and send until an event of the type `last` has arrived."""

    async def arrived() -> bool:
        await mail.send()
        return last in [kind for kind, _ in receiver.events]

    await polling.until(arrived, BOUND_SECONDS, f"{last} arrives")


async def test_events_of_a_business_arrive_signed_and_in_order(hooked: Site) -> None:
    async with post(hooked.database) as mail, target() as receiver, target() as theirs, target() as few:
        added = await add(hooked, receiver.url, **{"Idempotency-Key": "a"})
        again = await add(hooked, receiver.url, **{"Idempotency-Key": "a"})
        assert again == added
        assert base64.b64decode(added["key"].removeprefix("whsec_"))
        assert (
            await hooked.post(WEBHOOKS, {"url": receiver.url, "events": ["run.paused"]}, token="admin", headers={"Idempotency-Key": "a"})
        ).status == 409
        await add(hooked, theirs.url, token="rival")
        await add(hooked, few.url, "run.paused")
        run = await hooked.load(4)
        attempts, _ = await hooked.database.claim(hooked.business, permits=1)
        await hooked.post_callback(attempts[0], "completed", CallDuration="3")
        for verb in ("pause", "resume"):
            assert (await hooked.post(f"{RUNS}/{run}/{verb}")).status == 200
        await hooked.post(f"/api/outbound_calls/jobs/{run}/cancel")
        await sent(mail, receiver, "run.finished")
        kinds = [kind for kind, _ in receiver.events]
        told = [kind for kind, of in receiver.events if of == run and kind != "command.accepted"]
        assert told == ["run.started", "job.changed", "run.paused", "run.resumed", "run.finished"]
        assert theirs.received == []
        assert few.events == [("run.paused", run)]
        # By the library of the specification, and by hand.
        for request in receiver.received:
            request.verify(added["key"])
            content = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
            signature = hmac.digest(base64.b64decode(added["key"].removeprefix("whsec_")), content, hashlib.sha256)
            assert request.headers["webhook-signature"] == f"v1,{base64.b64encode(signature).decode()}"
        # What is sent is what the stream has.
        entry = receiver.received[kinds.index("job.changed")].json
        assert entry["data"]["outcome"] == "answered"
        assert (entry["business_id"], entry["run_id"], entry["timestamp"]) == (hooked.business, run, entry["at"])
        assert entry["id"] == receiver.ids[kinds.index("job.changed")]
        # The key is nowhere in the clear.
        shown = await hooked.get(WEBHOOKS, token="admin")
        assert [one["url"] for one in shown.json["items"]] == [receiver.url, few.url]
        stored = await hooked.database.pool.fetchval("SELECT string_agg(w::text, '') FROM dialer.webhooks w")
        noted = await hooked.database.pool.fetchval("SELECT string_agg(i::text, '') FROM dialer.inbox i")
        assert added["key"] not in f"{shown.body!r}{stored}{noted}"
        log = await hooked.database.pool.fetch("SELECT actor, action FROM dialer.audit_log WHERE action LIKE 'webhook%' ORDER BY id")
        assert [row["action"] for row in log] == ["webhook.add"] * 3


REFUSED = [
    *("http://example.com/", "ftp://example.com/", "https://", "example.com", "https://u:p@example.com/", "https://example.com/#x", ""),
    *(
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://169.254.169.254/latest",
        "https://localhost/",
        "https://intranet/",
        "https://x.internal/",
    ),
    *(
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::10.0.0.1]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://\x00/",
    ),
    *(
        "https://example.com/ x",
        f"https://example.com/{'x' * 2000}",
        "http://10.0.0.1:8080/",
        "https://example.com:0/",
        "https://ex\u05d0mple.com/",
    ),
]


async def test_what_may_be_added_and_by_whom(hooked: Site, caplog: pytest.LogCaptureFixture) -> None:
    ask = partial(ask_of, hooked)
    for url in REFUSED:
        response = await ask("POST", WEBHOOKS, body={"url": url, "events": ["run.started"]}, token="admin")
        assert (response.status, response.json["details"][0]["field"]) == (422, "url"), url
    good = {"url": "https://example.com/hook?a=b", "events": ["run.started"]}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({**good, "events": []}, "events"),
        ({**good, "events": ["run.progress"]}, "events"),
        ({**good, "events": ["run.started", "run.started"]}, "events"),
        ({**good, "events": "run.started"}, "events"),
        ({"url": good["url"]}, "events"),
        ({"events": ["run.started"]}, "url"),
        ({**good, "url": 7}, "url"),
        ({**good, "key": "whsec_x"}, "key"),
    ]
    for body, name in wrong:
        response = await ask("POST", WEBHOOKS, body=body, token="admin")
        assert (response.status, response.json["details"][0]["field"].split(".")[0]) == (422, name), body
    for token, status in (("operator", 403), ("viewer", 403), (None, 401)):
        assert (await ask("POST", WEBHOOKS, body=good, token=token)).status == status
        assert (await ask("GET", WEBHOOKS, token=token)).status == status
    ids = [(await ask("POST", WEBHOOKS, body=good, token="admin")).json["webhook_id"] for _ in range(10)]
    assert (await ask("POST", WEBHOOKS, body=good, token="admin")).status == 409
    assert (await ask("GET", WEBHOOKS, token="admin")).json["items"][0]["events"] == ["run.started"]
    with caplog.at_level(logging.WARNING):
        assert (await ask("DELETE", WEBHOOK, ids[0], token="rival")).status == 404
    assert "[SECURITY]" in caplog.text
    assert (await ask("DELETE", WEBHOOK, ids[0], token="operator")).status == 403
    assert (await ask("DELETE", WEBHOOK, ids[0], token="admin")).status == 204
    assert (await ask("DELETE", WEBHOOK, ids[0], token="admin")).status == 404
    assert (await ask("POST", WEBHOOKS, body=good, token="admin")).status == 201


async def test_deliveries_are_listed_and_sent_again(hooked: Site) -> None:
    ask = partial(ask_of, hooked, token="admin")
    async with post(hooked.database) as mail, target() as receiver:
        webhook = (await add(hooked, receiver.url))["webhook_id"]
        receiver.answer = lambda request: 200 if request.event[1] == 7 else 500
        await mail.publish(hooked.business, ("run.started", 7), ("run.paused", 7), ("run.started", 8), ("run.paused", 8))
        await mail.send()
        last, held, second, first = (await ask("GET", DELIVERIES, webhook)).json["items"][::-1][::-1]
        assert (held["status"], held["tries"], held["response_status"], held["response_body"]) == ("pending", 1, 500, "noted")
        assert (last["status"], last["tries"], last["waits_for"], last["next_try_at"]) == ("pending", 0, held["delivery_id"], None)
        assert held["next_try_at"] > held["tried_at"]
        assert [(one["status"], one["response_status"], one["waits_for"]) for one in (first, second)] == [("delivered", 200, None)] * 2
        assert first["body"] == receiver.received[receiver.ids.index(first["event_id"])].json
        pages = [await ask("GET", f"{DELIVERIES}", webhook, params={"limit": "3"})]
        pages.append(await ask("GET", DELIVERIES, webhook, params={"limit": "3", "cursor": pages[0].json["next_cursor"]}))
        pages.append(await ask("GET", DELIVERIES, webhook, params={"limit": "3", "cursor": pages[1].json["previous_cursor"]}))
        assert [len(page.json["items"]) for page in pages] == [3, 1, 3]
        filtered = await ask("GET", DELIVERIES, webhook, params={"status": "delivered,failed"})
        assert [one["delivery_id"] for one in filtered.json["items"]] == [second["delivery_id"], first["delivery_id"]]
        assert (await ask("GET", DELIVERIES, webhook, params={"status": "x"})).status == 422
        # A delivered one again, out of order; a pending one now, before its pause is over.
        receiver.received.clear()
        receiver.answer = lambda _: 200
        for _ in range(2):
            answer = await ask("POST", REDELIVER, webhook, first["delivery_id"], headers={"Idempotency-Key": "again"})
            assert (answer.status, answer.json) == (202, {"delivery_id": first["delivery_id"], "status": "pending"})
        assert (await ask("POST", REDELIVER, webhook, last["delivery_id"])).status == 202
        await mail.send()
        assert sorted(receiver.events, key=str) == [("run.paused", 8), ("run.started", 7), ("run.started", 8)]
        assert [event for event in receiver.events if event[1] == 8] == [("run.started", 8), ("run.paused", 8)]
        assert first["event_id"] in receiver.ids
        newest = (await ask("GET", DELIVERIES, webhook)).json["items"]
        assert [(one["status"], one["tries"]) for one in newest] == [("delivered", 1), ("delivered", 2), ("delivered", 1), ("delivered", 2)]
        for path, ids in ((DELIVERIES, (webhook,)), (REDELIVER, (webhook, first["delivery_id"]))):
            method = "GET" if path == DELIVERIES else "POST"
            assert (await ask(method, path, *ids, token="rival")).status == 404
            assert (await ask(method, path, *ids, token="operator")).status == 403
        assert (await ask("POST", REDELIVER, webhook, 10**15)).status == 404
        receiver.answer = lambda _: 410
        await ask("POST", REDELIVER, webhook, first["delivery_id"])
        await mail.send()
        assert (await ask("POST", REDELIVER, webhook, first["delivery_id"])).status == 409
        assert (await ask("GET", WEBHOOKS)).json["items"][0]["disabled_at"]


async def test_a_worker_sends_them(hooked: Site, database_url: str, redis_url: str) -> None:
    """The duty runs in the worker process, with the settings of the installation."""
    settings = Settings.model_validate(
        {
            **ALLOWED,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "PUBLIC_URL": "http://127.0.0.1:9",
            "SECRET_KEY": SECRET_KEY,
            "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": "0" * 32,
            "TWILIO_API_URL": "http://127.0.0.1:9",
        }
    )
    await hooked.database.workers.leave(hooked.database.incarnation)
    async with target() as receiver:
        key = (await add(hooked, receiver.url))["key"]
        async with open_services(settings) as services:
            worker = Worker(services, "worker")
            await worker.start()
            try:
                run = await hooked.load(1, start=False)
                await hooked.post(f"{RUNS}/{run}/start")

                async def arrived() -> bool:
                    return ("run.started", run) in receiver.events

                await polling.until(arrived, BOUND_SECONDS, "the event arrives")
            finally:
                await worker.stop()
        receiver.received[0].verify(key)


@asynccontextmanager
async def example(language: str, tmp_path: Path, key: str) -> AsyncIterator[str]:
    """Run the receiver that the page shows in this language; its address."""
    [code] = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    program = {"python": ".venv/bin/python", "javascript": "node"}[language]
    file = tmp_path / f"receiver.{'py' if language == 'python' else 'mjs'}"
    file.write_text(code)
    port = free_port()
    environment = {"WEBHOOK_KEY": key, "PORT": str(port), "PATH": "/usr/bin:/bin:/usr/local/bin"}
    root = Path(__file__).parents[2]
    found = shutil.which(program) or str(root / program)
    process = await asyncio.create_subprocess_exec(found, str(file), env=environment, stdout=asyncio.subprocess.PIPE, cwd=root)
    try:
        assert process.stdout
        async with asyncio.timeout(BOUND_SECONDS):
            assert b"listening" in await process.stdout.readline()
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.kill()
        await process.communicate()


@pytest.mark.parametrize("language", ["python", "javascript"])
async def test_the_receivers_of_the_page_work(language: str, database: DatabaseFixture, tmp_path: Path) -> None:
    """They take what is signed, once, and refuse the rest."""
    if language == "javascript" and shutil.which("node") is None:
        pytest.skip("there is no node")
    async with post(database) as mail:
        business = await database.business()
        webhook, key = await mail.add(business, f"http://127.0.0.1:{free_port()}/")
        async with example(language, tmp_path, key) as url:
            await database.pool.execute("UPDATE dialer.webhooks SET url = $1", url)
            await mail.publish(business, ("run.started", 1), ("run.finished", 1))
            await mail.send()
            assert [state[2] for state in await mail.states(business, webhook)] == ["delivered", "delivered"]
            other, _ = await mail.add(business, url)
            await mail.publish(business, ("run.started", 2))
            await mail.send()
            page = await mail.webhooks.page(business, other, statuses=None, before=None, limit=9)
            assert [(one.status, one.response_status) for one in page] == [("pending", 401)], "signed with another key"
