"""The supervisor of duties: what fails is begun again; what fails for some businesses alone never ends the worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import actors.restarts
from actors.restarts import MOST_RESTARTS, DutySupervisor
from actors.tasks import Tasks
from dialer.clock import SystemClock

if TYPE_CHECKING:
    import pytest

ENOUGH = MOST_RESTARTS + 3


class Failing:
    """A duty that fails so often, and then runs until it is told to end."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.begun = 0
        self.runs = asyncio.Event()

    async def __call__(self) -> None:
        self.begun += 1
        if self.begun <= self.times:
            message = "on purpose"
            raise RuntimeError(message)
        self.runs.set()


async def test_a_duty_that_fails_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors.restarts, "RESTART_SECONDS", 0.001)
    tasks, given_up, duty = Tasks(), asyncio.Event(), Failing(MOST_RESTARTS)
    DutySupervisor(tasks, SystemClock(), given_up.set).keep_up("one", duty)
    async with asyncio.timeout(10):
        await duty.runs.wait()
    assert (duty.begun, given_up.is_set()) == (MOST_RESTARTS + 1, False)


async def test_one_that_fails_again_and_again_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors.restarts, "RESTART_SECONDS", 0.001)
    given_up, duty = asyncio.Event(), Failing(ENOUGH)
    DutySupervisor(Tasks(), SystemClock(), given_up.set).keep_up("one", duty)
    async with asyncio.timeout(10):
        await given_up.wait()
    assert duty.begun == MOST_RESTARTS + 1


async def test_the_duty_of_an_account_never_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors.restarts, "RESTART_SECONDS", 0.001)
    monkeypatch.setattr(actors.restarts, "LONGEST_RESTART_SECONDS", 0.002)
    given_up, duty = asyncio.Event(), Failing(ENOUGH)
    DutySupervisor(Tasks(), SystemClock(), given_up.set).keep_up_alone("gate", duty)
    async with asyncio.timeout(10):
        await duty.runs.wait()
    assert (duty.begun, given_up.is_set()) == (ENOUGH + 1, False)
