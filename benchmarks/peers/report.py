"""The table of a race, and its figures as they are written down."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from benchmarks.peers import race, statements
from benchmarks.peers.contenders.contest import LIMIT
from benchmarks.peers.environment import versions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

PGBENCH_KEYS = 1_000
ENOUGH_A_SECOND = 30_000  # more leads than pgbench can call


def run_peers(console: Console, keys: Sequence[int], calls: int, seconds: float, pgbench_seconds: float) -> dict[str, Any]:
    """Every contender with `calls` jobs over each number of `keys`, for `seconds` at most, and pgbench with our statements alone."""
    found: dict[str, Any] = {}
    for number in keys:
        results = []
        for contender in race.ALL:
            console.print(f"peers: {contender.name}, {number:,} keys, {calls:,} jobs of 10 ms, {race.WORKERS} workers ...")
            results.append(asyncio.run(race.race(contender, number, max(1, calls // number), seconds)))
        console.print(_table(number, results))
        found[str(number)] = {one.name: asdict(one) | {"calls_a_second": one.calls_a_second, "holds": one.holds} for one in results}
    console.print(f"peers: pgbench with our claim and record, {PGBENCH_KEYS:,} keys ...")
    leads = round(ENOUGH_A_SECOND * pgbench_seconds / PGBENCH_KEYS)
    bare = asyncio.run(statements.bare(PGBENCH_KEYS, leads, pgbench_seconds))
    console.print(f"pgbench: {bare.calls_a_second:,.0f} calls a second")
    return {**found, "pgbench": asdict(bare) | {"calls_a_second": bare.calls_a_second}, "versions": _versions()}


def _versions() -> dict[str, dict[str, str]]:
    """Of each peer: its own version, and that of its Python."""
    peers = {peer.name: peer.requirements for peer in race.ALL if peer.requirements}
    locked = {requirements: versions(requirements) for requirements in set(peers.values())}
    return {name: {"version": locked[one][name], "python": locked[one]["python"]} for name, one in peers.items()}


def _table(keys: int, results: Sequence[race.Result]) -> Table:
    ours = results[0].calls_a_second
    best = max((one.calls_a_second for one in results[1:] if one.holds), default=0.0)
    title = f"{keys:,} keys, at most {LIMIT} calls of each at once"
    if best:
        title += f": {ours / best:.1f} times the best that holds it"
    table = Table("queue", "limit for a key", "calls a second", "done", "most at once", "over the limit", title=title)
    for one in results:
        limit = _limit(one)
        done = f"{one.recorded:,} of {one.jobs:,}"
        table.add_row(one.name, limit, f"{one.calls_a_second:,.0f}", done, str(one.most_at_once), f"{one.over_limit:,}")
    return table


def _limit(one: race.Result) -> str:
    if not one.keyed:
        return "none"
    if one.holds:
        return "held"
    return "broken" if one.over_limit else "of each node"
