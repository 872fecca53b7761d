"""`python -m benchmarks.bare`: the least that a dialer must do over HTTP, in one loop without a database.

It sends the requests that the product sends, checks each signature, answers a greeting, and places the next call when one is over. It reads
its numbers from `--calls` and `--lines`, and prints one JSON object when all calls are over.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

import aiohttp
import uvloop
from aiohttp import web as http
from multidict import MultiDict

from dialer.config import load
from telephony.twilio import callbacks
from telephony.twilio.client import EVENTS

if TYPE_CHECKING:
    from dialer.config import Settings

GREETING = '<?xml version="1.0" encoding="UTF-8"?><Response><Say>Hello</Say></Response>'


class BareLoop:
    """Places `calls` calls, `lines` at a time."""

    def __init__(self, settings: Settings, calls: int, lines: int) -> None:
        self._settings = settings
        self._left = calls
        self._lines = lines
        self._over: dict[str, asyncio.Event] = {}

    async def run(self) -> float:
        """Serve and dial; return how many seconds the calls took."""
        app = http.Application()
        app.router.add_post("/callbacks/{reference}", self._callback)
        app.router.add_post("/twiml/{reference}", self._twiml)
        runner = http.AppRunner(app, access_log=None)
        await runner.setup()
        await http.TCPSite(runner, port=self._settings.port).start()
        credentials = aiohttp.encode_basic_auth(self._settings.twilio_account_sid, self._settings.twilio_auth_token.get_secret_value())
        headers = {"Authorization": credentials}
        async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=128)) as session:
            started_at = time.perf_counter()
            await asyncio.gather(*(self._line(session) for _ in range(self._lines)))
            seconds = time.perf_counter() - started_at
        await runner.cleanup()
        return seconds

    async def _line(self, session: aiohttp.ClientSession) -> None:
        url = f"{self._settings.twilio_api_url}/2010-04-01/Accounts/{self._settings.twilio_account_sid}/Calls.json"
        while self._left > 0:
            self._left -= 1
            reference = str(self._left)
            over = self._over[reference] = asyncio.Event()
            form = {
                "To": f"+1202{self._left:07}", "From": "+12025550100", "Url": f"{self._settings.public_url}/twiml/{reference}",
                "StatusCallback": f"{self._settings.public_url}/callbacks/{reference}#rc=5&rp=all", "StatusCallbackEvent": EVENTS,
                "StatusCallbackMethod": "POST", "Timeout": 30, "TimeLimit": 600,
            }  # fmt: skip
            body = urlencode(form, doseq=True).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            async with session.post(url, data=body, headers=headers) as response:
                await response.json()
            await over.wait()
            del self._over[reference]

    async def _form(self, request: http.Request) -> MultiDict[str]:
        form = MultiDict(parse_qsl((await request.read()).decode(), keep_blank_values=True))
        if not callbacks.verify(self._settings.public_url, request.path_qs, form, request.headers, self._settings.twilio_auth_token):
            raise http.HTTPForbidden
        return form

    async def _callback(self, request: http.Request) -> http.Response:
        form = await self._form(request)
        if form["CallStatus"] == "completed":
            self._over[request.match_info["reference"]].set()
        return http.Response(status=204)

    async def _twiml(self, request: http.Request) -> http.Response:
        await self._form(request)
        return http.Response(text=GREETING, content_type="text/xml")


def main() -> int:
    """Dial, and print the figures."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks.bare")
    flags.add_argument("--calls", type=int, required=True)
    flags.add_argument("--lines", type=int, required=True)
    options = flags.parse_args()
    seconds = uvloop.run(BareLoop(load(), options.calls, options.lines).run())
    print(json.dumps({"calls": options.calls, "seconds": seconds, "cpu_seconds": time.process_time()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
