"""Twilio's callbacks: signed ones are believed once, whatever their order; others change nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dialer.messages import CallChanged
from dialer.model import AttemptState, Reference
from dialer.sealing import Seal
from dialer.streams.client import NOWHERE, Streams
from tests.web_site import NO_REDIS, RUNS, callback, serving

if TYPE_CHECKING:
    from ringmaster.local.postgres import Postgres
    from sql.attempts.attempts import ClaimedAttempt
    from tests.rows import DatabaseFixture
    from tests.web_site import Site


async def one_call(site: Site, count: int = 1) -> ClaimedAttempt:
    await site.load(count)
    intents, _ = await site.shop.claim(site.business)
    return intents[0]


async def state_of(site: Site, intent: ClaimedAttempt) -> str:
    state: str = await site.shop.pool.fetchval("SELECT state FROM dialer.attempts WHERE id = $1", intent.attempt_id)
    return state


async def received(site: Site) -> int:
    count: int = await site.shop.pool.fetchval("SELECT count(*) FROM dialer.callbacks")
    return count


async def test_a_call_from_ring_to_end(site: Site) -> None:
    intent = await one_call(site)
    for n, (status, state) in enumerate(
        (("initiated", "placed"), ("ringing", "ringing"), ("in-progress", "live"), ("completed", "over")),
    ):
        said = await site.call_back(intent, status, SequenceNumber=str(n), CallDuration="9")
        assert (said.status, said.body) == (204, b"")
        assert await state_of(site, intent) == state
    run = await site.shop.checked_run(site.business, intent.run_id)
    assert (run.status, run.completed) == ("completed", 1)
    assert await site.shop.inflight(site.business) == []


async def test_twice_and_out_of_order_changes_nothing_more(site: Site) -> None:
    intent = await one_call(site)
    for status in ("ringing", "completed", "completed", "initiated", "in-progress", "completed"):
        assert (await site.call_back(intent, status)).status == 204
    run = await site.shop.checked_run(site.business, intent.run_id)
    assert (run.completed, run.in_progress, run.status) == (1, 0, "completed")
    assert await received(site) == 4, "the same callback again is the same row"


async def test_many_at_once_settle_once(site: Site) -> None:
    intent = await one_call(site)
    said = await asyncio.gather(*(site.call_back(intent, status) for status in ["ringing", "completed"] * 10))
    assert {answer.status for answer in said} == {204}
    assert (await site.shop.checked_run(site.business, intent.run_id)).completed == 1


async def test_unsigned_and_wrongly_signed_ones_change_nothing(site: Site) -> None:
    intent = await one_call(site)
    reference = Reference(intent.business_id, intent.attempt_id, intent.nonce)
    form = callback(intent, "completed")
    bodies = set()
    for path in (f"/callbacks/{reference}", f"/twiml/{reference}", "/callbacks/1-1-" + "0" * 32, "/callbacks/nonsense", "/twiml/1-2-3-4"):
        for said in (
            await site.ask("POST", path, token=None, data=form),
            await site.ask("POST", path, token=None, data=form, headers={"X-Twilio-Signature": "AAAA"}),
            await site.ask("POST", path, token=None, data=b"\xff\x00", headers={"X-Twilio-Signature": "AAAA"}),
            await site.sign_and_post(path, form, auth_token="another account's"),
        ):
            assert said.status == 403
            bodies.add(said.body)
    assert len(bodies) == 1
    signed_for_another_path = await site.call_back(intent, "completed", path="twiml/../callbacks")
    assert signed_for_another_path.status == 403
    assert await state_of(site, intent) == "placing"
    assert await received(site) == 0


async def test_a_signed_one_of_an_unknown_reference_is_404(site: Site) -> None:
    intent = await one_call(site)
    for reference in (
        f"{intent.business_id}-{intent.attempt_id}-{'0' * 32}",
        f"{site.rival}-{intent.attempt_id}-{intent.nonce}",
        "nonsense",
    ):
        said = await site.sign_and_post(f"/callbacks/{reference}", callback(intent, "completed"))
        assert (said.status, said.code) == (404, "not_found")
    assert await state_of(site, intent) == "placing"


@pytest.mark.parametrize("fields", [{"CallStatus": "exploded"}, {"CallSid": "CA1"}, {"CallDuration": "-1"}, {"SequenceNumber": "first"}])
async def test_a_signed_one_that_makes_no_sense_is_400(site: Site, fields: dict[str, str]) -> None:
    intent = await one_call(site)
    reference = Reference(intent.business_id, intent.attempt_id, intent.nonce)
    said = await site.sign_and_post(f"/callbacks/{reference}", callback(intent, "completed") | fields)
    assert (said.status, said.code) == (400, "bad_request")
    assert await state_of(site, intent) == "placing"


async def test_the_owner_is_told(site: Site, redis_url: str) -> None:
    intent = await one_call(site)
    await site.call_back(intent, "completed")
    partition = await site.shop.partition(site.business)
    streams = Streams(redis_url)
    words = [word for _, _, word in await streams.hints_after({partition: NOWHERE}, block_seconds=1)]
    await streams.close()
    assert [word for word in words if isinstance(word, CallChanged)] == [
        CallChanged(site.business, intent.run_id, intent.job_id, intent.attempt_id, "over", f"CA{intent.attempt_id:032x}")
    ]


async def test_an_answered_call_is_greeted(site: Site) -> None:
    intent = await one_call(site)
    said = await site.call_back(intent, "in-progress", path="twiml")
    assert (said.status, said.headers["Content-Type"].split(";")[0]) == (200, "text/xml")
    assert b"<Say" in said.body
    assert await state_of(site, intent) == "live"


@pytest.mark.parametrize("how", ["cancelled", "over", "not_sent", "no_room"])
async def test_a_call_nobody_should_have_is_hung_up(site: Site, how: str) -> None:
    intent = await one_call(site)
    if how == "cancelled":
        await site.post(f"/api/outbound_calls/jobs/{intent.run_id}/cancel", {"hang_up": True})
    elif how == "over":
        await site.call_back(intent, "completed")
    elif how == "not_sent":
        await site.shop.record(intent, AttemptState.NOT_SENT, reason="gate")
    else:
        await not_placed(site, intent)
        # Somebody else is called on this line by now.
        await site.shop.claim(site.business)
        await site.shop.pool.execute("UPDATE dialer.lanes SET max_calls = 1, cap = greatest(1, cardinality(inflight))")
    said = await site.call_back(intent, "in-progress", path="twiml")
    assert said.status == 200
    assert b"<Hangup" in said.body
    assert b"<Say" not in said.body


async def not_placed(site: Site, intent: ClaimedAttempt) -> None:
    await site.shop.record(intent, AttemptState.UNKNOWN, reason="time-out")
    await site.shop.record(intent, AttemptState.NOT_PLACED, by_person=True)


async def test_a_call_believed_not_placed_that_is_answered_is_greeted(site: Site) -> None:
    intent = await one_call(site)
    await not_placed(site, intent)
    said = await site.call_back(intent, "in-progress", path="twiml")
    assert (said.status, b"<Say" in said.body) == (200, True)
    assert await state_of(site, intent) == "live"
    await site.call_back(intent, "completed")
    run = await site.shop.checked_run(site.business, intent.run_id)
    assert (run.completed, run.in_progress) == (1, 0)


async def test_a_second_call_of_an_attempt_is_not_greeted(site: Site) -> None:
    intent = await one_call(site)
    await site.call_back(intent, "in-progress")
    said = await site.call_back(intent, "in-progress", path="twiml", CallSid="CA" + "f" * 32)
    assert (said.status, b"<Say" in said.body) == (200, False)


async def test_a_business_s_own_account_signs_for_itself(site: Site) -> None:
    intent = await one_call(site)
    sealed = Seal("a secret of forty characters, for a test", "account").close(b"their own token")
    own = "AC" + "7" * 32
    await site.shop.pool.execute("UPDATE dialer.attempts SET account_sid = $2 WHERE business_id = $1", site.business, own)
    assert (await site.call_back(intent, "completed")).status == 403, "the account that placed it is not known any more"
    await site.shop.pool.execute(
        "UPDATE dialer.businesses SET account_sid = $2, auth_token_sealed = $3 WHERE business_id = $1", site.business, own, sealed
    )
    assert (await site.call_back(intent, "completed")).status == 403
    assert (await site.call_back(intent, "completed", auth_token="their own token")).status == 204


async def test_redis_away_loses_nothing(lonely_site: Site) -> None:
    intent = await one_call(lonely_site)
    assert (await lonely_site.call_back(intent, "completed")).status == 204
    assert (await lonely_site.shop.checked_run(lonely_site.business, intent.run_id)).status == "completed"


async def test_postgresql_away_keeps_what_is_signed_until_it_is_back(
    postgres: Postgres, database_url: str, redis_url: str, shop: DatabaseFixture
) -> None:
    async with serving(database_url, redis_url, shop) as site:
        intent = await one_call(site)
        await postgres.stop()
        assert (await site.call_back(intent, "completed", CallDuration="7")).status == 204
        greeted = await site.call_back(intent, "in-progress", path="twiml")
        # Its run may be cancelled by now, and nobody can tell.
        assert (greeted.status, b"<Say" in greeted.body) == (200, False)
        assert (await site.call_back(intent, "completed", auth_token="another")).status == 403
        foreign = await site.call_back(intent, "completed", AccountSid="AC" + "9" * 32)
        assert (foreign.status, foreign.code) == (503, "database_away")
        assert int(foreign.headers["Retry-After"]) > 0
        assert (await site.get(RUNS)).status == 503
        assert (await site.get("/readyz")).status == 503
        await postgres.start()
        async with asyncio.timeout(10):
            while await state_of(site, intent) != "over":
                assert (await site.get("/readyz")).status == 200
        assert (await site.shop.checked_run(site.business, intent.run_id)).completed == 1


async def test_both_away_asks_twilio_to_come_again(postgres: Postgres, database_url: str, shop: DatabaseFixture) -> None:
    async with serving(database_url, NO_REDIS, shop) as site:
        intent = await one_call(site)
        await postgres.stop()
        said = await site.call_back(intent, "completed")
        assert (said.status, said.code) == (503, "database_away")
        await postgres.start()
        assert (await site.call_back(intent, "completed")).status == 204
        assert await state_of(site, intent) == "over"
