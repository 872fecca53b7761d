"""The delay of a sign-in: longer with each wrong try, bounded, and never caused by tries of others."""

from __future__ import annotations

import asyncio

import pytest

from dialer.clock import SystemClock
from web.access.sign_in_delays import FREE_TRIES, MAX_DELAY_SECONDS, MAX_DELAYED, MAX_DELAYED_PER_CROWD, SignInDelays
from web.server.errors import ApiError

HERE = ("address", "10.0.0.1")
DANA = ("account", "dana@example.com")
SESSION = ("session", "7")


class _Clock(SystemClock):
    """A clock that is moved by hand."""

    seconds = 1_000.0

    def boot(self) -> float:
        return self.seconds


async def tries(delays: SignInDelays, count: int, address: str = "10.0.0.1") -> list[float]:
    longest, found = delays.longest_seconds, []
    for _ in range(count):
        delays.longest_seconds = longest
        found.append(delays.seconds([("address", address), DANA]))
        delays.longest_seconds = 0.0
        await delays.wait([("address", address), DANA])
    delays.longest_seconds = longest
    return found


async def test_the_delay_grows_and_ends() -> None:
    clock = _Clock()
    delays = SignInDelays(clock)
    waited = await tries(delays, 40)
    assert waited[:3] == [0, 0, 0]
    assert waited == sorted(waited)
    assert waited[3] < waited[4] < waited[5]
    assert waited[-1] == MAX_DELAY_SECONDS
    clock.seconds += 901
    assert delays.seconds([HERE, DANA]) == 0


async def test_it_is_counted_by_account_and_by_address() -> None:
    delays = SignInDelays(_Clock())
    for number in range(5):
        await tries(delays, 1, f"10.0.1.{number}")
    assert delays.seconds([("address", "10.9.9.9"), DANA]) > 0, "many addresses, one account"
    for number in range(FREE_TRIES["address"] + 1):
        await delays.wait([HERE, ("account", f"{number}@example.com")])
    assert delays.seconds([HERE, ("account", "new@example.com")]) > 0, "one address, many accounts"
    assert delays.seconds([("address", "10.9.9.9"), ("account", "new@example.com")]) == 0


async def test_the_right_password_resets_the_account() -> None:
    delays = SignInDelays(_Clock())
    await tries(delays, 10)
    delays.forgive([HERE, DANA])
    assert delays.seconds([HERE, DANA]) == 0


async def begun(delays: SignInDelays, *counted: tuple[str, str]) -> asyncio.Task[None]:
    """A try that has been counted and, if necessary, waits."""
    task = asyncio.create_task(delays.wait(list(counted)))
    await asyncio.sleep(0)
    return task


async def ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        assert task.cancelled() or isinstance(task.exception(), ApiError)


def slow() -> SignInDelays:
    """Delays that last until the test is over."""
    delays = SignInDelays(_Clock(), 1e6)
    delays._tries[HERE] = (40, 1_000.0)
    return delays


async def test_tries_on_other_accounts_delay_no_one_at_the_same_address() -> None:
    delays = slow()
    crowd = [await begun(delays, HERE, ("account", f"{number}@example.com")) for number in range(MAX_DELAYED_PER_CROWD * 2)]
    right = await begun(delays, HERE, DANA)
    assert not any(task.done() for task in [*crowd, right]), "all of them wait"
    await ended([*crowd, right])


@pytest.mark.parametrize("accounts", [1, 10_000])
async def test_unknown_browsers_never_displace_a_recognized_one(accounts: int) -> None:
    delays = slow()
    # So many that its delay is the longest: the crowd takes seconds on a busy machine.
    delays._tries[SESSION] = (30, 1_000.0)
    known = await begun(delays, SESSION)
    crowd = [await begun(delays, HERE, ("account", f"{number % accounts}@example.com")) for number in range(MAX_DELAYED + 100)]
    later = await begun(delays, SESSION)
    await asyncio.sleep(0)
    assert not known.done()
    assert not later.done()
    waiting = [number for number, task in enumerate(crowd) if not task.done()]
    assert waiting == list(range(len(crowd)))[-(MAX_DELAYED if accounts > 1 else MAX_DELAYED_PER_CROWD) :], (
        "the newest wait, the oldest are cut"
    )
    cut = crowd[0].exception()
    assert isinstance(cut, ApiError)
    assert (cut.status, int(cut.headers["Retry-After"]) > 0) == (429, True)
    await ended([known, later, *crowd])


async def test_a_full_queue_drops_from_the_largest_crowd() -> None:
    delays = slow()
    right = await begun(delays, HERE, DANA)
    crowd = [await begun(delays, HERE, ("account", f"{number % (MAX_DELAYED // 10)}@example.com")) for number in range(MAX_DELAYED * 2)]
    assert not right.done(), "it has waited longest, and is alone"
    assert len(delays._unknown) == MAX_DELAYED
    await ended([right, *crowd])
    assert len(delays._unknown) == 0
