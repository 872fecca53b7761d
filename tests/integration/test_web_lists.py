"""Lists out: the report that stays with a run, and leads as files for people."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import TYPE_CHECKING, Any

from python_calamine import CalamineWorkbook

from tests.web_site import RUNS

if TYPE_CHECKING:
    from tests.web_site import Response, Site

MARK = "\ufeff"
HEBREW = {"Accept-Language": "he"}
LIST = (
    "מזהה,שם,טלפון,סכום חוב,הערה\n"
    "=1+2,=HYPERLINK(1),0501234567,-5,@x\n"
    "7,דנה,050-1234568,1.200,+1\n"
    "8,Short,12,,\n"
    "9,Again,0501234567,,\n"
    "10,Way,'050-1234569,,\n"
)


async def loaded(site: Site, text: str = LIST, **query: str) -> int:
    response = await site.request(
        "POST", RUNS, data=text.encode(), headers={"Content-Type": "text/csv"}, params={"name": "סקר/נובמבר", **query}
    )
    assert response.status == 201, response.body
    return int(response.json["run_id"])


async def ended_call(site: Site, run_id: int, *, lead_id: int, at: dt.datetime, seconds: int) -> None:
    """A call that a person answered."""
    await site.database.pool.execute(
        """
        WITH attempt AS (
            INSERT INTO dialer.attempts (business_id, run_id, job_id, created_at, send_by, ring_seconds, token, nonce, phone, from_number,
                                         state, answered_at, ended_at, outcome, duration)
            SELECT j.business_id, j.run_id, j.id, $4, $4, 30, gen_random_uuid(), gen_random_uuid(), j.phone, '+972501110000', 'over',
                   $4, $4, 'human', $5
            FROM public.outbound_call_jobs j WHERE j.business_id = $1 AND j.run_id = $2 AND j.lead_id = $3 RETURNING id, job_id)
        UPDATE public.outbound_call_jobs j SET status = 'completed', outcome = 'human', attempts = 1, attempt_id = a.id
        FROM attempt a WHERE j.id = a.job_id
        """,
        site.business, run_id, lead_id, at, seconds,
    )  # fmt: skip


def cells(response: Response) -> list[list[str]]:
    assert response.status == 200, response.body
    text = response.body.decode()
    assert text.startswith(MARK)
    return list(csv.reader(io.StringIO(text.removeprefix(MARK))))


def book(response: Response) -> tuple[str, list[list[Any]]]:
    assert response.status == 200, response.body
    assert response.headers["Content-Type"].endswith("spreadsheetml.sheet")
    page = CalamineWorkbook.from_filelike(io.BytesIO(response.body)).get_sheet_by_index(0)
    return page.name, page.to_python()


async def test_the_load_report_stays_with_the_run(site: Site) -> None:
    run_id = await loaded(site)
    more = "lead_id,phone\n11,0501234568\n12,0501234570\n13,12\n"
    added = await site.request("POST", f"{RUNS}/{run_id}/leads", data=more.encode(), headers={"Content-Type": "text/csv"})
    assert added.status == 201, added.body
    first = (await site.get(f"{RUNS}/{run_id}/load-report?limit=4", token="viewer")).json
    assert [(load["load"], load["accepted"], load["rejected"], load["duplicates"]) for load in first["loads"]] == [
        (1, 3, 1, 1),
        (2, 1, 1, 1),
    ]
    assert [(row["load"], row["row"], row["kind"]) for row in first["items"]] == [
        (1, 4, "rejected"),
        (1, 5, "duplicate"),
        (1, 6, "read_as"),
        (2, 2, "duplicate"),
    ]
    assert first["items"][0] == {
        "load": 1, "row": 4, "kind": "rejected", "lead_id": 8, "phone": "12", "reason": "short_number",
        "message": "Short numbers are not called.",
    }  # fmt: skip
    assert (first["items"][1]["same_as"], first["items"][1]["by"], first["items"][2]["read_as"]) == ("=1+2", "phone", "+972501234569")
    assert first["previous_cursor"] is None
    second = (await site.get(f"{RUNS}/{run_id}/load-report?limit=4&cursor={first['next_cursor']}")).json
    assert ([row["row"] for row in second["items"]], second["next_cursor"], second["previous_cursor"]) == ([4], None, "0")
    only = (await site.get(f"{RUNS}/{run_id}/load-report?kind=rejected", headers=HEBREW)).json["items"]
    assert [row["message"] for row in only] == ["לא מחייגים למספרים מקוצרים."] * 2
    rows = cells(await site.get(f"{RUNS}/{run_id}/load-report.csv?language=he"))
    assert len(rows) == 6
    assert rows[2][:4] == ["1", "5", "9", "+972501234567"]
    assert rows[3][3] == "'050-1234569"
    for path in ("load-report", "load-report.csv", "export.xlsx", "export.csv?for=people"):
        assert (await site.get(f"{RUNS}/{run_id}/{path}", token="rival")).status == 404
        assert (await site.get(f"{RUNS}/{run_id}/{path}", token=None)).status == 401
    assert (await site.get(f"{RUNS}/{run_id}/load-report?kind=x")).status == 422


async def test_the_report_is_deleted_with_the_run(site: Site) -> None:
    run_id = await loaded(site)
    await site.database.pool.execute("SELECT dialer.delete_run_v1($1, $2, 100)", site.business, run_id)
    for table in ("loads", "reported_rows"):
        assert await site.database.pool.fetchval(f"SELECT count(*) FROM dialer.{table} WHERE run_id = $1", run_id) == 0  # noqa: S608


async def test_people_get_words_local_times_and_their_own_columns_without_formulas(site: Site) -> None:
    run_id = await loaded(site)
    at = dt.datetime(2026, 1, 5, 22, 30, tzinfo=dt.UTC)
    await ended_call(site, run_id, lead_id=7, at=at, seconds=83)
    path = f"{RUNS}/{run_id}/export"
    rows = cells(await site.get(f"{path}.csv?for=people&language=he"))
    assert rows[0] == ["ליד", "שם", "טלפון", "תוצאה", "שיחות", "שיחה אחרונה", "משך", "הערה", "סכום חוב", "הערה"]
    found = {row[1]: row for row in rows[1:]}
    assert found["דנה"] == ["7", "דנה", "+972501234568", "ענה אדם", "1", "06/01/2026 00:30", "0:01:23", "", "1.200", "'+1"]
    assert found["'=HYPERLINK(1)"] == ["'=1+2", "'=HYPERLINK(1)", "+972501234567", "עוד לא חויגו", "0", "", "", "", "'-5", "'@x"]
    response = await site.get(f"{path}.xlsx?language=en", token="viewer")
    assert response.headers["Content-Disposition"] == (
        "attachment; filename=\"___ ______.xlsx\"; filename*=UTF-8''%D7%A1%D7%A7%D7%A8%20%D7%A0%D7%95%D7%91%D7%9E%D7%91%D7%A8.xlsx"
    )
    name, table = book(response)
    assert (name, table[0][:4]) == ("Leads", ["Lead", "Name", "Phone", "Result"])
    by_name = {row[1]: row for row in table[1:]}
    assert by_name["דנה"][:7] == [
        7.0,
        "דנה",
        "+972501234568",
        "A person answered",
        1.0,
        dt.datetime.fromisoformat("2026-01-06T00:30"),
        dt.timedelta(seconds=83),
    ]
    assert by_name["=HYPERLINK(1)"][0] == "=1+2"
    assert by_name["=HYPERLINK(1)"][8:] == ["-5", "@x"]
    # What goes out comes in again.
    again = await site.request("POST", f"{RUNS}/preflight", data=response.body, headers={"Content-Type": response.headers["Content-Type"]})
    assert (again.status, again.json["will_call"]) == (200, 3), again.body


async def test_exports_honour_the_filters_of_jobs_and_that_for_programs_is_as_it_was(site: Site) -> None:
    run_id = await loaded(site)
    await ended_call(site, run_id, lead_id=7, at=dt.datetime(2026, 1, 5, tzinfo=dt.UTC), seconds=3)
    path = f"{RUNS}/{run_id}/export"
    assert [row[1] for row in cells(await site.get(f"{path}.csv?for=people&outcome=human"))[1:]] == ["דנה"]
    assert len(book(await site.get(f"{path}.xlsx?status=queued"))[1]) == 3
    assert len(book(await site.get(f"{path}.xlsx?search=nobody"))[1]) == 1
    assert len((await site.get(f"{path}.csv?search=050-1234568")).body.splitlines()) == 2
    for wrong in ("csv?for=nobody", "csv?for=people&language=fr", "xlsx?mark=1", "xlsx?outcome=x", "csv?status=x"):
        assert (await site.get(f"{path}.{wrong}")).status == 422
    plain = await site.get(f"{path}.csv")
    assert plain.body.startswith(b"job_id,lead_id,phone,name,status,outcome,attempts,twilio_call_sid,started_at,ended_at,error\r\n")
    assert plain.headers["Content-Disposition"] == f'attachment; filename="run-{run_id}.csv"'
