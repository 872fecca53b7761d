"""The demo as a newcomer starts it, through real processes."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
from typing import TYPE_CHECKING

import aiohttp
import psutil
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.demo.conftest import Run

FAST = ("--speed", "200")
ALL_RUNS_SECONDS = 150.0  # the small run may have to wait a minute and more for its hours
READY = r"^http://127\.0\.0\.1:(\d+)$"

pytestmark = pytest.mark.timeout(240)  # a whole installation is started and stopped, more than once


def cells(out: str, title: str) -> list[int]:
    """The numbers of one line of the table at the end."""
    found = re.search(rf"^│ {title} +│(.*)│$", out, re.MULTILINE)
    assert found, out
    return [int(cell) for cell in found[1].split("│")]


def assert_hours_and_retries_are_shown(out: str) -> None:
    """The small run waits for its hours at most 20 s, then calls three of its leads again.

    That it waits for a retry is shown only where nothing else goes on meanwhile, so on a busy machine perhaps never.
    """
    waits = re.search(
        r"^Saguaro Books: running, 0 of 5 done, 0 on the line \| waiting: opens at \d\d:\d\d, in (\d+) s( \| .*)?$", out, re.MULTILINE
    )
    assert waits, out
    assert 0 < int(waits[1]) <= 20
    assert cells(out, "called again") == [0, 0, 3]
    assert cells(out, "calls")[2] == 8


async def test_every_lead_of_both_businesses_is_dialled_and_accounted_for(run: Run) -> None:
    async with run("demo", "--exit", *FAST) as demo:
        code = await demo.end(ALL_RUNS_SECONDS)
        assert code == 0, demo.out
        assert "Every lead is accounted for" in demo.out
        assert cells(demo.out, "total") == [50, 50, 5]
        ended = ("answered", "voicemail", "busy", "no answer", "failed", "cancelled", "skipped")
        assert [sum(column) for column in zip(*(cells(demo.out, name) for name in ended), strict=True)] == [50, 50, 5]
        assert cells(demo.out, "most calls at once")[:2] == [3, 3]
        assert cells(demo.out, "rows rejected") == [5, 6, 0]
        assert cells(demo.out, "rows twice") == [2, 2, 0]
        assert "Premium-rate, shared-cost and personal numbers" in demo.out  # and the rest on the next line of the cell
        assert re.search(r"^Harbor Light Dental: running, \d+ of 50 done, [0-3] on the line", demo.out, re.MULTILINE)
        assert_hours_and_retries_are_shown(demo.out)
        assert demo.left() == []


async def test_a_file_without_a_callable_lead_ends_with_the_reasons(run: Run, tmp_path: Path) -> None:
    leads = tmp_path / "leads.csv"
    leads.write_text("lead_id,phone\n1,none\n2,112\n")
    async with run("demo", "--exit", "--leads", str(leads), *FAST) as demo:
        assert await demo.end() == 1
        assert "no business had a lead to dial" in demo.out
        assert demo.left() == []


async def test_another_file_is_dialled_for_both_businesses_and_ctrl_c_ends_it_early(run: Run, tmp_path: Path) -> None:
    leads = tmp_path / "leads.csv"
    leads.write_text("lead_id,phone,name\n" + "".join(f"{n},+1646555{100 + n:04d},Lead {n}\n" for n in range(1, 9)))
    async with run("demo", "--exit", "--leads", str(leads), *FAST) as demo:
        for _ in range(2):
            await demo.until_line("completed, 8 of 8 done")
        demo.process.send_signal(signal.SIGINT)
        assert await demo.end() == 130
        assert demo.left() == []


async def test_it_stays_up_until_ctrl_c_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    leads = tmp_path / "leads.csv"
    leads.write_text("lead_id,phone\n1,+16465550101\n")
    async with run("demo", "--leads", str(leads), *FAST) as demo:
        port = (await demo.until_line(READY))[1]
        await demo.until_line("stays up", ALL_RUNS_SECONDS)
        assert cells(demo.out, "total") == [1, 1, 5]
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/healthz") as response:
            assert response.status == 200
        demo.process.send_signal(signal.SIGINT)
        assert await demo.end() == 0
        assert demo.left() == []


async def test_a_second_demo_is_rejected_and_a_killed_one_leaves_nothing_behind(run: Run) -> None:
    async with run("demo") as first:
        await first.until_line("1 on the line|[23] on the line")
        async with run("demo", "--exit") as second:
            assert await second.end() == 1
            assert f"a demo runs here already: {first.home} is in use by process {first.process.pid}" in second.out
        assert len(first.left()) >= 5
        first.process.kill()
        assert await first.nothing_left()
    async with run("demo", *FAST) as third:
        await third.until_line(READY)


async def test_with_parent_it_ends_when_its_parent_is_killed(run: Run) -> None:
    # Like make: a shell that waits for the command.
    async with run("demo", "--with-parent", before=("sh", "-c", '"$@"; exit $?', "sh")) as shell:
        await shell.until_line(READY)
        [demo] = psutil.Process(shell.process.pid).children()
        shell.process.kill()
        assert await shell.nothing_left()
        demo.wait(30)


async def test_a_worker_that_dies_is_reported_and_ends_the_demo(run: Run) -> None:
    async with run("demo") as demo:
        await demo.until_line("[123] on the line")
        [worker] = [process for process in demo.left() if "actors" in process.cmdline()]
        worker.kill()
        assert await demo.end() == 1
        assert f"worker (process {worker.pid}) was ended by SIGKILL" in demo.out
        assert demo.left() == []


@pytest.mark.parametrize(
    ("arguments", "option"), [(("--port", "0"), "--port"), (("--leads", "nowhere.csv"), "--leads"), (("--speed", "0"), "--speed")]
)
async def test_a_wrong_option_is_named(run: Run, arguments: tuple[str, ...], option: str) -> None:
    async with run("demo", "--exit", *arguments, own_port=False) as demo:
        assert await demo.end() == 2
        assert demo.out.startswith(option)


async def test_a_port_that_was_asked_for_and_is_taken_is_an_error(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with run("demo", "--exit", "--port", str(port), own_port=False) as demo:
            assert await demo.end() == 2
            assert demo.out.startswith(f"--port: port {port} of 127.0.0.1 cannot be used")


async def test_without_a_port_another_is_taken_when_the_usual_one_is_in_use(run: Run) -> None:
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # the port is in use already: just as well
            stack.enter_context(socket.create_server(("127.0.0.1", 8080)))
        async with run("demo", *FAST, own_port=False) as demo:
            other = (await demo.until_line(r"port 8080 is taken; using (\d+)"))[1]
            assert (await demo.until_line(READY))[1] == other
