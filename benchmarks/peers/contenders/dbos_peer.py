"""dbos: one queue with `partition_concurrency=3` and a partition for each key, which its dequeue enforces over all executors."""

from __future__ import annotations

import asyncpg
from contest import LIMIT, Contest, main
from dbos import DBOS, SetEnqueueOptions

QUEUE = "calls"
POLLING_SECONDS = 0.1  # of the queue: less than its own second, so that it never waits for work
STATE: dict[str, Contest] = {}


@DBOS.workflow(name="call")
async def call(key: int) -> None:
    """Call."""
    await STATE["contest"].log.call(key)


async def load(contest: Contest) -> None:
    """Enqueue in a process that does not work on the queue."""
    _launch(contest, queues=[])
    await DBOS.register_queue_async(QUEUE, partition_concurrency=LIMIT, polling_interval_sec=POLLING_SECONDS)
    for key in contest.of_each():
        with SetEnqueueOptions(queue_partition_key=f"key{key}"):
            await DBOS.enqueue_workflow_async(QUEUE, call, key)
    DBOS.destroy()


async def work(contest: Contest) -> None:
    """Work until all is done."""
    STATE["contest"] = contest
    _launch(contest, queues=[QUEUE])
    store = await asyncpg.connect(contest.database)
    await contest.watch(lambda: store.fetchval("SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'"))
    DBOS.destroy()


def _launch(contest: Contest, queues: list[str]) -> None:
    DBOS(
        config={
            "name": "peer",
            "system_database_url": contest.database,
            "log_level": "ERROR",
            "sys_db_pool_size": 20,
            "application_version": "1",
            "executor_id": f"worker{contest.worker}",
        }
    )
    DBOS.listen_queues(queues)
    DBOS.launch()


main(load, work)
