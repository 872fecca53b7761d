"""Which number a call comes from: the business's, one of a run's own, in turn, or the one nearest to the lead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.web_site import RUNS

if TYPE_CHECKING:
    from tests.web_site import Site

BUSINESS = "/api/business"
MOBILE, JERUSALEM, NEW_YORK, BOSTON = "+972501110000", "+97225550000", "+12125550100", "+16175550100"
OURS = [MOBILE, NEW_YORK, JERUSALEM, BOSTON]
TO_NEW_YORK, TO_CHICAGO, TO_JERUSALEM, TO_MOBILE, TO_LONDON = (
    "+12125550111",
    "+13125550111",
    "+97225551111",
    "+972521234567",
    "+442079460111",
)


async def called_from(site: Site, phones: list[str], **settings: Any) -> list[str]:  # noqa: ANN401 - any field of a run
    """The caller ids of the calls to these phones, in their order."""
    assert (await site.request("PATCH", BUSINESS, json={"caller_ids": OURS, "max_per_day": None}, token="admin")).status == 200
    await site.database.pool.execute("UPDATE dialer.lanes SET max_calls = 20, cap = 20")
    rows = [{"lead_id": n, "phone": phone, "timezone": "Asia/Jerusalem"} for n, phone in enumerate(phones, start=1)]
    loaded = await site.post(RUNS, {"leads": rows, "concurrency": 20, "start": True, **settings})
    assert (loaded.status, loaded.json["accepted"]) == (201, len(phones)), loaded.body
    attempts, _ = await site.database.claim(site.business, permits=20)
    by_phone = {attempt.phone: attempt.from_number for attempt in attempts}
    return [by_phone[phone] for phone in phones]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [MOBILE] * 2),
        ({"caller_id_choice": "first"}, [MOBILE] * 2),
        ({"caller_ids": [BOSTON, MOBILE]}, [BOSTON] * 2),
        ({"caller_id_choice": "local"}, [NEW_YORK, JERUSALEM]),
        ({"caller_id_choice": "local", "caller_ids": [BOSTON, MOBILE]}, [BOSTON, MOBILE]),
    ],
)
async def test_the_caller_id_of_each_call(site: Site, settings: dict[str, Any], expected: list[str]) -> None:
    assert await called_from(site, [TO_NEW_YORK, TO_JERUSALEM], **settings) == expected


async def test_a_mobile_number_has_no_area_and_is_called_from_its_country(site: Site) -> None:
    assert sorted(await called_from(site, [TO_MOBILE, "+972521234568"], caller_id_choice="local")) == sorted([MOBILE, JERUSALEM])


async def test_rotation_goes_on_from_claim_to_claim(site: Site) -> None:
    phones = [f"+9725212345{n:02}" for n in range(6)]
    found = await called_from(site, phones, caller_id_choice="rotate", caller_ids=[BOSTON, NEW_YORK, MOBILE])
    assert sorted(found) == sorted([BOSTON, NEW_YORK, MOBILE] * 2)


async def test_local_rotates_where_no_number_is_near(site: Site) -> None:
    assert sorted(await called_from(site, [TO_LONDON, TO_LONDON.replace("0111", "0112")], caller_id_choice="local")) == sorted(OURS[:2])


async def test_a_number_that_the_business_has_given_up_is_not_used(site: Site) -> None:
    await called_from(site, [TO_LONDON])
    loaded = await site.post(RUNS, {"leads": [{"lead_id": 1, "phone": TO_CHICAGO}], "caller_ids": [BOSTON], "start": True})
    await site.request("PATCH", BUSINESS, json={"caller_ids": [JERUSALEM]}, token="admin")
    [attempt], _ = await site.database.claim(site.business)
    assert (attempt.run_id, attempt.from_number) == (loaded.json["run_id"], JERUSALEM)


async def test_a_caller_id_of_nobody_or_of_another_business_is_refused(site: Site) -> None:
    for number in ("+12025550100", "0501110000", "x"):
        refused = await site.post(RUNS, {"leads": [{"lead_id": 1, "phone": TO_MOBILE}], "caller_ids": [MOBILE, number]})
        assert (refused.status, [detail["field"] for detail in refused.json["details"]]) == (422, ["caller_ids.1"])
    twice = await site.post(RUNS, {"leads": [{"lead_id": 1, "phone": TO_MOBILE}], "caller_ids": [MOBILE, MOBILE]})
    assert (twice.status, twice.json["details"][0]["field"]) == (422, "caller_ids")


async def test_a_csv_names_them_in_its_query(site: Site) -> None:
    query = {"caller_ids": f'["{MOBILE}"]', "caller_id_choice": "rotate"}
    loaded = await site.request("POST", RUNS, params=query, data="lead_id,phone\n1,0521234567\n", headers={"Content-Type": "text/csv"})
    assert loaded.status == 201, loaded.body
    shown = (await site.get(f"{RUNS}/{loaded.json['run_id']}")).json["settings"]
    assert shown == {"caller_ids": [MOBILE], "caller_id_choice": "rotate"}
