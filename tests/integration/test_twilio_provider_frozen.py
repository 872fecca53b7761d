"""A worker that is frozen between its claim and the first byte of the POST sends nothing when it resumes after the deadline.

A check before connecting only let such a worker send 3.8 s late; a check before the task that writes, 3 s late (protocol section 2).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Final

import pytest

from dialer.clock import SystemClock

ROOT: Final = Path(__file__).parents[2]
PATIENCE_SECONDS: Final = 30.0
DEADLINE_SECONDS: Final = 3.0  # the worker has to get as far as the connection in this time, also on a busy machine
LATE_SECONDS: Final = 0.2
SOCKET_BYTES: Final = 65_536

# A real process with the real provider, which stops itself (SIGSTOP) as its connection opens, or when the request has got it.
WORKER: Final = f"""
import asyncio, os, signal, sys
from pydantic import SecretStr
from dialer.clock import SystemClock
from telephony.twilio.client import TwilioProvider
from telephony.twilio.connector import ConnectionPool
from telephony.provider import Account, CallRequest

original = getattr(ConnectionPool, sys.argv[2])

async def stopped(self, *arguments, **keywords):
    connection = await original(self, *arguments, **keywords)
    os.kill(os.getpid(), signal.SIGSTOP)
    return connection

setattr(ConnectionPool, sys.argv[2], stopped)

async def main():
    clock = SystemClock()
    provider = TwilioProvider(sys.argv[1], clock)
    request = CallRequest("+97250000001", "+97237000000", "https://x.example/", "https://x.example/", 30, 600)
    deadline = clock.boot() + {DEADLINE_SECONDS}
    print(deadline, flush=True)
    print(await provider.place(Account("AC" + "0" * 32, SecretStr("token")), request, deadline=deadline), flush=True)
    await provider.close()

asyncio.run(main())
"""


class Listener:
    """A server that takes one connection, says nothing, and keeps what it is sent."""

    def __init__(self) -> None:
        self.received = b""
        self.over = asyncio.Event()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(SOCKET_BYTES):
                self.received += data
        finally:
            writer.close()
            self.over.set()


async def until_stopped(pid: int) -> None:
    """Wait until the kernel reports the process as stopped; WNOWAIT leaves the report readable."""
    await asyncio.to_thread(os.waitid, os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)


async def until_boot(seconds: float) -> None:
    """Wait until the boot clock shows `seconds`."""
    passed = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(max(0.0, seconds - SystemClock().boot()), passed.set_result, None)
    await passed


@pytest.mark.parametrize(
    ("frozen_seconds", "outcome", "sent"), [(DEADLINE_SECONDS + LATE_SECONDS, "UnsentCall", b""), (0.0, "UnansweredCall", b"POST /")]
)
@pytest.mark.parametrize("stops_in", ["_create_connection", "connect"])
async def test_a_frozen_worker_sends_nothing_late(stops_in: str, frozen_seconds: float, outcome: str, sent: bytes) -> None:
    listener = Listener()
    server = await asyncio.start_server(listener.accept, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, url, stops_in, cwd=ROOT, stdout=PIPE)
    assert worker.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            start = float(await worker.stdout.readline()) - DEADLINE_SECONDS
            await until_stopped(worker.pid)
            await until_boot(start + frozen_seconds)
            worker.send_signal(signal.SIGCONT)
            assert outcome in (await worker.stdout.readline()).decode()
            assert await worker.wait() == 0
            await listener.over.wait()
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()
        server.close()
    assert listener.received[:6] == sent
