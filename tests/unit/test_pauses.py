"""When the results of its POSTs pause a run."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from actors.dispatch.run_pauser import RunPauser
from dialer.concurrency.tasks import Tasks
from telephony import refusals
from telephony.provider import PlacedCall, UnansweredCall
from telephony.twilio.connector import _date

if TYPE_CHECKING:
    from actors.services import Services
    from telephony.provider import PlaceResult

RUN = 7
BROKEN = UnansweredCall("HTTP 503")
FOREIGN = UnansweredCall("HTTP 403", foreign=True)


async def pauses_after(*results: PlaceResult) -> list[str]:
    """The reasons for which the run was paused by these results."""
    reasons: list[str] = []

    async def pause(_business: int, _run: int, why: str, _cause: dict[str, object]) -> None:
        await asyncio.sleep(0)
        reasons.append(why)

    tasks = Tasks()
    pauser = RunPauser(cast("Services", SimpleNamespace(workers=SimpleNamespace(pause=pause))), tasks)
    for result in results:
        pauser.note_result(1, RUN, result)
    await tasks.finish(10.0)
    return reasons


@pytest.mark.parametrize(
    ("results", "text"),
    [
        ([FOREIGN] * refusals.FOREIGN_IN_A_ROW, "5 calls in a row were answered by something other than the provider"),
        ([BROKEN] * refusals.UNANSWERED_IN_A_ROW, "no usable answer to 20 calls"),
        ([BROKEN, FOREIGN] * refusals.FOREIGN_IN_A_ROW, "5 of 10 calls in a row were answered by something other than the provider"),
        ([*[BROKEN] * (refusals.UNANSWERED_IN_A_ROW - 1), FOREIGN], "no usable answer to 20 calls"),
    ],
)
async def test_answers_that_prove_nothing_are_counted_together(results: list[PlaceResult], text: str) -> None:
    [reason] = await pauses_after(*results)
    assert text in reason
    assert await pauses_after(*results[:-1]) == []


async def test_a_call_that_is_placed_begins_the_count_anew() -> None:
    assert await pauses_after(*([FOREIGN] * 4), PlacedCall("CA1", "queued"), *([FOREIGN, BROKEN] * 4)) == []


@pytest.mark.parametrize("text", ["Mon, 01 Jan 2026 00:00:00 +99999999999999", "Mon, 01 Jan 2026 00:00:00 +9999", "x", "", "1 2 3"])
def test_an_odd_date_of_the_other_side_is_none(text: str) -> None:
    assert _date(text) is None
