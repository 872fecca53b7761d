"""What people hear who answer: the script of the run or the business, in whose words, and what a pressed key does."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from dialer.model import Reference
from tests.chaos.polling import until
from tests.web_site import ACCOUNT, PUBLIC, RUNS, callback, serving

if TYPE_CHECKING:
    from ringmaster.local.postgres import Postgres
    from sql.attempts.attempts import ClaimedAttempt
    from tests.rows import DatabaseFixture
    from tests.web_site import Response, Site

HEBREW: dict[str, Any] = {"say": "שלום {name}, יש לך תור ב-{city}", "language": "he-IL"}
LEADS = [
    {"lead_id": 1, "phone": "+972500000001", "name": "דנה", "variables": {"City": "חיפה <b>"}},
    {"lead_id": 2, "phone": "+972500000002", "name": "דוד"},
    {"lead_id": 3, "phone": "+972500000003", "name": "רות", "variables": {"city": "אילת"}},
]


async def create(site: Site, leads: list[dict[str, Any]] | None = None, **settings: Any) -> Response:  # noqa: ANN401
    return await site.post(RUNS, {"leads": LEADS if leads is None else leads, "start": True, **settings})


async def calls(site: Site, **settings: Any) -> dict[str, ClaimedAttempt]:  # noqa: ANN401
    """The calls of a run of LEADS, by their phones."""
    response = await create(site, **settings)
    assert response.status == 201, response.body
    attempts, _ = await site.database.claim(site.business)
    return {attempt.phone: attempt for attempt in attempts}


async def ask(site: Site, attempt: ClaimedAttempt, path: str = "", **fields: str) -> Response:
    reference = Reference(attempt.business_id, attempt.attempt_id, attempt.nonce)
    return await site.sign_and_post(f"/twiml/{reference}{path}", callback(attempt, "in-progress", **fields))


async def heard(site: Site, attempt: ClaimedAttempt, path: str = "", **fields: str) -> list[ET.Element]:
    response = await ask(site, attempt, path, **fields)
    assert response.status == 200, response.body
    return list(ET.fromstring(response.body))  # noqa: S314 - our own document


async def patch(site: Site, **changes: Any) -> Response:  # noqa: ANN401
    return await site.request("PATCH", "/api/business", token="admin", json=changes)


# As the script with the key 9 says.
PRESSED = "/pressed?do_not_call=9"


async def listed(site: Site) -> list[str]:
    return [entry["phone"] for entry in (await site.get("/api/outbound/do-not-call")).json["items"]]


async def test_each_lead_hears_its_own_words(site: Site) -> None:
    response = await create(site, script=HEBREW)
    assert response.status == 201, response.body
    assert [(row["row"], row["lead_id"], row["reason"]) for row in response.json["rejected"]] == [(2, 2, "missing_variable")]
    attempts, _ = await site.database.claim(site.business)
    texts = {attempt.phone: (await heard(site, attempt))[0].text for attempt in attempts}
    assert texts == {"+972500000001": "שלום דנה, יש לך תור ב-חיפה <b>", "+972500000003": "שלום רות, יש לך תור ב-אילת"}
    run = (await site.get(f"{RUNS}/{response.json['run_id']}")).json
    assert (run["settings"]["script"], run["effective_settings"]["script"]) == (HEBREW, HEBREW)


async def test_a_variable_that_no_lead_has_is_refused(site: Site) -> None:
    script = {"say": "{name}, {doctor}", "language": "en-US"}
    response = await create(site, script=script)
    assert (response.status, response.json["details"]) == (422, [{"field": "script", "message": "needs {doctor}, which no lead has"}])
    preflight = await site.post(f"{RUNS}/preflight", {"leads": LEADS, "script": script})
    assert preflight.status == 422
    assert (await site.get(RUNS)).json["items"] == []


async def test_the_script_of_the_business_holds_for_runs_without_their_own(site: Site) -> None:
    own = {"say": "בוקר טוב {name}", "language": "he-IL"}
    assert (await site.request("PATCH", "/api/business", token="admin", json={"script": own})).json["script"] == own
    by_phone = await calls(site)
    [say, end] = await heard(site, by_phone["+972500000002"])
    assert (say.text, end.tag) == ("בוקר טוב דוד", "Hangup")
    assert (await site.request("PATCH", "/api/business", token="admin", json={"script": None})).json["script"] is None
    [say, _] = await heard(site, by_phone["+972500000001"])
    assert say.attrib["language"] == "he-IL", "the greeting, in the language of the country"


async def test_added_leads_need_the_variables_of_the_run(site: Site) -> None:
    run_id = (await create(site, script=HEBREW)).json["run_id"]
    more = [
        {"lead_id": 4, "phone": "+972500000004", "name": "גיל"},
        {"lead_id": 5, "phone": "+972500000005", "name": "נעה", "variables": {"city": "לוד"}},
    ]
    added = await site.post(f"{RUNS}/{run_id}/leads", {"leads": more})
    assert (added.json["accepted"], [row["lead_id"] for row in added.json["rejected"]]) == (1, [4])


async def test_leads_that_are_called_again_keep_their_variables(site: Site) -> None:
    by_phone = await calls(site, script=HEBREW)
    for attempt in by_phone.values():
        await site.post_callback(attempt, "busy")
    run_id = next(iter(by_phone.values())).run_id
    unknown = {"outcomes": ["busy"], "start": True, "script": {"say": "{doctor}", "language": "he-IL"}}
    response = await site.post(f"{RUNS}/{run_id}/again", unknown)
    assert (response.status, response.json["details"][0]["field"]) == (422, "script")
    again = await site.post(f"{RUNS}/{run_id}/again", {"outcomes": ["busy"], "start": True, "script": HEBREW})
    assert again.status == 201, again.body
    attempts, _ = await site.database.claim(site.business)
    texts = {attempt.phone: (await heard(site, attempt))[0].text for attempt in attempts}
    assert texts == {"+972500000001": "שלום דנה, יש לך תור ב-חיפה <b>", "+972500000003": "שלום רות, יש לך תור ב-אילת"}


async def test_leads_that_are_called_again_need_a_value_that_can_be_said(site: Site) -> None:
    leads = [
        {"lead_id": n, "phone": f"+97250000000{n}", "variables": {"Flag": flag, "First-Name": "דנה", "age": 30}}
        for n, flag in enumerate((True, " ", None, ["x"]), start=1)
    ]
    by_phone = await calls(site, leads=leads)
    for attempt in by_phone.values():
        await site.post_callback(attempt, "busy")
    run_id = next(iter(by_phone.values())).run_id
    for text, expected in (("{flag}", 422), ("{Name}", 422), ("{first name}, {AGE}", 201)):
        script = {"say": text, "language": "he-IL"}
        assert (await create(site, leads, script=script)).status == expected
        again = await site.post(f"{RUNS}/{run_id}/again", {"outcomes": ["busy"], "script": script})
        assert again.status == expected, again.body


async def test_a_key_puts_the_number_on_the_do_not_call_list(site: Site) -> None:
    script = {**HEBREW, "say": "לחצו 9 להסרה", "keypress": {"9": "do_not_call"}}
    by_phone = await calls(site, script=script)
    attempt = by_phone["+972500000001"]
    [gather, _] = await heard(site, attempt)
    assert (
        gather.attrib["action"]
        == f"{PUBLIC}/twiml/{Reference(attempt.business_id, attempt.attempt_id, attempt.nonce)}/pressed?do_not_call=9"
    )
    [again, _] = await heard(site, attempt, PRESSED, Digits="5")
    assert (again.tag, await listed(site)) == ("Gather", []), "another key: the message again"
    for _ in range(2):
        [say, end] = await heard(site, attempt, PRESSED, Digits="9")
        assert ("הוסר" in (say.text or ""), end.tag) == (True, "Hangup")
    assert await listed(site) == ["+972500000001"]
    entries = await site.database.pool.fetch("SELECT actor, detail FROM dialer.audit_log WHERE action = 'do_not_call.add'")
    assert [(row["actor"], row["detail"]["added"]) for row in entries] == [("keypress", 1)]
    await site.request("DELETE", "/api/outbound/do-not-call", json={"phones": ["+972500000001"]})
    await heard(site, attempt, PRESSED, Digits="9")
    assert await listed(site) == ["+972500000001"], "it is what the person was told"


async def test_a_key_does_what_the_person_was_told_although_the_script_has_changed(site: Site) -> None:
    script = {"say": "9", "language": "he-IL", "keypress": {"9": "do_not_call"}}
    await site.request("PATCH", "/api/business", token="admin", json={"script": script})
    attempt = (await calls(site))["+972500000001"]
    [gather, _] = await heard(site, attempt)
    await site.request("PATCH", "/api/business", token="admin", json={"script": HEBREW})
    await heard(
        site, attempt, gather.attrib["action"].partition("/pressed")[1] + "?" + gather.attrib["action"].partition("?")[2], Digits="9"
    )
    assert await listed(site) == ["+972500000001"]


async def test_a_key_counts_although_all_connections_are_in_use(site: Site) -> None:
    attempt = (await calls(site, script={**HEBREW, "say": "9", "keypress": {"9": "do_not_call"}}))["+972500000001"]
    async with asyncio.timeout(30), site.database.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM dialer.lanes WHERE business_id = $1 FOR UPDATE", site.business)
        assert [verb.tag for verb in await heard(site, attempt, PRESSED, Digits="9")] == ["Hangup"], "it is kept"
    await until(lambda: counted(site), 30, "the number is listed")


async def test_a_key_counts_although_the_call_is_to_be_ended(site: Site) -> None:
    by_phone = await calls(site, script={**HEBREW, "say": "9", "keypress": {"9": "do_not_call"}})
    attempt = by_phone["+972500000001"]
    await site.post(f"/api/outbound_calls/jobs/{attempt.run_id}/cancel", {"hang_up": True})
    assert [verb.tag for verb in await heard(site, attempt, PRESSED, Digits="1")] == ["Hangup"]
    assert [verb.tag for verb in await heard(site, attempt, PRESSED, Digits="9")] == ["Say", "Hangup"]
    assert await listed(site) == ["+972500000001"]


async def counted(site: Site) -> bool:
    return (await site.get("/readyz")).status == 200 and await listed(site) == ["+972500000001"]


async def test_a_key_that_is_pressed_while_postgresql_is_unavailable_counts_later(
    postgres: Postgres, database_url: str, redis_url: str, database: DatabaseFixture
) -> None:
    async with serving(database_url, redis_url, database) as site:
        by_phone = await calls(site, script={**HEBREW, "say": "9", "keypress": {"9": "do_not_call"}})
        attempt = by_phone["+972500000001"]
        await postgres.stop()
        assert [verb.tag for verb in await heard(site, attempt, PRESSED, Digits="9")] == ["Hangup"]
        await postgres.start()
        await until(lambda: counted(site), 20, "the number is listed")


async def test_what_people_hear_when_no_agent_picks_up(site: Site) -> None:
    by_phone = await calls(site, script={"dial": "+97239999999"})
    attempt = by_phone["+972500000001"]
    [dial] = await heard(site, attempt)
    assert (dial.tag, dial.attrib["callerId"], dial[0].text) == ("Dial", "+972501110000", "+97239999999")
    assert [verb.tag for verb in await heard(site, attempt, "/dialled", DialCallStatus="completed")] == ["Hangup"]
    [say, _] = await heard(site, attempt, "/dialled", DialCallStatus="no-answer")
    assert (say.attrib["language"], "נציג" in (say.text or "")) == ("he-IL", True)


WRONG_NUMBERS = [
    ({"dial": "+972900123456"}, "script.dial"),  # premium
    ({"dial": "+870773111632"}, "script.dial"),  # satellite
    ({"dial": "+9721234567"}, "script.dial"),  # impossible
    ({"dial": "+9720501112233"}, "script.dial"),  # with its trunk prefix
    ({"dial": "+442079460000"}, "script.dial"),  # of a country that is not called
    ({"dial": "sip:agent@example.com", "caller_id": "+12025550199"}, "script.caller_id"),
]


@pytest.mark.parametrize(("script", "field"), WRONG_NUMBERS)
async def test_an_agent_is_called_by_the_rules_of_the_business(site: Site, script: dict[str, Any], field: str) -> None:
    assert (await patch(site, allowed_countries=["IL", "US"])).status == 200
    run_id = (await create(site)).json["run_id"]
    body = {"leads": LEADS, "script": script}
    refused = [await site.post(path, body) for path in (RUNS, f"{RUNS}/preview", f"{RUNS}/preflight")]
    refused.append(await site.post(f"{RUNS}/{run_id}/again", {"outcomes": ["busy"], "script": script}))
    refused.append(await site.post(f"{RUNS}/test-call", {**body, "phone": "+972500000001"}))
    refused.append(await patch(site, script=script))
    assert [(response.status, response.json["details"][0]["field"]) for response in refused] == [(422, field)] * 6


async def test_the_script_of_a_business_must_fit_what_it_changes(site: Site) -> None:
    script = {"dial": "+97231234567", "caller_id": "+972501110000"}
    assert (await patch(site, script={**script, "caller_id": "+972501119999"})).status == 422
    both = await patch(site, script=script, allowed_countries=["IL"])
    assert (both.status, both.json["script"]) == (200, script)
    for changes, field in (({"caller_ids": ["050-111-9999"]}, "script.caller_id"), ({"allowed_countries": ["US"]}, "script.dial")):
        refused = await patch(site, **changes)
        assert (refused.status, refused.json["details"][0]["field"]) == (422, field)
    assert (await patch(site, caller_ids=["050-111-9999"], script={**script, "caller_id": "+972501119999"})).status == 200
    assert (await create(site, script={"dial": "+97231234567", "caller_id": "+972501119999"})).status == 201
    assert (await patch(site, allowed_countries=["US"], script=None)).status == 200


async def test_what_is_not_signed_presses_no_key(site: Site) -> None:
    by_phone = await calls(site, script={**HEBREW, "say": "9", "keypress": {"9": "do_not_call"}})
    attempt = by_phone["+972500000001"]
    reference = Reference(attempt.business_id, attempt.attempt_id, attempt.nonce)
    form = callback(attempt, "in-progress", Digits="9")
    assert (await site.sign_and_post(f"/twiml/{reference}{PRESSED}", form, auth_token="another")).status == 403
    assert await listed(site) == []


async def test_an_answering_machine_is_told_what_the_run_wants(site: Site) -> None:
    message = {"on_machine": "leave_message", "machine_message": "הודעה ל{name}", "machine_detection": "DetectMessageEnd"}
    for settings, expected in (
        ({"machine_detection": "Enable"}, ["Hangup"]),
        ({"machine_detection": "Enable", "on_machine": "continue"}, ["Say", "Hangup"]),
        (message, ["Say", "Hangup"]),
        ({}, ["Say", "Hangup"]),
    ):
        by_phone = await calls(site, script={**HEBREW, "say": "שלום"}, **settings)
        attempt = by_phone["+972500000001"]
        verbs = await heard(site, attempt, AnsweredBy="machine_end_beep")
        assert [verb.tag for verb in verbs] == expected
        assert settings is not message or verbs[0].text == "הודעה לדנה"
        assert [verb.tag for verb in await heard(site, attempt, AnsweredBy="human")] == ["Say", "Hangup"]
        for each in by_phone.values():
            await site.post_callback(each, "completed")


async def test_settings_for_machines_must_go_together(site: Site) -> None:
    detect = {"machine_detection": "DetectMessageEnd"}
    for settings, field in (
        ({"on_machine": "continue"}, "on_machine"),
        ({"on_machine": "leave_message", "machine_detection": "Enable", "machine_message": "x"}, "machine_detection"),
        ({**detect, "on_machine": "leave_message"}, "machine_message"),
        ({**detect, "machine_message": "x"}, "machine_message"),
        ({**detect, "on_machine": "leave_message", "machine_message": "{"}, "machine_message"),
        ({"script": {"say": "x"}}, "script"),
        ({"script": {"play": "ftp://x"}}, "script.play"),
    ):
        response = await create(site, **settings)
        assert (response.status, response.json["details"][0]["field"]) == (422, field)


async def test_variables_are_deleted_with_their_run(site: Site) -> None:
    by_phone = await calls(site, script=HEBREW)
    for attempt in by_phone.values():
        await site.post_callback(attempt, "completed")
    run_id = next(iter(by_phone.values())).run_id
    count = "SELECT count(*) FROM dialer.lead_variables WHERE business_id = $1"
    assert await site.database.pool.fetchval(count, site.business) == 2
    await site.database.runs.delete_part(site.business, run_id, 100)
    assert await site.database.pool.fetchval(count, site.business) == 0


async def test_a_preview_is_what_that_lead_would_hear(site: Site) -> None:
    body = {"leads": LEADS, "script": HEBREW}
    for row, text in ((3, "שלום רות, יש לך תור ב-אילת"), (None, "שלום דנה, יש לך תור ב-חיפה <b>")):
        response = await site.post(f"{RUNS}/preview", {**body, **({"row": row} if row else {})})
        assert (response.status, response.headers["Content-Type"].split(";")[0]) == (200, "text/xml"), response.body
        assert ET.fromstring(response.body)[0].text == text  # noqa: S314 - our own document
    for row, why in ((2, "row 2: "), (4, "in a CSV file the header is row 1")):
        refused = await site.post(f"{RUNS}/preview", {**body, "row": row})
        assert (refused.status, refused.json["details"][0]["field"], why in refused.json["details"][0]["message"]) == (422, "row", True)
    table = "lead_id,phone,name,city\n1,0500000001,דנה,חיפה\n"
    settings = {"script": json.dumps(HEBREW), "row": "2"}
    by_file = await site.request("POST", f"{RUNS}/preview", data=table.encode(), headers={"Content-Type": "text/csv"}, params=settings)
    assert ET.fromstring(by_file.body)[0].text == "שלום דנה, יש לך תור ב-חיפה"  # noqa: S314 - our own document
    assert (await site.post(RUNS, {**body, "row": 1})).status == 422, "a run has no row"
    assert (await site.get(RUNS)).json["items"] == []


async def test_a_recording_is_kept_with_its_call(site: Site) -> None:
    by_phone = await calls(site, script={**HEBREW, "say": "השיחה מוקלטת"}, record=True)
    attempt = by_phone["+972500000001"]
    assert attempt.record
    path = f"/callbacks/{Reference(attempt.business_id, attempt.attempt_id, attempt.nonce)}/recording"
    sid, url = "RE" + "1" * 32, "https://api.twilio.com/2010-04-01/Accounts/AC/Recordings/RE"
    form = {"RecordingSid": sid, "RecordingUrl": url, "RecordingStatus": "completed", "RecordingDuration": "12", "CallSid": "CA1"}
    assert (await site.sign_and_post(path, form, auth_token="another")).status == 403
    assert (await site.sign_and_post(path, {**form, "RecordingUrl": "javascript:alert(1)"})).status == 400
    assert (await site.sign_and_post(path, {"RecordingStatus": "absent"})).status == 204
    for _ in range(2):
        assert (await site.sign_and_post(path, form)).status == 204
    [shown] = (await site.get(f"{RUNS}/{attempt.run_id}/jobs/{attempt.job_id}")).json["attempts"]
    assert shown["recordings"] == [{"recording_sid": sid, "url": url, "duration_seconds": 12}]
    for each in by_phone.values():
        await site.post_callback(each, "completed")
    await site.database.runs.delete_part(site.business, attempt.run_id, 100)
    assert await site.database.pool.fetchval("SELECT count(*) FROM dialer.recordings") == 0


async def test_preflight_says_that_the_script_must_announce_a_recording(site: Site) -> None:
    for record in (False, True):
        found = await site.post(f"{RUNS}/preflight", {"leads": LEADS, "record": record})
        assert ("recording" in [warning["code"] for warning in found.json["warnings"]]) is record


async def test_texts_that_nobody_could_hear(site: Site) -> None:
    for script, field in (
        ({"say": "a\x00b", "language": "he-IL"}, "script.say"),
        ({"say": "\u200f\x01", "language": "he-IL"}, "script.say"),
        ({"stream": "wss://example.com", "parameters": {"a": "\x00"}}, "script.parameters.a"),
    ):
        assert (await create(site, script=script)).json["details"][0]["field"] == field
        patched = await site.request("PATCH", "/api/business", token="admin", json={"script": script})
        assert (patched.status, patched.json["details"][0]["field"]) == (422, field)
    attempt = next(iter((await calls(site, script={"say": "{name}", "language": "he"})).values()))
    await site.database.pool.execute("UPDATE outbound_call_jobs SET lead_name = '\u200f' WHERE run_id = $1", attempt.run_id)
    [say, _] = await heard(site, attempt)
    assert (say.attrib["language"], "שיחה אוטומטית" in (say.text or "")) == ("he-IL", True), "the greeting, rather than nothing"


async def test_a_bad_variable_costs_its_own_row(site: Site) -> None:
    rows = [*LEADS, {"lead_id": 9, "phone": "+972500000009", "name": "x", "variables": {"x": float("inf")}}]
    body = json.dumps({"leads": rows}).replace("Infinity", "1e999").encode()
    response = await site.request("POST", RUNS, data=body, headers={"Content-Type": "application/json"})
    assert (response.status, [row["reason"] for row in response.json["rejected"]]) == (201, ["invalid_variables"])
    only = [{"lead_id": 1, "phone": "123", "name": "A"}]
    unreadable = await create(site, leads=only, script={"say": "{name}", "language": "he-IL"})
    assert (unreadable.status, unreadable.code, unreadable.json["details"][0]["reason"]) == (422, "no_leads", "short_number")
    run_id = (await create(site, script=HEBREW)).json["run_id"]
    added = await site.post(f"{RUNS}/{run_id}/leads", {"leads": [{"lead_id": 7, "phone": "+972500000007", "name": "x"}]})
    assert (added.status, added.code, added.json["details"][0]["reason"]) == (422, "no_leads", "missing_variable")
    detect: dict[str, Any] = {"machine_detection": "DetectMessageEnd", "on_machine": "leave_message", "machine_message": "{nope}"}
    assert (await create(site, **detect)).json["details"][0]["field"] == "machine_message"


async def test_what_those_hear_who_call_back(site: Site) -> None:
    form = {"CallSid": "CA" + "1" * 32, "AccountSid": ACCOUNT, "From": "+972501234567", "To": "+972501110000", "CallStatus": "ringing"}

    async def call(path: str = "/twiml/inbound", **fields: str) -> list[ET.Element]:
        response = await site.sign_and_post(path, {**form, **fields})
        assert response.status == 200, response.body
        return list(ET.fromstring(response.body))  # noqa: S314 - our own document

    assert (await site.sign_and_post("/twiml/inbound", form, auth_token="another")).status == 403
    assert [verb.attrib.get("language") for verb in await call()] == ["he-IL", None]
    assert (await call(To="+97239999999"))[0].attrib["language"] == "en-US", "a number that is not known here"
    own = {"dial": "+97239999999"}
    await site.request("PATCH", "/api/business", token="admin", json={"inbound_script": own})
    [dial] = await call()
    assert (dial.attrib["action"], dial.attrib["callerId"], dial[0].text) == (
        f"{PUBLIC}/twiml/inbound/dialled",
        "+972501110000",
        "+97239999999",
    )
    assert [verb.tag for verb in await call("/twiml/inbound/dialled", DialCallStatus="busy")] == ["Say", "Hangup"]
    assert [verb.tag for verb in await call("/twiml/inbound/dialled", DialCallStatus="completed")] == ["Hangup"]
    # As the command line allows.
    await site.database.pool.execute(
        "UPDATE dialer.businesses SET caller_ids = (SELECT b.caller_ids FROM dialer.businesses b WHERE b.business_id = $1)", site.business
    )
    assert [verb.tag for verb in await call()] == ["Say", "Hangup"], "two businesses call from this number"
