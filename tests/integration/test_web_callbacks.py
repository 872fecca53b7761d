"""Twilio's callbacks: signed ones are recorded once, in any order; others change nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dialer.messages import CallChanged
from dialer.model import AttemptState, Reference
from dialer.streams.client import NOWHERE, Streams
from tests.chaos.polling import until
from tests.web_site import ACCOUNT, AUTH_TOKEN, NO_REDIS, RUNS, callback, serving

if TYPE_CHECKING:
    from ringmaster.local.postgres import Postgres
    from sql.attempts.attempts import ClaimedAttempt
    from tests.rows import DatabaseFixture
    from tests.web_site import Site


async def one_call(site: Site, count: int = 1) -> ClaimedAttempt:
    await site.load(count)
    attempts, _ = await site.database.claim(site.business)
    return attempts[0]


async def recordings(site: Site) -> list[str]:
    return [row["recording_sid"] for row in await site.database.pool.fetch("SELECT recording_sid FROM dialer.recordings")]


async def state_of(site: Site, attempt: ClaimedAttempt) -> str:
    state: str = await site.database.pool.fetchval("SELECT state FROM dialer.attempts WHERE id = $1", attempt.attempt_id)
    return state


async def received(site: Site) -> int:
    count: int = await site.database.pool.fetchval("SELECT count(*) FROM dialer.callbacks")
    return count


async def test_a_call_from_ring_to_end(site: Site) -> None:
    attempt = await one_call(site)
    for n, (status, state) in enumerate(
        (("initiated", "placed"), ("ringing", "ringing"), ("in-progress", "live"), ("completed", "over")),
    ):
        response = await site.post_callback(attempt, status, SequenceNumber=str(n), CallDuration="9")
        assert (response.status, response.body) == (204, b"")
        assert await state_of(site, attempt) == state
    run = await site.database.checked_run(site.business, attempt.run_id)
    assert (run.status, run.completed) == ("completed", 1)
    assert await site.database.inflight(site.business) == []


async def test_repeated_and_late_callbacks_change_nothing(site: Site) -> None:
    attempt = await one_call(site)
    for status in ("ringing", "completed", "completed", "initiated", "in-progress", "completed"):
        assert (await site.post_callback(attempt, status)).status == 204
    run = await site.database.checked_run(site.business, attempt.run_id)
    assert (run.completed, run.in_progress, run.status) == (1, 0, "completed")
    assert await received(site) == 4, "the same callback again is the same row"


async def test_concurrent_callbacks_settle_once(site: Site) -> None:
    attempt = await one_call(site)
    responses = await asyncio.gather(*(site.post_callback(attempt, status) for status in ["ringing", "completed"] * 10))
    assert {response.status for response in responses} == {204}
    assert (await site.database.checked_run(site.business, attempt.run_id)).completed == 1


async def test_unsigned_and_wrongly_signed_callbacks_change_nothing(site: Site) -> None:
    attempt = await one_call(site)
    reference = Reference(attempt.business_id, attempt.attempt_id, attempt.nonce)
    form = callback(attempt, "completed")
    bodies = set()
    for path in (f"/callbacks/{reference}", f"/twiml/{reference}", "/callbacks/1-1-" + "0" * 32, "/callbacks/nonsense", "/twiml/1-2-3-4"):
        for response in (
            await site.request("POST", path, token=None, data=form),
            await site.request("POST", path, token=None, data=form, headers={"X-Twilio-Signature": "AAAA"}),
            await site.request("POST", path, token=None, data=b"\xff\x00", headers={"X-Twilio-Signature": "AAAA"}),
            await site.sign_and_post(path, form, auth_token="another account's"),
        ):
            assert response.status == 403
            bodies.add(response.body)
    assert len(bodies) == 1
    signed_for_another_path = await site.post_callback(attempt, "completed", path="twiml/../callbacks")
    assert signed_for_another_path.status == 403
    assert await state_of(site, attempt) == "placing"
    assert await received(site) == 0


async def test_a_signed_callback_with_an_unknown_reference_gets_404(site: Site) -> None:
    attempt = await one_call(site)
    for reference in (
        f"{attempt.business_id}-{attempt.attempt_id}-{'0' * 32}",
        f"{site.rival}-{attempt.attempt_id}-{attempt.nonce}",
        "nonsense",
    ):
        response = await site.sign_and_post(f"/callbacks/{reference}", callback(attempt, "completed"))
        assert (response.status, response.code) == (404, "not_found")
    assert await state_of(site, attempt) == "placing"


@pytest.mark.parametrize("fields", [{"CallDuration": "-1"}, {"SequenceNumber": "first"}, {"ErrorCode": "1234567"}, {"Timestamp": "now"}])
async def test_a_malformed_side_field_does_not_cost_the_end_of_the_call(site: Site, fields: dict[str, str]) -> None:
    attempt = await one_call(site)
    reference = Reference(attempt.business_id, attempt.attempt_id, attempt.nonce)
    response = await site.sign_and_post(f"/callbacks/{reference}", callback(attempt, "completed") | fields)
    assert (response.status, await state_of(site, attempt)) == (204, "over")


@pytest.mark.parametrize("fields", [{"CallStatus": "exploded"}, {"CallSid": "CA1"}])
async def test_a_signed_callback_with_a_malformed_field_gets_400(site: Site, fields: dict[str, str]) -> None:
    attempt = await one_call(site)
    reference = Reference(attempt.business_id, attempt.attempt_id, attempt.nonce)
    response = await site.sign_and_post(f"/callbacks/{reference}", callback(attempt, "completed") | fields)
    assert (response.status, response.code) == (400, "bad_request")
    assert await state_of(site, attempt) == "placing"


async def test_the_owner_is_notified(site: Site, redis_url: str) -> None:
    attempt = await one_call(site)
    await site.post_callback(attempt, "completed")
    partition = await site.database.partition(site.business)
    streams = Streams(redis_url)
    hints = [hint for _, _, hint in await streams.hints_after({partition: NOWHERE}, block_seconds=1)]
    await streams.close()
    assert [hint for hint in hints if isinstance(hint, CallChanged)] == [
        CallChanged(site.business, attempt.run_id, attempt.job_id, attempt.attempt_id, "over", f"CA{attempt.attempt_id:032x}")
    ]


async def test_an_answered_call_is_greeted(site: Site) -> None:
    attempt = await one_call(site)
    response = await site.post_callback(attempt, "in-progress", path="twiml")
    assert (response.status, response.headers["Content-Type"].split(";")[0]) == (200, "text/xml")
    assert b"<Say" in response.body
    assert await state_of(site, attempt) == "live"


@pytest.mark.parametrize("how", ["cancelled", "over", "not_sent", "no_room"])
async def test_a_call_that_should_not_exist_is_hung_up(site: Site, how: str) -> None:
    attempt = await one_call(site)
    if how == "cancelled":
        await site.post(f"/api/outbound_calls/jobs/{attempt.run_id}/cancel", {"hang_up": True})
    elif how == "over":
        await site.post_callback(attempt, "completed")
    elif how == "not_sent":
        await site.database.record(attempt, AttemptState.NOT_SENT, reason="gate")
    else:
        await not_placed(site, attempt)
        # Another lead is on this line now.
        await site.database.claim(site.business)
        await site.database.pool.execute("UPDATE dialer.lanes SET max_calls = 1, cap = greatest(1, cardinality(inflight))")
    response = await site.post_callback(attempt, "in-progress", path="twiml")
    assert response.status == 200
    assert b"<Hangup" in response.body
    assert b"<Say" not in response.body


async def not_placed(site: Site, attempt: ClaimedAttempt) -> None:
    await site.database.record(attempt, AttemptState.UNKNOWN, reason="time-out")
    await site.database.record(attempt, AttemptState.NOT_PLACED, by_person=True)


async def test_an_answered_call_recorded_as_not_placed_is_greeted(site: Site) -> None:
    attempt = await one_call(site)
    await not_placed(site, attempt)
    response = await site.post_callback(attempt, "in-progress", path="twiml")
    assert (response.status, b"<Say" in response.body) == (200, True)
    assert await state_of(site, attempt) == "live"
    await site.post_callback(attempt, "completed")
    run = await site.database.checked_run(site.business, attempt.run_id)
    assert (run.completed, run.in_progress) == (1, 0)


async def test_a_second_call_of_an_attempt_is_not_greeted(site: Site) -> None:
    attempt = await one_call(site)
    await site.post_callback(attempt, "in-progress")
    response = await site.post_callback(attempt, "in-progress", path="twiml", CallSid="CA" + "f" * 32)
    assert (response.status, b"<Say" in response.body) == (200, False)


async def test_a_business_s_own_account_signs_for_itself(site: Site) -> None:
    attempt = await one_call(site)
    own = "AC" + "7" * 32
    await site.database.pool.execute("UPDATE dialer.attempts SET account_sid = $2 WHERE business_id = $1", site.business, own)
    assert (await site.post_callback(attempt, "completed")).status == 403, "the account that placed it is not known any more"
    await site.database.own_account(site.business, own, "their own token")
    assert (await site.post_callback(attempt, "completed")).status == 403
    assert (await site.post_callback(attempt, "completed", auth_token="their own token")).status == 204


async def test_each_token_of_the_settings_verifies(database_url: str, redis_url: str, database: DatabaseFixture) -> None:
    """While a token is rotated, Twilio signs with the old one until the new one is promoted."""
    async with serving(database_url, redis_url, database, TWILIO_AUTH_TOKEN=f"new,{AUTH_TOKEN}") as site:
        attempt = await one_call(site)
        statuses = [(await site.post_callback(attempt, "ringing", auth_token=token)).status for token in ("new", AUTH_TOKEN, "other")]
        assert statuses == [204, 204, 403]


async def test_nothing_is_lost_without_redis(site_without_redis: Site) -> None:
    attempt = await one_call(site_without_redis)
    assert (await site_without_redis.post_callback(attempt, "completed")).status == 204
    assert (await site_without_redis.database.checked_run(site_without_redis.business, attempt.run_id)).status == "completed"


async def test_signed_callbacks_are_kept_while_postgresql_is_unavailable(
    postgres: Postgres, database_url: str, redis_url: str, database: DatabaseFixture
) -> None:
    async with serving(database_url, redis_url, database) as site:
        attempt = await one_call(site)
        await postgres.stop()
        assert (await site.post_callback(attempt, "completed", CallDuration="7")).status == 204
        greeted = await site.post_callback(attempt, "in-progress", path="twiml")
        # Its run may have been cancelled; without PostgreSQL that is unknown.
        assert (greeted.status, b"<Say" in greeted.body) == (200, False)
        assert (await site.post_callback(attempt, "completed", auth_token="another")).status == 403
        foreign = await site.post_callback(attempt, "completed", AccountSid="AC" + "9" * 32)
        assert (foreign.status, foreign.code) == (503, "database_away")
        assert int(foreign.headers["Retry-After"]) > 0
        assert (await site.get(RUNS)).status == 503
        assert (await site.get("/readyz")).status == 503
        await postgres.start()

        async def over() -> bool:
            return (await site.get("/readyz")).status == 200 and await state_of(site, attempt) == "over"

        await until(over, 10, "the call is over")
        assert (await site.database.checked_run(site.business, attempt.run_id)).completed == 1


async def test_a_recording_that_is_reported_while_postgresql_is_unavailable_is_stored_later(
    postgres: Postgres, database_url: str, redis_url: str, database: DatabaseFixture
) -> None:
    async with serving(database_url, redis_url, database) as site:
        attempt = await one_call(site)
        path = f"/callbacks/{Reference(attempt.business_id, attempt.attempt_id, attempt.nonce)}/recording"
        sid, url = "RE" + "1" * 32, "https://api.twilio.com/2010-04-01/Accounts/AC/Recordings/RE"
        form = {"AccountSid": ACCOUNT, "RecordingSid": sid, "RecordingUrl": url, "RecordingStatus": "completed"}
        await postgres.stop()
        assert (await site.sign_and_post(path, form)).status == 204
        assert (await site.sign_and_post(path, form, auth_token="another")).status == 403
        assert (await site.sign_and_post(path, {**form, "RecordingUrl": "x"})).status == 400
        assert (await site.sign_and_post(path, {**form, "AccountSid": "AC" + "9" * 32})).status == 503
        await postgres.start()

        async def stored() -> bool:
            return (await site.get("/readyz")).status == 200 and await recordings(site) == [sid]

        await until(stored, 20, "the recording is stored")


async def test_without_postgresql_and_redis_twilio_is_asked_to_retry(
    postgres: Postgres, database_url: str, database: DatabaseFixture
) -> None:
    async with serving(database_url, NO_REDIS, database) as site:
        attempt = await one_call(site)
        await postgres.stop()
        response = await site.post_callback(attempt, "completed")
        assert (response.status, response.code) == (503, "database_away")
        await postgres.start()
        assert (await site.post_callback(attempt, "completed")).status == 204
        assert await state_of(site, attempt) == "over"
