"""The supervisor of duties: a failed duty is restarted; an isolated one never ends the worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import actors.restarts
from actors.restarts import MAX_RESTARTS, DutySupervisor
from dialer.clock import SystemClock
from dialer.concurrency.tasks import Tasks

if TYPE_CHECKING:
    import pytest

ENOUGH = MAX_RESTARTS + 3


class Failing:
    """A duty that fails so many times, and then succeeds."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.starts = 0
        self.running = asyncio.Event()

    async def __call__(self) -> None:
        self.starts += 1
        if self.starts <= self.times:
            message = "on purpose"
            raise RuntimeError(message)
        self.running.set()


async def test_a_duty_that_fails_is_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors.restarts, "RESTART_SECONDS", 0.001)
    tasks, given_up, duty = Tasks(), asyncio.Event(), Failing(MAX_RESTARTS)
    DutySupervisor(tasks, SystemClock(), given_up.set).run_critical("one", duty)
    async with asyncio.timeout(10):
        await duty.running.wait()
    assert (duty.starts, given_up.is_set()) == (MAX_RESTARTS + 1, False)


async def test_a_critical_duty_that_keeps_failing_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors.restarts, "RESTART_SECONDS", 0.001)
    given_up, duty = asyncio.Event(), Failing(ENOUGH)
    DutySupervisor(Tasks(), SystemClock(), given_up.set).run_critical("one", duty)
    async with asyncio.timeout(10):
        await given_up.wait()
    assert duty.starts == MAX_RESTARTS + 1


async def test_an_isolated_duty_never_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors.restarts, "RESTART_SECONDS", 0.001)
    monkeypatch.setattr(actors.restarts, "LONGEST_RESTART_SECONDS", 0.002)
    given_up, duty = asyncio.Event(), Failing(ENOUGH)
    DutySupervisor(Tasks(), SystemClock(), given_up.set).run_isolated("dispatcher", duty)
    async with asyncio.timeout(10):
        await duty.running.wait()
    assert (duty.starts, given_up.is_set()) == (ENOUGH + 1, False)
