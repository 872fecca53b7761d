"""A business with a run that another service starts by the stream, and the settings of the worker that calls it."""

from __future__ import annotations

from typing import Any

from dialer.config import Settings
from sql.businesses.businesses import Businesses
from sql.runs.new_lead import NewLead
from sql.runs.new_run import NewRun, Request
from sql.runs.runs import Runs
from telephony import simulator


async def loaded(pool: Any, leads: int, *, runs: int = 1) -> tuple[int, ...]:  # noqa: ANN401 - asyncpg's pool has its type in sql alone
    """A business, and so many of its runs, each pending with so many leads: their ids."""
    business = await Businesses(pool).create(name="Shop", caller_id="+12025550100", region="US", timezone="America/New_York", max_calls=3)
    rows = [NewLead(n, f"+1202555{n:04}", None, "UTC") for n in range(1, leads + 1)]
    answers = [
        (await Runs(pool).create(NewRun(business, "run", 3, rows), Request(f"http:load{n}", b"", "test", {})))[0] for n in range(runs)
    ]
    return business, *(int(answer["run_id"]) for answer in answers)


def settings(database_url: str, redis_url: str, api_url: str) -> Settings:
    """The settings of a worker that dials on the simulator at `api_url`."""
    return Settings.model_validate(
        {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "PUBLIC_URL": "http://127.0.0.1:9",
            "SECRET_KEY": "s" * 32,
            "TWILIO_ACCOUNT_SID": simulator.TEST_ACCOUNT,
            "TWILIO_AUTH_TOKEN": simulator.TEST_TOKEN,
            "TWILIO_API_URL": api_url,
            "DIALER_CALLS_PER_SECOND": 0,
        }
    )
