"""Each code of the table of refusals, sent by the simulator, becomes of lead and run what its action says.

In the answer to the request for a call a real worker meets it; in the last callback of a call that was accepted, the web process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialer.messages import CommandType
from telephony import refusals, simulator
from telephony.refusals import Action
from telephony.simulator import Course, Scenario
from tests.integration.test_simulator_hears_us import SimulatedSite, us
from tests.integration.test_worker import Floor, floor, until
from tests.web_site import RUNS

if TYPE_CHECKING:
    from tests.rows import DatabaseFixture

__all__ = ["floor", "us"]

CODES = {rule.code: rule.action for rule in refusals.CODES if rule.code is not None}
# Of a lead the state of its job and the outcome; the state of its run, and the code that paused it.
Fate = tuple[str, str | None, str, int | None]
JOB = "SELECT status, outcome FROM outbound_call_jobs WHERE run_id = $1"
# The attempts that are over; of an account's refusal and of one that is to be tried again, the run has heard of it.
SETTLED = """
SELECT count(DISTINCT a.business_id) FROM dialer.attempts a JOIN outbound_call_runs r ON r.id = a.run_id
WHERE a.state = 'over' AND r.status = 'completed' OR a.state = 'not_sent' AND (r.status = 'paused' OR r.business_id = ANY ($1))
"""


def fate(action: Action, code: int, outcome: str) -> Fate:
    """What becomes of a lead that ends with this code."""
    match action:
        case Action.LEAD:
            return "failed", outcome, "completed", None
        case Action.ACCOUNT:
            return "queued", None, "paused", code
        case _:
            return "queued", None, "running", None


async def met(database: DatabaseFixture, business: int, run: int) -> Fate:
    """What has become of the only lead of a run."""
    job, seen = await database.pool.fetchrow(JOB, run), await database.checked_run(business, run)
    assert job
    cause = seen.last_error_cause or {"kind": "account_refused", "code": None}
    assert cause["kind"] == "account_refused"
    assert cause["code"] is None or str(cause["code"]) in (seen.last_error or "")
    return job["status"], job["outcome"], seen.status, cause["code"]


async def test_a_code_in_the_last_callback_of_a_call(us: SimulatedSite) -> None:
    found = {}
    for n, code in enumerate(CODES):
        phone = f"+9725000001{n:02}"
        us.sim.set_number(phone, [Course(error_code=code)])
        await us.call(phone=phone)
        run = (await us.site.get(RUNS)).json["items"][0]["run_id"]
        found[code] = await met(us.site.database, us.site.business, run)
        await us.site.database.command(us.site.business, CommandType.CANCEL, run)
    assert found == {code: fate(action, code, "failed") for code, action in CODES.items()}


async def test_a_code_in_the_answer_to_the_request_for_a_call(floor: Floor) -> None:
    database = floor.database
    # Each business has an account of its own, so that no refusal holds up the calls of another.
    accounts = {f"AC{code:032}": simulator.TEST_TOKEN for code in CODES}
    runs: dict[int, tuple[int, int]] = {}
    async with simulator.running(port=0, accounts={simulator.TEST_ACCOUNT: simulator.TEST_TOKEN, **accounts}, speed=50) as twilio:
        for code, account in zip(CODES, accounts, strict=True):
            phone = f"+1202555{len(runs):04}"
            twilio.set_number(phone, [Course(scenario=Scenario.REFUSED, error_code=code)])
            business = await database.business()
            await database.own_account(business, account, simulator.TEST_TOKEN)
            runs[code] = business, await database.run(business, [phone])
        waiting = [business for code, (business, _) in runs.items() if CODES[code] is Action.WAIT]

        async def all_are_settled() -> bool:
            return bool(await database.pool.fetchval(SETTLED, waiting) == len(CODES))

        async with floor.worker(twilio.url):
            await until(all_are_settled)
        assert not twilio.call_log.calls
    found = {code: await met(database, *run) for code, run in runs.items()}
    assert found == {code: fate(action, code, "refused") for code, action in CODES.items()}
