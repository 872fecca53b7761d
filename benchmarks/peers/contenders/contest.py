"""The work of a contender, its log of calls and its command line. Of packages only uvloop: peers have their own environment."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

CALL_SECONDS = 0.01
LIMIT = 3
CONCURRENCY = 250  # jobs that a worker of a peer runs at once, where it asks
ENTRY = struct.Struct("<qi")  # time in ns, key + 1 when a call begins, -(key + 1) when it ends
POLL_SECONDS = 0.05


class CallLog:
    """Writes down when each call begins and ends; the clock is the machine's, so that the files of several processes can be merged."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self._written_at = 0.0

    @property
    def at_rest(self) -> bool:
        """Whether no call has begun or ended here for a moment, so that asking the store disturbs nothing."""
        return time.monotonic() - self._written_at > 2 * POLL_SECONDS

    async def call(self, key: int) -> None:
        """Be a call of `key`, of 10 ms."""
        self._write(key + 1)
        await asyncio.sleep(CALL_SECONDS)
        self._write(-(key + 1))

    def _write(self, entry: int) -> None:
        self._file.write(ENTRY.pack(time.monotonic_ns(), entry))
        self._written_at = time.monotonic()

    def close(self) -> None:
        """Write the rest to the file."""
        self._file.close()


@dataclass(slots=True)
class Contest:
    """`jobs` jobs of each of `keys` keys, at most three of a key at once; this process is number `worker`, from 0, of `workers`."""

    keys: int
    jobs: int
    database: str
    redis: str
    seconds: float
    worker: int
    workers: int
    log: CallLog
    done: int = 0

    @property
    def total(self) -> int:
        """How many jobs there are."""
        return self.keys * self.jobs

    def of_each(self) -> list[int]:
        """The keys of all jobs, side by side: 0, 1, … and again."""
        return [key for _ in range(self.jobs) for key in range(self.keys)]

    async def watch(self, recorded: Callable[[], Awaitable[int]]) -> None:
        """Wait until every job is recorded as done, or time is up; `recorded` asks the contender's own store how many are."""
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            if self.log.at_rest and (await recorded()) >= self.total:
                break
            await asyncio.sleep(POLL_SECONDS)
        self.done = await recorded()


def main(load: Callable[[Contest], Coroutine[Any, Any, None]], work: Callable[[Contest], Coroutine[Any, Any, None]]) -> None:
    """Enqueue with `--load`, else work until all is done and print as JSON how many are."""
    flags = argparse.ArgumentParser()
    flags.add_argument("--load", action="store_true")
    for name in ("keys", "jobs", "worker", "workers"):
        flags.add_argument(f"--{name}", type=int, required=True)
    flags.add_argument("--seconds", type=float, required=True)
    for name in ("database", "redis"):
        flags.add_argument(f"--{name}", required=True)
    flags.add_argument("--log", type=Path, required=True)
    options = vars(flags.parse_args())
    role = load if options.pop("load") else work
    contest = Contest(**{**options, "log": CallLog(options["log"])})
    try:
        # As our worker does, and the command lines of pgqueuer, oban and taskiq.
        uvloop.run(_play(role, contest))
    finally:
        contest.log.close()


async def _play(role: Callable[[Contest], Coroutine[Any, Any, None]], contest: Contest) -> None:
    await role(contest)
    contest.log.close()
    print(json.dumps({"done": contest.done}), flush=True)
    # What was measured is written; a queue that is stopped amid its work may wait for its own tasks for ever.
    os._exit(0)
