"""The page of the simulator: it shows accounts, calls and what they heard, and its forms switch faults and set courses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from telephony.simulator import Faults, Scenario
from telephony.simulator.accounts.account_record import SimulatorAccount
from tests.simulator_client import FROM, TO, running_here, twiml

if TYPE_CHECKING:
    from tests.simulator_client import Here

ACCOUNT = SimulatorAccount.model_validate(
    {"sid": "AC" + "5" * 32, "auth_token": "hidden token", "friendly_name": "<b>Ours</b>", "numbers": [FROM], "signing_key": None}
)


async def page(here: Here) -> str:
    async with here.client.get("/simulator") as response:
        assert (response.status, response.content_type) == (200, "text/html")
        return await response.text()


async def send(here: Here, form: str, fields: dict[str, str], **headers: str) -> tuple[int, str]:
    async with here.client.post(f"/simulator/page/{form}", data=fields, headers=headers, allow_redirects=False) as response:
        return response.status, await response.text()


async def test_it_shows_accounts_calls_and_what_they_heard_escaped() -> None:
    async with running_here([ACCOUNT]) as here:
        assert "No calls yet" in await page(here)
        await here.heard('<Gather numDigits="1" timeout="1"><Say language="he-IL">&lt;i&gt;שלום</Say></Gather>')
        await here.heard("<Shout/>")
        await here.heard("<Pause/><Say>second</Say>")
        text = await page(here)
        for shown in ("&lt;b&gt;Ours&lt;/b&gt;", FROM, TO, "completed", "language=he-IL", "second", "error 12200"):
            assert shown in text, shown
        assert "hidden token" not in text


async def test_its_forms_switch_faults_on_and_off() -> None:
    async with running_here() as here:
        fields = {name: str(value) for name, value in Faults().model_dump().items()} | {"throttle": "1", "refuse_body": "html", "twice": ""}
        assert (await send(here, "faults", fields))[0] == 303
        assert here.sim.faults == Faults(throttle=1, refuse_body="html")
        assert "<option selected>html</option>" in await page(here)
        status, text = await send(here, "faults", {"throttle": "2"})
        assert status == 400
        assert "throttle" in text
        assert here.sim.faults.throttle == 1
        assert (await send(here, "no-faults", {}))[0] == 303
        assert here.sim.faults == Faults()


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_form_of_another_site_changes_nothing(site: str) -> None:
    async with running_here() as here:
        assert (await send(here, "faults", {"throttle": "1"}, **{"Sec-Fetch-Site": site}))[0] == 403
        assert here.sim.faults == Faults()


async def test_its_forms_set_a_number_and_press_keys() -> None:
    async with running_here() as here:
        assert (await send(here, "numbers", {"to": TO, "scenario": "refused", "error_code": "21216"}))[0] == 303
        assert (await here.place())[1]["code"] == 21216
        assert (await send(here, "numbers", {"to": TO, "scenario": "nothing"}))[0] == 400
        assert (await send(here, "numbers", {"to": TO, "scenario": "slow", "digits": "1 2"}))[0] == 303
        assert here.sim.course(TO).digits == ("1", "2")
        here.sim.set_number(TO, [Scenario.SLOW])
        here.program.documents["/script"] = twiml('<Gather numDigits="1" timeout="60000"/><Say>done</Say>')
        call = await here.call()
        await here.until_heard(call, 1)
        assert "Press keys" in await page(here)
        assert (await send(here, "keys", {"sid": call.sid, "keys": "x"}))[0] == 400
        assert (await send(here, "keys", {"sid": call.sid, "keys": "7"}))[0] == 303
        await here.until_heard(call, 2)
        assert call.heard[0]["pressed"] == "7"
