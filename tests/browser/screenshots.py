"""Makes the screenshots of the README: `make screenshots`. Not a test: its name keeps it out of `make test`."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dialer.model import AttemptState, Role
from tests.browser.conftest import open_window

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.web_site import Site

pytestmark = pytest.mark.browser
SHOTS = Path(__file__).parents[2] / "docs" / "screenshots"
PAUSE_MILLISECONDS = 1_500
# How calls end, in turn: the outcome, what answered, how long they talked.
ENDS = (
    ("completed", "human", 74),
    ("no-answer", None, None),
    ("completed", "human", 31),
    ("completed", "machine_start", 22),
    ("busy", None, None),
    ("completed", "human", 48),
    ("failed", None, None),
)
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


async def dialled(site: Site, run_id: int, *, rounds: int) -> None:
    """Call the first leads of a run; three calls are in progress afterwards."""
    ends, numbers = itertools.cycle(ENDS), itertools.count(1)
    for _ in range(rounds):
        for attempt in (await site.database.claim(site.business))[0]:
            outcome, answered_by, duration = next(ends)
            sid = f"CA{run_id:08d}{next(numbers):024d}"
            await site.database.record(attempt, AttemptState.RINGING, sid=sid)
            await site.database.record(attempt, AttemptState.OVER, outcome=outcome, answered_by=answered_by, duration=duration)
    placed, _ = await site.database.claim(site.business)
    for attempt, state in zip(placed, (AttemptState.LIVE, AttemptState.RINGING), strict=False):
        await site.database.record(attempt, state, sid=f"CA{run_id:08d}{next(numbers):024d}")


async def test_screenshots(site: Site, browser: Browser) -> None:
    await site.database.pool.execute("UPDATE dialer.businesses SET name = 'סטודיו מרכז' WHERE business_id = $1", site.business)
    await site.database.pool.execute("UPDATE dialer.users SET role = $1", Role.ADMIN)
    run_id = await site.load(120, name="חידוש מנויים נובמבר")
    await dialled(site, run_id, rounds=20)
    job_id = await site.database.pool.fetchval("SELECT id FROM outbound_call_jobs WHERE run_id = $1 AND outcome = 'human' LIMIT 1", run_id)
    SHOTS.mkdir(exist_ok=True)
    for name, path, locale, size, scheme in (
        ("run", f"/runs/{run_id}", "he-IL", WIDE, "light"),
        ("overview", "/", "en-US", WIDE, "light"),
        ("call", f"/runs/{run_id}/jobs/{job_id}", "en-US", WIDE, "dark"),
        ("phone", f"/runs/{run_id}", "he-IL", PHONE, "light"),
    ):
        context, user = await open_window(site, browser, locale=locale, viewport=size, color_scheme=scheme)
        await user.open(path)
        await user.page.wait_for_timeout(PAUSE_MILLISECONDS)
        await user.page.screenshot(path=SHOTS / f"{name}.png")
        await context.close()
