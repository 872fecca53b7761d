"""The simulator knows its calls after a restart, as a telephone company does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import SecretStr

from dialer.clock import SystemClock
from telephony import simulator
from telephony.provider import Account, CallFacts, CallRequest, NoSuchCall, PlacedCall
from telephony.twilio.client import TwilioProvider

if TYPE_CHECKING:
    from pathlib import Path

ACCOUNT = Account(simulator.TEST_ACCOUNT, SecretStr(simulator.TEST_TOKEN))
REQUEST = CallRequest("+97250000001", "+97237000000", "http://127.0.0.1:9/t", "http://127.0.0.1:9/c", 30, 600)


async def test_a_call_of_an_earlier_life_is_known_and_over(tmp_path: Path) -> None:
    log_file = tmp_path / "calls.jsonl"
    sids: list[str] = []
    for resume in (False, True, True):
        async with simulator.running(call_log_file=log_file, resume=resume, scenario="slow") as sim:
            provider = TwilioProvider(sim.url, SystemClock())
            for sid in sids:
                facts = await provider.fetch(ACCOUNT, sid)
                assert isinstance(facts, CallFacts)
                assert (facts.status, facts.to, facts.created_at is not None) == ("failed", REQUEST.to, True)
            placed = await provider.place(ACCOUNT, REQUEST, deadline=SystemClock().boot() + 5)
            assert isinstance(placed, PlacedCall)
            sids.append(placed.sid)
            assert {call.sid for call in (await provider.list_live(ACCOUNT)).calls} == {placed.sid}
            await provider.close()
    async with simulator.running(call_log_file=log_file) as sim:
        provider = TwilioProvider(sim.url, SystemClock())
        assert await provider.fetch(ACCOUNT, sids[0]) == NoSuchCall(), "asked to begin anew, it does"
        await provider.close()


async def test_half_a_line_of_a_killed_process_is_passed(tmp_path: Path) -> None:
    log_file = tmp_path / "calls.jsonl"
    async with simulator.running(call_log_file=log_file, scenario="slow") as sim:
        provider = TwilioProvider(sim.url, SystemClock())
        await provider.place(ACCOUNT, REQUEST, deadline=SystemClock().boot() + 5)
        await provider.close()
    with log_file.open("a", encoding="utf-8") as file:
        file.write('{"at": "2026-01-01T00:00:00+00:00", "event": "crea')
    async with simulator.running(call_log_file=log_file, resume=True) as sim:
        assert len(sim.call_log.calls) == 1
        sim.call_log.receive(simulator.TEST_ACCOUNT, REQUEST.to, REQUEST.from_)
    assert json.loads(log_file.read_text(encoding="utf-8").splitlines()[-1])["event"] == "request"
