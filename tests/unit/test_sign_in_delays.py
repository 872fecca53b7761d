"""How long a sign-in waits: longer with each wrong one, never for ever, and nobody is refused for what others did."""

from __future__ import annotations

import pytest

from dialer.ports import SystemClock
from web.faults import ApiError
from web.sign_in_delays import FREE_TRIES, MAX_DELAY_SECONDS, MAX_DELAYED_PER_ADDRESS, SignInDelays

HERE = ("address", "10.0.0.1")
DANA = ("account", "dana@example.com")


class _Clock(SystemClock):
    """Stands until it is moved."""

    seconds = 1_000.0

    def boot(self) -> float:
        return self.seconds


async def tries(delays: SignInDelays, count: int, address: str = "10.0.0.1") -> list[float]:
    longest, found = delays.longest_seconds, []
    for _ in range(count):
        delays.longest_seconds = longest
        found.append(delays.seconds([("address", address), DANA]))
        delays.longest_seconds = 0.0
        await delays.wait(address, [("address", address), DANA])
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
        await delays.wait(HERE[1], [HERE, ("account", f"{number}@example.com")])
    assert delays.seconds([HERE, ("account", "new@example.com")]) > 0, "one address, many accounts"
    assert delays.seconds([("address", "10.9.9.9"), ("account", "new@example.com")]) == 0


async def test_a_right_one_begins_the_account_anew() -> None:
    delays = SignInDelays(_Clock())
    await tries(delays, 10)
    delays.forgive([HERE, DANA])
    assert delays.seconds([HERE, DANA]) == 0


async def test_only_so_many_wait() -> None:
    delays = SignInDelays(_Clock())
    await tries(delays, 10)
    delays._delayed[HERE[1]] = MAX_DELAYED_PER_ADDRESS
    with pytest.raises(ApiError) as refused:
        await delays.wait(HERE[1], [HERE, DANA])
    assert (refused.value.status, int(refused.value.headers["Retry-After"]) <= MAX_DELAY_SECONDS + 1) == (429, True)
