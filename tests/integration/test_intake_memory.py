"""The memory that a hostile body costs, measured in a process of its own: rows are counted while they are parsed."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

# Runs as the web process does it: from a body in a file to checked rows. Prints the peak of memory, in KB, before and after.
CHILD = """
import resource, sys, tempfile
from web.server.errors import ApiError
from web.intake.csv_file import rows_of
from web.intake.form import read_form
from web.intake.json_file import leads_of, settings_of
from web.intake.received import ReceivedBody
from web.intake.rows import check_rows

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def check(body, kind):
    if kind == "form":
        span = read_form(body, "multipart/form-data; boundary=b").spans["file"]
        return check_rows(rows_of(body.source(span.start, span.end)), "IL", "UTC")
    if kind == "csv":
        return check_rows(rows_of(body.source()), "IL", "UTC")
    settings_of(body.source())
    return check_rows(leads_of(body.source()), "IL", "UTC")

kind, start, again, end = sys.argv[1], *(text.encode().decode("unicode_escape").encode() for text in sys.argv[2:])
size = 32 * 1024 * 1024
with tempfile.TemporaryFile() as file:
    left = size - len(start) - len(end)
    file.write(start)
    piece = again * max(65536 // len(again), 1)
    while left >= len(piece):
        left -= file.write(piece)
    file.write(again * (left // len(again)) + end)
    file.flush()
    body, before = ReceivedBody(file, file.tell()), peak()
    try:
        checked = check(body, kind)
        answer = f"accepted {len(checked.accepted)} rejected {len(checked.rejected)}"
    except ApiError as error:
        answer = error.code
    print(before, peak(), answer)
"""
# Loads 20,000 leads whose variables are 32 MB in all. Prints the peak of memory, in KB, before and after, and how many were stored.
LOADING_CHILD = """
import asyncio, resource, sys
from sql.businesses.businesses import Businesses
from sql.pool import open_pool
from sql.runs.new_run import NewRun, Request
from sql.runs.new_lead import NewLead
from sql.runs.runs import Runs

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

async def main():
    variables = {"notes": "\u05d0" * 800, "agreed": True}
    leads = [NewLead(n, f"+97250{n:07}", None, "IL:Asia/Jerusalem", variables=variables) for n in range(20_000)]
    async with await open_pool(sys.argv[1], name="test") as pool:
        business = await Businesses(pool).create(
            name="Shop", caller_id="+12025550100", region="US", timezone="America/New_York", max_calls=3
        )
        before = peak()
        await Runs(pool).create(NewRun(business, "run", 3, leads), Request("http:1", b"", "test", {}))
        stored = await pool.fetchval("SELECT count(*) FROM dialer.lead_variables WHERE variables = $1", {"notes": "\u05d0" * 800})
        print(before, peak(), stored)

asyncio.run(main())
"""
# A refused row is reported: so much of it is kept, for 200,000 of them at most. Before, bodies as these took 512 to 866 MB.
REPORT_KILOBYTES = 130_000
# One row, one piece and the text it was decoded to; a form is mapped into memory, 32 MB of it.
SMALL_KILOBYTES = 24_000
MAPPED_KILOBYTES = 33_000
# The texts of one part of the leads, and their bytes. All at once, with escaped letters, took 300 MB.
LOADING_KILOBYTES = 60_000


@pytest.mark.parametrize(
    ("kind", "start", "again", "end", "answer", "most"),
    [
        ("json", '{"leads":[', "{},", "{}]}", "too_many_leads", SMALL_KILOBYTES),
        ("json", '{"leads":[[', "[],", "[]]]}", "row_too_long", SMALL_KILOBYTES),
        ("json", '{"leads":[', "[", "", "malformed_json", SMALL_KILOBYTES),
        ("json", '{"leads":[],"name":"', "x", '"}', "invalid", SMALL_KILOBYTES),
        ("json", '{"leads":[', " ", "]}", "accepted 0 rejected 0", SMALL_KILOBYTES),
        ("csv", "lead_id,phone\\n", ",", "", "accepted 0 rejected 1", SMALL_KILOBYTES),
        ("csv", "lead_id,phone\\n", '"', "", "accepted 0 rejected 1", SMALL_KILOBYTES),
        ("csv", "", ",", "", "missing_column", SMALL_KILOBYTES),
        ("csv", "lead_id,phone\\n", "\\n", "", "too_many_leads", SMALL_KILOBYTES),
        ("csv", "lead_id,phone\\n", "1,\\n", "", "too_many_leads", REPORT_KILOBYTES),
        (
            "form",
            "--b\\r\\nContent-Disposition: form-data; name=file; filename=x\\r\\n\\r\\nlead_id,phone\\n",
            ",",
            "\\r\\n--b--\\r\\n",
            "accepted 0 rejected 1",
            SMALL_KILOBYTES + MAPPED_KILOBYTES,
        ),
    ],
)
def test_a_body_of_32_mb_takes_a_bounded_part_of_the_memory(kind: str, start: str, again: str, end: str, answer: str, most: int) -> None:
    ran = subprocess.run([sys.executable, "-c", CHILD, kind, start, again, end], capture_output=True, text=True, timeout=100, check=True)
    before, after, printed = ran.stdout.strip().split(" ", 2)
    assert printed == answer
    assert int(after) - int(before) <= most


async def test_leads_with_variables_are_loaded_in_parts(database_url: str) -> None:
    command = [sys.executable, "-c", LOADING_CHILD, database_url]
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=100, check=True)
    before, after, stored = map(int, ran.stdout.split())
    assert stored == 20_000
    assert after - before <= LOADING_KILOBYTES
