"""`python -m benchmarks.console.listeners`: many streams of events at once, and how late each event comes.

It reads a JSON object from its input: `url` of the web process, `tokens` of the businesses, and how many `clients` share them. It prints a
line when all are connected; when its input ends, it prints how long after its change was recorded each `job.changed` came, in seconds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import datetime
from urllib.parse import urlsplit

import uvloop

AT_ONCE = 50
EVENTS = "/api/outbound/events"
OUTCOME = b"event: job.changed"
DATA = b"data: "


class Listeners:
    """So many clients, each with a connection of its own."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._connecting = asyncio.Semaphore(AT_ONCE)
        # Without them the connections would be closed.
        self._writers: list[asyncio.StreamWriter] = []
        self.late: list[float] = []

    async def connect(self, token: str) -> asyncio.StreamReader:
        """A stream of events, read up to the end of its headers."""
        async with self._connecting:
            reader, writer = await asyncio.open_connection(self._address.hostname, self._address.port)
            self._writers.append(writer)
            writer.write(f"GET {EVENTS} HTTP/1.1\r\nHost: {self._address.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise ConnectionError(head.decode())
        return reader

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Note when outcomes come, until cancelled."""
        is_outcome = False
        while line := await reader.readline():
            if line.startswith(DATA) and is_outcome:
                self.late.append(time.time() - datetime.fromisoformat(json.loads(line[len(DATA) :])["at"]).timestamp())
            is_outcome = line.startswith(OUTCOME)


async def run() -> None:
    """Connect, listen, and print."""
    wanted = json.loads(await asyncio.to_thread(sys.stdin.readline))
    listeners, tokens = Listeners(wanted["url"]), wanted["tokens"]
    readers = await asyncio.gather(*(listeners.connect(tokens[n % len(tokens)]) for n in range(wanted["clients"])))
    async with asyncio.TaskGroup() as tasks:
        listening = [tasks.create_task(listeners.listen(reader)) for reader in readers]
        print(json.dumps({"connected": len(readers)}), flush=True)
        # What came while calls began is not counted: from the first line on, until the input ends.
        await asyncio.to_thread(sys.stdin.readline)
        listeners.late.clear()
        await asyncio.to_thread(sys.stdin.read)
        over = sum(task.done() for task in listening)
        for task in listening:
            task.cancel()
    print(json.dumps({"late": listeners.late, "over": over}))


if __name__ == "__main__":
    uvloop.run(run())
