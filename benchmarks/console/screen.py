"""While many businesses dial: from an outcome to streams of events and to an open page; how soon a Stop in a browser is answered."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from aiohttp import ClientTimeout

from benchmarks.console.browser import add_user, chromium, signed_in
from benchmarks.console.listeners import DATA
from benchmarks.console.stops import press_stop
from benchmarks.latency import Spread
from benchmarks.system import LINES, System, phone
from ringmaster.local.process import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Page

# Simulated seconds a second: calls of some 33 s, as people have.
SPEED = 1.0
SHORT_TALK_SECONDS = 1.0
SHORTEST_CALL_SECONDS = 3.0  # with its ringing
WARM_UP_SECONDS = 45.0
CONNECT_SECONDS = 60.0
LARGEST_LINE = 1 << 28
# Tells us each time the sentence of the page counts more people called.
WATCH = """() => {
  let called = -1;
  const look = () => {
    const now = Number(document.querySelector("#sentence")?.textContent.replaceAll(",", "").match(/(\\d+) of /)?.[1] ?? 0);
    if (now === called) return;
    called = now;
    window.shown(now, Date.now() / 1000);
  };
  new MutationObserver(look).observe(document.querySelector("#results"), { subtree: true, childList: true, characterData: true });
  look();
}"""


@dataclass(frozen=True, slots=True)
class Screen:
    """Of so many businesses with all lines in use, and so many clients; `over` of these lost their stream."""

    businesses: int
    clients: int
    over: int
    calls_a_second: float
    clients_late: Spread
    page_late: Spread
    stop: Spread
    cpu: dict[str, float]


async def measure(businesses: int, clients: int, seconds: float, stops: int) -> Screen:
    """Dial, listen and look for so long; then press Stop so often."""
    leads = int(LINES * (WARM_UP_SECONDS + seconds) / SHORTEST_CALL_SECONDS) + LINES
    async with System(speed=SPEED) as system:
        runs = await system.businesses(businesses, leads)
        tokens = [await system.token(business) for business in runs]
        watched, run_id = next(iter(runs.items()))
        await add_user(system, watched)
        # The people of the run that is looked at say little, so that many outcomes are seen.
        await system.tell_simulator("numbers", {phone(0, lead): {"talk_seconds": SHORT_TALK_SECONDS} for lead in range(1, leads + 1)})
        async with (
            _listeners(system, tokens, clients) as listeners,
            chromium() as browser,
            _outcomes(system, tokens[0], run_id) as recorded,
        ):
            page = await (await signed_in(system, browser, "en-US")).new_page()
            shown = await _watch(page, f"{system.environment['PUBLIC_URL']}/runs/{run_id}")
            await system.start_workers()
            await system.until_over(1)
            await asyncio.sleep(WARM_UP_SECONDS)
            listeners.stdin.write(b"\n")  # type: ignore[union-attr] # it has a pipe
            before, done, began = system.usage(), await system.until_over(0), time.time()
            await asyncio.sleep(seconds)
            after, calls, took = system.usage(), await system.until_over(0) - done, time.time() - began
            out, _ = await listeners.communicate(b"")
            pressed = await press_stop(system, page.context, watched, stops)
    heard = json.loads(out)
    return Screen(
        businesses,
        clients,
        heard["over"],
        calls / took,
        Spread.of(heard["late"]),
        Spread.of(_late(recorded, shown, began)),
        Spread.of(pressed),
        {kind: (after[kind].cpu_seconds - before[kind].cpu_seconds) / took for kind in after if kind in before},
    )


def _late(recorded: list[float], shown: list[tuple[int, float]], began: float) -> list[float]:
    """From each outcome of the run, in the order of their recording, to the first moment at which the page counts it."""
    pairs = [(at, next((moment for called, moment in shown if called >= nth), None)) for nth, at in enumerate(recorded, start=1)]
    return [moment - at for at, moment in pairs if moment is not None and at >= began]


@asynccontextmanager
async def _listeners(system: System, tokens: list[str], clients: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process with so many clients, all connected."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.console.listeners"),
        cwd=CHECKOUT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LARGEST_LINE,
    )  # fmt: skip
    try:
        wanted = {"url": system.environment["PUBLIC_URL"], "tokens": tokens, "clients": clients}
        process.stdin.write(json.dumps(wanted).encode() + b"\n")  # type: ignore[union-attr] # likewise
        async with asyncio.timeout(CONNECT_SECONDS):
            await process.stdout.readline()  # type: ignore[union-attr] # likewise
        yield process
    finally:
        if process.returncode is None:
            process.kill()


@asynccontextmanager
async def _outcomes(system: System, token: str, run_id: int) -> AsyncIterator[list[float]]:
    """When each outcome of a run was recorded, from now on."""
    moments: list[float] = []

    async def listen() -> None:
        url, headers = f"{system.environment['PUBLIC_URL']}/api/outbound/events", {"Authorization": f"Bearer {token}"}
        async with system.http.get(url, headers=headers, timeout=ClientTimeout(total=None)) as response:
            async for line in response.content:
                event = json.loads(line.removeprefix(DATA)) if line.startswith(DATA) else {}
                if event.get("type") == "job.changed" and event["run_id"] == run_id:
                    moments.append(datetime.fromisoformat(event["at"]).timestamp())

    listening = asyncio.create_task(listen())
    try:
        yield moments
    finally:
        listening.cancel()


async def _watch(page: Page, url: str) -> list[tuple[int, float]]:
    """Open a run; the moments at which its page counts so many people called."""
    shown: list[tuple[int, float]] = []
    await page.expose_function("shown", lambda called, at: shown.append((called, at)))
    await page.goto(url)
    await page.evaluate(WATCH)
    return shown
