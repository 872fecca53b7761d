"""The do-not-call list over HTTP: what is on it is called by no run from the moment of the answer on; registers are replaced at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dialer.model import AttemptState
from sql.attempts.verdicts import VerdictCode
from sql.do_not_call.do_not_call import ADDED_AT_ONCE, TEXT, DoNotCall, ListRequest
from tests.chaos import polling
from tests.web_site import leads

if TYPE_CHECKING:
    from sql.attempts.attempts import ClaimedAttempt
    from tests.web_site import Response, Site

LIST = "/api/outbound/do-not-call"
CSV = {"Content-Type": "text/csv"}
WAIT_SECONDS = 10.0
AUDITED = "SELECT action, actor, detail - 'id' AS detail FROM dialer.audit_log WHERE action LIKE 'do_not_call%' ORDER BY id"
A, B, C = "+972521234567", "+972521234568", "+97239123456"


async def upload(site: Site, text: str, query: str = "", **more: str) -> Response:
    return await site.request("POST", LIST + query, data=text.encode(), headers=CSV, **more)


async def listed(site: Site, query: str = "") -> list[tuple[str, str | None]]:
    return [(entry["phone"], entry["register"]) for entry in (await site.get(LIST + query)).json["items"]]


async def claimed_until_none(site: Site) -> list[ClaimedAttempt]:
    """The next leads; none once nothing is left that may be claimed at once."""
    while True:
        attempts, verdicts = await site.database.claim(site.business)
        if attempts or verdicts[site.business].code is not VerdictCode.AGAIN:
            return attempts


async def test_numbers_are_read_as_those_of_leads_are(site: Site) -> None:
    answer = await site.post(LIST, {"phones": ["052-1234567", "+972 52 123 4568", "100", 7, "0521234567", ""], "reason": "asked by mail"})
    assert answer.status == 200, answer.body
    assert (answer.json["added"], answer.json["already"], answer.json["in_progress"], answer.json["rejected_count"]) == (2, 1, 0, 3)
    rejected = [(row["row"], row["phone"], row["reason"]) for row in answer.json["rejected"]]
    assert rejected == [(3, "100", "emergency"), (4, "7", "not_text"), (6, "", "missing_phone")]
    assert answer.json["rejected"][0]["message"] == "Emergency numbers are never called."
    again = (await site.post(LIST, {"phones": [A]})).json
    assert (again["added"], again["already"]) == (0, 1)
    [first, second] = (await site.get(LIST, token="viewer")).json["items"]
    assert (first["phone"], first["register"], first["reason"]) == (A, None, "asked by mail")
    assert first["added_by"].startswith("token:")
    assert second["phone"] == B
    log = await site.database.pool.fetch(AUDITED)
    assert [(row["action"], row["detail"]) for row in log] == [
        ("do_not_call.add", {"added": 2, "rejected": 3}),
        ("do_not_call.add", {"added": 0, "rejected": 0}),
    ]


@pytest.mark.parametrize(
    ("text", "phones", "rejected"),
    [
        ("נייד\tסיבה\n052-1234567\tasked\n", [A], []),  # noqa: RUF001
        ("phone,reason,name\n052-1234567,asked,Dana\n03-9123456,,Moshe\n", [C, A], []),
        ("name;Phone\nDana;0521234567\nMoshe;x\n", [A], [(3, "invalid_phone")]),
        ("0521234567\n\n052-1234568\nfax\n", [A, B], [(4, "invalid_phone")]),
        ('phone\n"0521234567"\n0521234568,x\n"0391', [A], [(3, "wrong_columns"), (4, "bad_quotes")]),
    ],
)
async def test_a_file_has_a_header_or_one_column(site: Site, text: str, phones: list[str], rejected: list[tuple[int, str]]) -> None:
    answer = (await upload(site, text)).json
    assert [(row["row"], row["reason"]) for row in answer["rejected"]] == rejected
    assert await listed(site) == [(phone, None) for phone in phones]


async def test_what_is_wrong_is_named(site: Site) -> None:
    async def refused(status: int, field: str, response: Response) -> None:
        assert (response.status, [detail["field"] for detail in response.json.get("details", [])]) == (status, [field] if field else [])

    await refused(422, "phones", await site.post(LIST, {}))
    await refused(422, "phones", await site.post(LIST, {"phones": []}))
    await refused(422, "phones", await site.post(LIST, {"phones": A}))
    await refused(422, "why", await site.post(LIST, {"phones": [A], "why": "x"}))
    await refused(422, "reason", await site.post(LIST, {"phones": [A], "reason": "x" * 256}))
    await refused(422, "reason", await site.post(LIST, {"phones": [A], "reason": "\x00"}))
    await refused(422, "register", await site.post(f"{LIST}?register=", {"phones": [A]}))
    await refused(422, "phone", await upload(site, "name\nDana\n"))
    await refused(422, "", await upload(site, "phone\nDana\n", "?register=IL", token="admin"))
    await refused(415, "", await site.request("POST", LIST, data=b"x", headers={"Content-Type": "text/plain"}))
    await refused(422, "cursor", await site.get(f"{LIST}?cursor=x"))
    await refused(422, "search", await site.get(f"{LIST}?search=%00"))
    await refused(422, "phones.1", await site.request("DELETE", LIST, json={"phones": [A, "x"]}))
    await refused(404, "", await site.get(f"{LIST}.csv?register=IL"))
    assert await listed(site) == []


async def test_who_may_read_and_who_may_write(site: Site) -> None:
    body = {"phones": [A]}
    assert (await site.post(LIST, body, token="viewer")).status == 403
    assert (await site.post(LIST, body, token=None)).status == 401
    assert (await site.request("DELETE", LIST, json=body, token="viewer")).status == 403
    assert (await site.post(f"{LIST}?register=IL", body)).status == 403, "a register is replaced by an admin"
    assert (await site.post(LIST, {**body, "register": "IL"})).status == 403
    assert (await site.post(LIST, {**body, "register": "IL"}, token="admin")).status == 200
    await site.post(LIST, {"phones": ["+12125551234"]}, token="rival")
    assert await listed(site) == [(A, "IL")], "another business has its own list"
    assert (await site.get(f"{LIST}?search={A[1:]}", token="rival")).json["items"] == []


async def test_a_repeated_request_gets_the_first_answer(site: Site) -> None:
    key = {"Idempotency-Key": "k"}
    first = await site.post(LIST, {"phones": [A, "x"]}, headers=key)
    await site.request("DELETE", LIST, json={"phones": [A]})
    assert (await site.post(LIST, {"phones": [A, "x"]}, headers=key)).body == first.body
    assert await listed(site) == [], "the repeat adds nothing again"
    other = await site.post(LIST, {"phones": [B]}, headers=key)
    assert (other.status, other.code) == (409, "idempotency_conflict")
    assert await listed(site) == []


async def test_numbers_are_removed_unless_a_register_has_them(site: Site) -> None:
    await site.post(LIST, {"phones": [A, B]})
    await upload(site, f"phone\n{C}\n", "?register=IL", token="admin")
    refused = await site.request("DELETE", LIST, json={"phones": ["03-9123456", "052-1234567"]})
    assert (refused.status, refused.code, refused.json["details"]) == (409, "on_register", [{"phone": C, "register": "IL"}])
    assert refused.json["error"].startswith("Nothing was removed")
    removed = await site.request("DELETE", LIST, json={"phones": ["052-1234567", "+972521234567", "0521234569"]})
    assert removed.json == {"removed": 1, "missing": 1}
    assert await listed(site) == [(C, "IL"), (B, None)]
    log = await site.database.pool.fetch(AUDITED)
    assert (log[-1]["action"], log[-1]["detail"]) == ("do_not_call.remove", {"phones": [A]})


async def test_pages_in_both_directions_and_a_search(site: Site) -> None:
    numbers = [f"+9725212345{n:02}" for n in range(7)]
    await site.post(LIST, {"phones": numbers})
    await site.post(LIST, {"phones": numbers[3:4], "register": "IL"}, token="admin")
    path, seen, back = f"{LIST}?limit=3", [], []
    page = (await site.get(path)).json
    assert page["previous_cursor"] is None
    while page["next_cursor"]:
        seen.append([entry["phone"] for entry in page["items"]])
        page = (await site.get(f"{path}&cursor={page['next_cursor']}")).json
    seen.append([entry["phone"] for entry in page["items"]])
    assert sum(seen, []) == sorted([*numbers, numbers[3]])  # noqa: RUF017 - short
    while page["previous_cursor"]:
        page = (await site.get(f"{path}&cursor={page['previous_cursor']}")).json
        back.append([entry["phone"] for entry in page["items"]])
    assert back == seen[-2::-1]
    assert await listed(site, "?search=052-1234503") == [(numbers[3], None), (numbers[3], "IL")]
    assert await listed(site, "?search=4503&register=IL") == [(numbers[3], "IL")]
    assert await listed(site, "?search=Dana") == []


async def test_the_export_is_read_back_and_has_no_formula(site: Site) -> None:
    await site.post(LIST, {"phones": [A], "reason": '=HYPERLINK("x")'})
    await site.post(LIST, {"phones": [C], "register": "IL"}, token="admin")
    exported = await site.get(f"{LIST}.csv", token="viewer")
    lines = exported.body.decode().splitlines()
    assert lines[0] == "phone,reason,added_at,added_by"
    assert lines[1].startswith(f'{A},"\'=HYPERLINK(""x"")",20')
    assert len(lines) == 2, "a register is exported by its name"
    assert (await site.get(f"{LIST}.csv?register=IL&mark=1")).body.startswith(
        b"\xef\xbb\xbfphone,reason,added_at,added_by\r\n" + C.encode()
    )
    assert exported.headers["Content-Disposition"] == 'attachment; filename="do-not-call.csv"'
    await site.request("DELETE", LIST, json={"phones": [A]})
    assert (await upload(site, exported.body.decode())).json["added"] == 1


async def test_a_listed_number_is_called_by_no_run(site: Site) -> None:
    """Queued, waiting for another try, or loaded later; its leads are skipped with the reason."""
    phones = [lead["phone"] for lead in leads(4)]
    run_id = await site.load(4, concurrency=1)
    [attempt], _ = await site.database.claim(site.business)
    answer = (await site.post(LIST, {"phones": [phones[0], *phones[2:]]})).json
    assert (answer["added"], answer["in_progress"]) == (3, 1), "the call that is being placed goes on"
    await site.database.record(attempt, AttemptState.NOT_SENT, reason="no connection")
    later = await site.load(4)
    claimed: list[str] = []
    while attempts := await claimed_until_none(site):
        claimed += [attempt.phone for attempt in attempts]
        for attempt in attempts:
            await site.database.record(attempt, AttemptState.OVER, outcome="busy")
    assert set(claimed) == {phones[1]}
    reasons = "SELECT run_id, phone, reason FROM public.outbound_call_jobs WHERE status = 'skipped'"
    skipped = {(row["run_id"], row["phone"], row["reason"]) for row in await site.database.pool.fetch(reasons)}
    assert skipped == {(run, phone, "do_not_call") for run in (run_id, later) for phone in (phones[0], *phones[2:])}


async def test_claims_that_run_while_numbers_are_added_take_none_after_the_answer(site: Site) -> None:
    await site.load(20, concurrency=3)
    phones = [lead["phone"] for lead in leads(20)]
    answered: set[str] = set()
    wrong: list[str] = []

    async def claim() -> None:
        while len(answered) < len(phones):
            before = set(answered)
            attempts, _ = await site.database.claim(site.business)
            wrong.extend(attempt.phone for attempt in attempts if attempt.phone in before)
            for attempt in attempts:
                await site.database.record(attempt, AttemptState.OVER, outcome="busy")

    async def add() -> None:
        for phone in reversed(phones):
            assert (await site.post(LIST, {"phones": [phone]})).status == 200
            answered.add(phone)

    await asyncio.gather(claim(), claim(), add())
    assert wrong == []


async def test_the_answer_waits_for_a_claim_in_progress(site: Site) -> None:
    async with site.database.pool.acquire() as claiming, claiming.transaction():
        await claiming.execute("SELECT FROM dialer.lanes WHERE business_id = $1 FOR NO KEY UPDATE", site.business)
        adding = asyncio.ensure_future(site.post(LIST, {"phones": [A]}))

        async def waits() -> bool:
            return bool(await site.database.pool.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))

        await polling.until(waits, WAIT_SECONDS, "the request waits for the lane")
    assert (await adding).json["added"] == 1


async def test_a_register_is_replaced_as_a_whole(site: Site) -> None:
    first = (await upload(site, f"{A}\n{B}\n{B}\n", "?register=IL", token="admin")).json
    assert (first["added"], first["already"], first["rejected_count"]) == (2, 1, 0)
    await site.post(LIST, {"phones": [A]})
    await site.post(LIST, {"phones": [B, C], "register": "IL"}, token="admin")
    await site.post(LIST, {"phones": ["0521234569"], "register": "charities"}, token="admin")
    assert await listed(site) == [(C, "IL"), (A, None), (B, "IL"), ("+972521234569", "charities")]
    registers = await DoNotCall(site.database.pool).registers(site.business)
    assert [(register.name, register.numbers) for register in registers] == [("IL", 2), ("charities", 1)]
    log = [(row["action"], row["detail"]) for row in await site.database.pool.fetch(AUDITED)]
    assert log[0] == ("do_not_call.replace_register", {"register": "IL", "numbers": 2, "rejected": 0})
    rows = "SELECT count(*) FROM dialer.do_not_call"
    assert await site.database.pool.fetchval(rows) == 6
    assert [await site.database.commands.forget(1) for _ in range(4)] == [1, 1, 0, 0], "those of the former import"
    assert await site.database.pool.fetchval(rows) == 4
    assert await site.database.pool.fetchval("SELECT count(*) FROM dialer.registers") == 2


@pytest.mark.parametrize(("unreadable", "status"), [(2, 200), (3, 422)])
async def test_a_register_that_is_mostly_unreadable_replaces_nothing(site: Site, unreadable: int, status: int) -> None:
    """At most a tenth of its rows: who is missing in a register is called."""
    await site.post(LIST, {"phones": [A], "register": "IL"}, token="admin")
    rows = "".join(f"{lead['phone']}\n" for lead in leads(18)) + "100\n" * unreadable
    response = await upload(site, rows, "?register=IL", token="admin")
    assert response.status == status
    assert ((A, "IL") in await listed(site)) == (status == 422)
    if status == 422:
        assert (response.code, b"3 of these 21 rows" in response.body) == ("no_numbers", True)


async def test_a_register_is_in_force_until_its_next_import(site: Site) -> None:
    [first, second] = [lead["phone"] for lead in leads(2)]
    await site.post(LIST, {"phones": [first], "register": "IL"}, token="admin")
    await site.load(2)
    assert [attempt.phone for attempt in await claimed_until_none(site)] == [second]
    await site.post(LIST, {"phones": [second], "register": "IL"}, token="admin")
    await site.load(2)
    assert [attempt.phone for attempt in await claimed_until_none(site)] == [first]


async def test_a_long_list_is_added_in_parts_and_is_one_entry_of_the_audit_log(site: Site) -> None:
    numbers = [f"+9725212{n:05}" for n in range(ADDED_AT_ONCE + 500)]
    answer = (await upload(site, "\n".join(numbers))).json
    assert (answer["added"], answer["already"], answer["rejected_count"]) == (len(numbers), 0, 0)
    assert [row["detail"] for row in await site.database.pool.fetch(AUDITED)] == [{"added": len(numbers), "rejected": 0}]


async def test_a_slow_import_of_a_register_does_not_undo_a_later_one(site: Site) -> None:
    """It began first, and ends last."""
    request, lists = ListRequest(site.business, "cli:1", b"", "cli", {}), DoNotCall(site.database.pool)
    begun = await site.database.pool.fetchval(TEXT["begin_register"], site.business, "IL")
    await lists.replace_register(request, "IL", [(A, None)], {})
    assert not await site.database.pool.fetchval(TEXT["replace_register"], site.business, begun, 0, "cli", {}, None)
    assert await listed(site) == [(A, "IL")]


async def test_an_import_that_was_cut_off_is_deleted_after_a_day(site: Site) -> None:
    begun = await site.database.pool.fetchval(TEXT["begin_register"], site.business, "IL")
    await site.database.pool.fetchval(TEXT["load_register"], site.business, begun, [A, B], "cli")
    assert await listed(site) == []
    assert await site.database.commands.forget(10) == 0, "it may still be going on"
    await site.database.pool.execute("UPDATE dialer.registers SET imported_at = now() - interval '25 hours'")
    assert not await site.database.pool.fetchval(TEXT["replace_register"], site.business, begun, 2, "cli", {}, None)
    assert await site.database.commands.forget(10) == 2
    assert await site.database.pool.fetchval("SELECT count(*) FROM dialer.registers") == 0
