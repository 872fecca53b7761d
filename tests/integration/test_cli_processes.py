"""The child processes of a command: waited for, watched, stopped in order, never left behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dialer
from ringmaster.errors import CommandError
from ringmaster.local import folder, process
from ringmaster.local.orphans import marked, until
from ringmaster.local.process import ChildError, Processes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CHECKOUT = Path(dialer.__file__).parents[1]
MARK = "ringmaster-test-"
END_SECONDS = 15.0

# Writes a file when it runs; ends orderly at SIGTERM, appending its name to another file.
POLITE = """
import os, pathlib, signal, sys
def end(*_):
    with open("{place}/ends", "a") as ends:
        ends.write(sys.argv[1] + " ")
    sys.exit()
signal.signal(signal.SIGTERM, end)
pathlib.Path("{place}", sys.argv[1]).write_text(os.environ["WORD"])
while True:
    signal.pause()
"""

DEAF = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path("{place}", sys.argv[1]).write_text("")
while True:
    signal.pause()
"""

FAILING = """
import sys
sys.exit("no port to be had")
"""

PARENT = """
import asyncio, sys
from pathlib import Path
from ringmaster.local.process import Processes

async def main(place, mark):
    import os
    async with Processes(Path(place) / "logs", mark) as children:
        for name in ("one", "two"):
            children.start(name, "deaf", name, environment=dict(os.environ))
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, text in (("polite", POLITE), ("deaf", DEAF), ("failing", FAILING)):
        (tmp_path / f"{name}.py").write_text(text.replace("{place}", str(tmp_path)))
    return tmp_path


@pytest.fixture
def mark(tmp_path: Path) -> str:
    return MARK + tmp_path.name


def environment(place: Path, word: str = "") -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{place}:{CHECKOUT}", "WORD": word}


def exists(place: Path, name: str) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return (place / name).exists()

    return check


async def test_children_run_with_their_environment_and_stop_in_order(place: Path, mark: str) -> None:
    async with Processes(place / "logs", mark) as children:
        for name in ("simulator", "web", "worker"):
            child = children.start(name, "polite", name, environment=environment(place, f"for {name}"))
            await child.ready(exists(place, name))
        assert len(marked(mark)) == 3
        assert (place / "web").read_text() == "for web"
    assert (place / "ends").read_text().split() == ["worker", "web", "simulator"]
    assert marked(mark) == []


async def test_a_child_that_does_not_start_is_reported_with_its_log(place: Path, mark: str) -> None:
    async with Processes(place / "logs", mark) as children:
        child = children.start("web", "failing", environment=environment(place))
        with pytest.raises(ChildError, match=r"web \(process \d+\) ended with 1(?s:.*)no port to be had"):
            await child.ready(exists(place, "never"))


async def test_a_child_that_is_never_ready_is_not_waited_for_for_ever(place: Path, mark: str) -> None:
    async with Processes(place / "logs", mark) as children:
        child = children.start("web", "polite", "web", environment=environment(place))
        with pytest.raises(CommandError, match="web is not ready after"):
            await child.ready(exists(place, "never"), within_seconds=0.2)


async def test_a_child_that_dies_is_noticed(place: Path, mark: str) -> None:
    async with Processes(place / "logs", mark) as children:
        for name in ("worker", "web"):
            children.start(name, "polite", name, environment=environment(place))
        victim = children.start("simulator", "polite", "simulator", environment=environment(place))
        await victim.ready(exists(place, "simulator"))
        victim.send(signal.SIGKILL)
        with pytest.raises(ChildError, match=r"simulator .* was ended by SIGKILL"):
            async with asyncio.timeout(END_SECONDS):
                await children.watch()


async def test_a_child_that_keeps_ending_is_started_again_after_growing_pauses(
    place: Path, mark: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(process, "LONGEST_PAUSE_SECONDS", 0.04)
    monkeypatch.setattr(process, "WATCH_POLL_SECONDS", 0.01)
    async with Processes(place / "logs", mark) as children:
        children.start("web", "failing", environment=environment(place), restarts=True)
        children._places[0].pause = 0.01
        last = children.start("worker", "polite", "worker", environment=environment(place))
        watching = asyncio.create_task(children.watch())
        pauses: list[str] = []

        def paused_four_times() -> bool:
            pauses.extend(re.findall(r"started again in (\S+) s: web .* ended with 1", capfd.readouterr().err))
            return len(pauses) >= 4

        assert await until(paused_four_times, END_SECONDS)
        assert pauses[:4] == ["0.01", "0.02", "0.04", "0.04"]
        # A child that may not be started again ends the command as before.
        last.send(signal.SIGKILL)
        with pytest.raises(ChildError, match=r"worker .* was ended by SIGKILL"):
            async with asyncio.timeout(END_SECONDS):
                await watching


async def test_a_deaf_child_is_killed(place: Path, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STOP_SECONDS", 0.2)
    async with Processes(place / "logs", mark) as children:
        child = children.start("worker", "deaf", "worker", environment=environment(place))
        await child.ready(exists(place, "worker"))
    assert child.exit_code == -signal.SIGKILL
    assert marked(mark) == []


async def test_even_deaf_children_end_with_a_killed_parent(place: Path, mark: str) -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, place, mark, env=environment(place), cwd="/")
    assert await until(lambda: all((place / name).exists() for name in ("one", "two")), END_SECONDS)
    parent.kill()
    await parent.wait()
    assert await until(lambda: not [left for left in marked(mark) if left.pid != parent.pid], END_SECONDS)


async def test_logs_are_private_and_turned_at_each_start(place: Path, mark: str) -> None:
    for _ in range(process.LOGS_KEPT + 2):
        async with Processes(place / "logs", mark) as children:
            assert await children.start("web", "failing", environment=environment(place)).wait(END_SECONDS)
    logs = sorted((place / "logs").iterdir())
    assert [log.name for log in logs] == ["web.log", *(f"web.log.{number}" for number in range(1, process.LOGS_KEPT + 1))]
    assert {stat.S_IMODE(log.stat().st_mode) for log in logs} == {0o600}


async def test_a_directory_is_locked_by_one_command_at_a_time(tmp_path: Path) -> None:
    async with folder.locked(tmp_path / "demo", "a demo"):
        with pytest.raises(CommandError, match=f"a demo runs here already.*process {os.getpid()}"):
            async with folder.locked(tmp_path / "demo", "a demo"):
                pass
    async with folder.locked(tmp_path / "demo", "a demo"):
        pass


async def test_emptying_a_directory_keeps_it_locked(tmp_path: Path) -> None:
    async with folder.locked(tmp_path / "demo", "a demo") as place:
        (place.path / "logs").mkdir()
        (place.path / "logs" / "web.log").write_text("old")
        (place.path / "secret_key").write_text("old")
        await folder.clear(place)
        assert [entry.name for entry in place.path.iterdir()] == ["lock"]
        with pytest.raises(CommandError, match="runs here already"):
            async with folder.locked(tmp_path / "demo", "a demo"):
                pass


async def test_a_secret_key_is_drawn_once_and_private(tmp_path: Path) -> None:
    async with folder.locked(tmp_path, "an installation") as place:
        drawn = folder.secret_key(place)
        assert folder.secret_key(place) == drawn
        assert len(drawn) >= 32
        assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600
