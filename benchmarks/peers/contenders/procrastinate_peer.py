"""procrastinate: its keyed limit is a lock, which admits one job over all workers; three locks for each key, given in turn, admit three."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from contest import CONCURRENCY, LIMIT, Contest, main
from procrastinate import App, PsycopgConnector


async def load(contest: Contest) -> None:
    """Install and defer."""
    app = _app(contest)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for number, key in enumerate(contest.of_each()):
            await app.configure_task("call", lock=f"key{key}:{number // contest.keys % LIMIT}").defer_async(key=key)


async def work(contest: Contest) -> None:
    """Work until all is done."""
    app = _app(contest)
    async with app.open_async():
        working = asyncio.create_task(app.run_worker_async(concurrency=CONCURRENCY, install_signal_handlers=False))
        await contest.watch(lambda: _succeeded(app))
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


def _app(contest: Contest) -> App:
    app = App(connector=PsycopgConnector(conninfo=contest.database, max_size=10))

    @app.task(name="call")
    async def call(key: int) -> None:
        await contest.log.call(key)

    return app


async def _succeeded(app: App) -> int:
    rows = await app.connector.execute_query_all_async("SELECT count(*) AS n FROM procrastinate_jobs WHERE status = 'succeeded'")
    return rows[0]["n"]


main(load, work)
