"""oban: a queue for each key with a limit of 3, which each node keeps for itself."""

from __future__ import annotations

from contest import LIMIT, Contest, main
from oban import Oban, worker
from oban.schema import install
from psycopg_pool import AsyncConnectionPool

STATE: dict[str, Contest] = {}


@worker()
class Call:
    """The job."""

    async def process(self, job) -> None:  # noqa: ANN001 oban's Job
        """Call."""
        await STATE["contest"].log.call(job.args["key"])


async def load(contest: Contest) -> None:
    """Install and enqueue."""
    async with AsyncConnectionPool(contest.database) as pool:
        await install(pool)
        await Oban(pool=pool).enqueue_many([Call.new({"key": key}, queue=f"key{key}") for key in contest.of_each()])


async def work(contest: Contest) -> None:
    """Work until all is done."""
    STATE["contest"] = contest
    async with AsyncConnectionPool(contest.database, min_size=2, max_size=10) as pool:
        node = Oban(pool=pool, queues={f"key{key}": LIMIT for key in range(contest.keys)})
        await node.start()
        await contest.watch(lambda: _completed(pool))
        await node.stop()


async def _completed(pool: AsyncConnectionPool) -> int:
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM oban_jobs WHERE state = 'completed'")
        return (await cursor.fetchone())[0]


main(load, work)
