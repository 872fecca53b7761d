"""A business's own provider account: given over HTTP, sealed, never shown; its calls are verified with whatever account placed them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from typing import TYPE_CHECKING, Any

from dialer.model import Reference
from dialer.sealing import Seal
from telephony.account_credentials import AccountCredentials
from tests.rows import SECRET_KEY
from tests.web_site import PUBLIC, RUNS, callback, leads

if TYPE_CHECKING:
    import pytest

    from sql.attempts.attempts import ClaimedAttempt
    from tests.rows import DatabaseFixture
    from tests.web_site import Response, Site

BUSINESS = "/api/business"
OWN, OTHER = "AC" + "7" * 32, "AC" + "8" * 32
API_KEY = {"api_key_sid": "SK" + "7" * 32, "api_key_secret": "planted-api-secret"}
PLANTED = ("planted-token", "planted-api-secret", "planted-signing-key", "planted-wrong")


async def set_account(site: Site, account: dict[str, Any] | None, *, token: str = "admin") -> Response:  # noqa: S107 - opens nothing
    return await site.request("PATCH", BUSINESS, json={"provider_account": account}, token=token)


async def claimed(site: Site, first: int = 1) -> ClaimedAttempt:
    await site.post(RUNS, {"leads": leads(1, first), "start": True})
    [attempt], _ = await site.database.claim(site.business)
    return attempt


async def report(site: Site, attempt: ClaimedAttempt, auth_token: str) -> int:
    return (await site.post_callback(attempt, "ringing", auth_token=auth_token, AccountSid=attempt.account_sid)).status


async def test_an_account_is_given_by_an_admin_and_its_secrets_are_not_shown(site: Site) -> None:
    assert (await set_account(site, {"account_sid": OWN, "auth_token": "planted-token"}, token="operator")).status == 403
    given = await set_account(site, {"account_sid": OWN, "auth_token": "planted-token", "calls_per_second": 2.5})
    assert given.status == 200, given.body
    assert given.json["provider_account"] == {"account_sid": OWN, "credentials": "auth_token"}
    assert (await claimed(site)).account_sid == OWN
    await set_account(site, {"account_sid": OWN, **API_KEY, "signing_key": "planted-signing-key"})
    shown = (await site.get(BUSINESS, token="viewer")).json
    assert shown["provider_account"] == {"account_sid": OWN, "credentials": "api_key"}
    assert (await site.get(BUSINESS, token="rival")).json["provider_account"] is None
    assert (await set_account(site, None)).json["provider_account"] is None
    details = await site.database.pool.fetch(
        "SELECT actor, detail -> 'provider_account' AS detail FROM dialer.audit_log WHERE business_id = $1 AND action = $2 ORDER BY id",
        site.business,
        "business.change",
    )
    assert {row["actor"].partition(":")[0] for row in details} == {"token"}
    assert [row["detail"] for row in details] == [
        {"account_sid": OWN, "credentials": "auth_token", "calls_per_second": 2.5},
        {"account_sid": OWN, "credentials": "api_key", "calls_per_second": None},
        None,
    ]


async def test_calls_on_the_line_are_verified_with_the_account_that_placed_them(site: Site) -> None:
    """Default account, own account, its token rotated, another account, back to the default."""
    await site.database.pool.execute("UPDATE dialer.lanes SET max_calls = 9, cap = 9")
    by_default = await claimed(site)
    await set_account(site, {"account_sid": OWN, "auth_token": "old"})
    before = await claimed(site, 2)
    await set_account(site, {"account_sid": OWN, "auth_token": "new"})
    rotated = await claimed(site, 3)
    await set_account(site, {"account_sid": OTHER, "auth_token": "other"})
    other = await claimed(site, 4)
    await set_account(site, None)
    assert [attempt.account_sid for attempt in (before, rotated, other)] == [OWN, OWN, OTHER]
    for attempt, right in ((before, ("old", "new")), (rotated, ("old", "new")), (other, ("other",))):
        statuses = {key: await report(site, attempt, key) for key in ("old", "new", "other")}
        assert statuses == {key: 204 if key in right else 403 for key in statuses}
        assert (await site.post_callback(attempt, "ringing")).status == 403
    assert (await site.post_callback(by_default, "ringing")).status == 204


async def test_callbacks_of_an_api_key_are_signed_with_the_signing_key(site: Site) -> None:
    await set_account(site, {"account_sid": OWN, **API_KEY, "signing_key": "planted-signing-key"})
    attempt = await claimed(site)
    form = callback(attempt, "ringing", AccountSid=OWN)
    path = f"/callbacks/{Reference(attempt.business_id, attempt.attempt_id, attempt.nonce)}"
    text = PUBLIC + path + "".join(name + form[name] for name in sorted(form))

    async def signed(key: str) -> int:
        signature = base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()).decode()
        settings = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"
        headers = {"X-Twilio-Signature": signature, "X-Twilio-Webhooks-Signature-Settings": settings}
        return (await site.request("POST", path, token=None, data=form, headers=headers)).status

    assert [await signed(key) for key in ("planted-signing-key", "planted-api-secret")] == [204, 403]


async def test_the_pace_changes_and_the_credentials_stay(site: Site) -> None:
    await set_account(site, {"account_sid": OWN, "auth_token": "planted-token"})
    assert (await set_account(site, {"account_sid": OWN, "calls_per_second": 7})).status == 200
    rows = await site.database.pool.fetch("SELECT calls_per_second, sealed FROM dialer.provider_accounts WHERE business_id > 0")
    assert [row["calls_per_second"] for row in rows] == [7]
    assert AccountCredentials.opened(Seal(SECRET_KEY, "account"), rows[0]["sealed"]).auth_token == "planted-token"


async def dump(database: DatabaseFixture) -> str:
    """Every row of every table, as text."""
    tables = await database.pool.fetch(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname <> 'pg_catalog'"
    )
    rows = [await database.pool.fetch(f"SELECT t::text AS row FROM {table['name']} t") for table in tables]  # noqa: S608 - our own tables
    return "\n".join(row["row"] for table in rows for row in table)


async def test_no_secret_is_in_logs_answers_error_pages_or_the_database(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wrong: list[dict[str, Any]] = [
        {"account_sid": OWN, "auth_token": "planted-token planted-wrong"},
        {"account_sid": OWN, "auth_token": ["planted-wrong"]},
        {"account_sid": OWN, "auth_token": "planted-token", "token": "planted-wrong"},
        {"account_sid": "planted-wrong", "auth_token": "planted-token"},
        {"account_sid": OWN, **API_KEY},
        {"account_sid": OWN, "auth_token": "planted-token", "calls_per_second": "planted-wrong"},
    ]
    right: list[dict[str, Any]] = [
        {"account_sid": OWN, "auth_token": "planted-token"},
        {"account_sid": OWN, **API_KEY, "signing_key": "planted-signing-key"},
    ]
    answers = [await set_account(site, account) for account in [*wrong, *right]]
    assert [answer.status for answer in answers] == [422] * len(wrong) + [200, 200]
    attempt = await claimed(site)
    assert await report(site, attempt, "planted-signing-key") == 204
    assert await report(site, attempt, "planted-wrong") == 403
    # Not JSON, not an API path, a database that answers with an error, and a repeated POST.
    body = '{"provider_account": {"account_sid": "' + OWN + '", "auth_token": "planted-token"'
    answers.append(await site.request("PATCH", BUSINESS, data=body, token="admin", headers={"Content-Type": "application/json"}))
    answers.append(await site.request("PATCH", "/business", json=wrong[0], token="admin"))
    repeated = {"Idempotency-Key": "once"}
    answers += [await site.post(RUNS, {"leads": [], "provider_account": right[0]}, headers=repeated) for _ in range(2)]
    await site.database.pool.execute(
        "ALTER TABLE dialer.provider_accounts ADD CHECK (account_sid <> $1) NOT VALID".replace("$1", f"'{OTHER}'")
    )
    answers.append(await set_account(site, {"account_sid": OTHER, "auth_token": "planted-token"}))
    assert answers[-1].status == 500
    answers += [await site.get(path, token="admin") for path in (BUSINESS, "/api/audit", f"/runs/{attempt.run_id}", "/metrics")]
    said = "\n".join(answer.body.decode() + str(answer.headers) for answer in answers)
    logged = caplog.text + "\n".join(str(record.__dict__) for record in caplog.records)
    for place in (said, logged, await dump(site.database)):
        assert not [secret for secret in PLANTED if secret in place]
    assert OWN in await dump(site.database), "the dump has the rows"
