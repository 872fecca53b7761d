"""A budget in money: what a claim reserves, what an ended call gives back, when the run waits, and when it pauses."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest

from dialer.messages import CommandType
from dialer.model import AttemptState
from ringmaster.commands.installation.prices import prices_of, rows_of
from sql.attempts.verdicts import VerdictCode
from sql.prices.price_table import Prices
from tests.integration.test_cli_accounts import command
from tests.web_site import RUNS, leads

if TYPE_CHECKING:
    from pathlib import Path

    from sql.attempts.attempts import ClaimedAttempt
    from tests.rows import DatabaseFixture
    from tests.web_site import Site

# The longest call has ten minutes (tests/rows.py): 5.00 in the country, 10.00 on its mobile phones.
PRICES = {"972": Decimal("0.5"), "9725": Decimal(1)}
LANDLINES = [f"+9723612345{n}" for n in range(8)]
MOBILE = "+972501234567"


async def run_with(database: DatabaseFixture, phones: list[str], budget: dict[str, Any], prices: dict[str, Decimal] | None = None) -> int:
    """A started run of a new business with this budget; return its id."""
    await Prices(database.pool).replace(prices or PRICES, "USD", "test")
    run = await database.run(await database.business(), phones)
    await database.pool.execute("UPDATE outbound_call_runs SET settings = $2 WHERE id = $1", run, {"budget": budget})
    return run


def money(amount: str) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD"}


async def claimed(database: DatabaseFixture, run: int) -> tuple[list[ClaimedAttempt], VerdictCode]:
    business = await database.pool.fetchval("SELECT business_id FROM outbound_call_runs WHERE id = $1", run)
    attempts, verdicts = await database.claim(business)
    return attempts, verdicts[business].code


async def state(database: DatabaseFixture, run: int) -> tuple[str, int, Decimal]:
    """The status of a run, how many of its leads are left, and what it has spent."""
    row = await database.pool.fetchrow("SELECT business_id, status, queued_count, amount_spent FROM outbound_call_runs WHERE id = $1", run)
    assert row
    await database.checked_run(row["business_id"], run)
    return row["status"], row["queued_count"], row["amount_spent"]


async def ended(database: DatabaseFixture, attempt: ClaimedAttempt, outcome: str, duration: int | None = None) -> None:
    await database.record(attempt, AttemptState.OVER, outcome=outcome, duration=duration)


async def test_the_longest_call_is_reserved_and_what_it_did_not_use_comes_back(database: DatabaseFixture) -> None:
    run = await run_with(database, LANDLINES, money("12"))
    two, verdict = await claimed(database, run)
    assert (len(two), verdict, await state(database, run)) == (2, VerdictCode.EMPTY, ("running", 6, Decimal(10)))
    assert (await claimed(database, run))[0] == [], "a third call is not covered"
    await ended(database, two[0], "completed", 61)
    await ended(database, two[1], "no-answer")
    assert (await state(database, run))[2] == Decimal(1)
    again, _ = await claimed(database, run)
    assert (len(again), (await state(database, run))[2]) == (2, Decimal(11))
    for attempt in again:
        await ended(database, attempt, "completed", 600)
    assert (await claimed(database, run), await state(database, run)) == (([], VerdictCode.EMPTY), ("paused", 4, Decimal(11)))
    said = await database.pool.fetchval("SELECT last_error FROM outbound_call_runs WHERE id = $1", run)
    assert said == "The budget of 12 USD does not cover another call"


@pytest.mark.parametrize(
    ("outcome", "duration", "spent"),
    [
        ("completed", 0, "0"),
        ("completed", 60, "0.5"),
        ("completed", None, "5"),
        ("lost", None, "5"),
        ("busy", None, "0"),
        ("canceled", 3, "0"),
    ],
)
async def test_what_a_call_costs(database: DatabaseFixture, outcome: str, duration: int | None, spent: str) -> None:
    run = await run_with(database, LANDLINES[:1], money("5"))
    [attempt], _ = await claimed(database, run)
    await ended(database, attempt, outcome, duration)
    assert (await state(database, run))[2] == Decimal(spent)


async def test_a_call_that_was_not_made_costs_nothing_until_it_turns_up(database: DatabaseFixture) -> None:
    run = await run_with(database, LANDLINES[:2], money("5"))
    [attempt], _ = await claimed(database, run)
    await database.record(attempt, AttemptState.UNKNOWN)
    await database.record(attempt, AttemptState.NOT_PLACED, by_person=True)
    assert (await state(database, run))[2] == 0
    await database.record(attempt, AttemptState.LIVE, sid="CA1")
    assert (await state(database, run))[2] == Decimal(5)
    await ended(database, attempt, "completed", 90)
    assert (await state(database, run))[2] == Decimal(1)


async def test_a_dear_lead_at_the_head_waits_and_keeps_its_place(database: DatabaseFixture) -> None:
    run = await run_with(database, [LANDLINES[0], MOBILE, LANDLINES[1]], money("14"))
    [cheap], _ = await claimed(database, run)
    assert await claimed(database, run) == ([], VerdictCode.EMPTY)
    await ended(database, cheap, "busy")
    [dear], _ = await claimed(database, run)
    assert dear.phone == MOBILE
    await ended(database, dear, "completed", 10)
    assert [attempt.phone for attempt in (await claimed(database, run))[0]] == [LANDLINES[1]]


async def test_a_run_whose_money_is_used_up_lets_other_runs_of_its_business_dial(database: DatabaseFixture) -> None:
    run = await run_with(database, LANDLINES, money("5"))
    business = await database.pool.fetchval("SELECT business_id FROM outbound_call_runs WHERE id = $1", run)
    other = await database.run(business, [MOBILE])
    attempts, _ = await database.claim(business)
    assert sorted(attempt.run_id for attempt in attempts) == [run, other]


async def test_a_lead_whose_turn_comes_as_those_of_another_run_are_too_dear_is_checked_too(database: DatabaseFixture) -> None:
    run = await run_with(database, LANDLINES[:3], money("1"))
    business = await database.pool.fetchval("SELECT business_id FROM outbound_call_runs WHERE id = $1", run)
    await database.pool.execute("UPDATE outbound_call_runs SET priority = 1 WHERE id = $1", run)
    await database.pool.execute("INSERT INTO dialer.do_not_call VALUES ($1, $2)", business, MOBILE)
    await database.run(business, [MOBILE, LANDLINES[4]])
    attempts, _ = await database.claim(business)
    assert [attempt.phone for attempt in attempts] == [LANDLINES[4]]
    assert (await state(database, run))[0] == "paused"


async def test_a_raised_budget_goes_on_and_calls_and_money_may_both_be_limited(database: DatabaseFixture) -> None:
    run = await run_with(database, LANDLINES, money("4"))
    assert (await claimed(database, run), (await state(database, run))[0]) == (([], VerdictCode.EMPTY), "paused")
    business = await database.pool.fetchval("SELECT business_id FROM outbound_call_runs WHERE id = $1", run)
    settings = {"budget": {**money("100"), "calls": 2}}
    await database.pool.execute("UPDATE outbound_call_runs SET settings = $2 WHERE id = $1", run, settings)
    await database.command(business, CommandType.RESUME, run)
    assert (len((await claimed(database, run))[0]), (await state(database, run))[0]) == (2, "paused")


async def test_a_number_without_a_price_costs_the_highest_price(database: DatabaseFixture) -> None:
    run = await run_with(database, ["+442079460018"], money("10"))
    await claimed(database, run)
    assert (await state(database, run))[2] == Decimal(10)


async def test_each_currency_has_a_table_of_its_own(database: DatabaseFixture) -> None:
    run = await run_with(database, LANDLINES, money("5"))
    await Prices(database.pool).replace({"972": Decimal(9)}, "EUR", "test")
    await claimed(database, run)
    assert (await state(database, run))[2] == Decimal(5)
    assert (await Prices(database.pool).currencies(), (await Prices(database.pool).table("USD")).prices) == (["EUR", "USD"], PRICES)


async def test_two_imports_at_once_leave_one_table(database: DatabaseFixture) -> None:
    tables = [{f"{n}{k:03}": Decimal(n) for k in range(500)} for n in (1, 2)]
    await asyncio.gather(*(Prices(database.pool).replace(table, "USD", "test") for table in tables))
    assert (await Prices(database.pool).table("USD")).prices in tables


async def test_what_was_counted_in_one_currency_is_not_continued_in_another(site: Site) -> None:
    for currency in ("USD", "EUR"):
        await Prices(site.database.pool).replace(PRICES, currency, "test")
    run = f"{RUNS}/{(await site.post(RUNS, {'leads': leads(3), 'budget': money('25'), 'start': True})).json['run_id']}"
    await site.database.claim(site.business)
    assert (await site.request("PATCH", run, json={"budget": {"calls": 2}}, token="admin")).status == 200
    refused = await site.request("PATCH", run, json={"budget": {"amount": "5", "currency": "EUR"}}, token="admin")
    assert (refused.status, refused.json["details"][0]["field"]) == (422, "budget.currency")
    assert (await site.get(run)).json["spent"]["currency"] == "USD"


async def test_a_free_call_is_no_reason_to_pause(database: DatabaseFixture) -> None:
    run = await run_with(database, [LANDLINES[0], "+15550000001"], money("5"), {**PRICES, "1": Decimal(0)})
    [paid, free], _ = await claimed(database, run)
    await ended(database, paid, "completed", 600)
    await database.record(free, AttemptState.NOT_SENT)
    await database.pool.execute("UPDATE outbound_call_runs SET settings = $2 WHERE id = $1", run, {"budget": money("1")})
    assert [attempt.phone for attempt in (await claimed(database, run))[0]] == ["+15550000001"]


PRICE_COLUMNS = "price (or price / min); its columns are:"
FILE = """\ufeff"ISO","Country","Description","Price / min","Destination Prefixes"
"IL","Israel","Israel","0.0152","972"
"IL","Israel","Israel - Mobile","0.1240","9725, 97250,97252"
"IL","Israel","Israel - Mobile again","0.0900","9725"
,,,,
"""


async def test_a_table_is_imported(database: DatabaseFixture, database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(FILE, encoding="utf-8")
    done = await command(database_url, "prices", "import", "--file", str(file), "--currency", "USD", "--by", "Dana")
    assert (done.code, done.out.strip()) == (0, "4 prefixes with prices in USD")
    table = (await Prices(database.pool).table("USD")).prices
    assert table == {"972": Decimal("0.0152"), **dict.fromkeys(("9725", "97250", "97252"), Decimal("0.124"))}
    assert (
        await database.pool.fetchval("SELECT actor || ' ' || action FROM dialer.audit_log WHERE business_id = 0")
        == "cli:Dana prices.import"
    )


def test_semicolons_separate_cells_too() -> None:
    assert prices_of(rows_of(StringIO("Prefix;Price\n+972,+1;0.5\n"))) == {"972": Decimal("0.5"), "1": Decimal("0.5")}


@pytest.mark.parametrize(
    ("text", "currency", "told"),
    [
        ("prefix,price\n+972,cheap\n", "USD", "row 2: cheap is not a price per minute such as 0.0135"),
        ("prefix,price\n+972,0.1\n+0,1\n", "USD", "row 3: +0 is not a prefix such as +9725"),
        ("prefix,cost\n", "USD", f"the file has no column {PRICE_COLUMNS} prefix, cost"),
        (
            "prefix,price,Price\n+1,1,2\n",
            "USD",
            "the file has more than one column price (or price / min); its columns are: prefix, price, Price",
        ),
        ("", "USD", "the file has no column prefix (or destination prefixes); its columns are: none"),
        ("prefix,price\n", "USD", "the file has no row with a column prefix and a column price"),
        ("prefix,price\n+972,0.0000000000001\n", "USD", "row 2: 0.0000000000001 is not a price per minute such as 0.0135"),
        ("prefix,price\n+972,1\n", "usd", "--currency: three capital letters, such as USD"),
    ],
)
async def test_a_wrong_table_is_named_and_changes_nothing(
    database: DatabaseFixture, database_url: str, tmp_path: Path, text: str, currency: str, told: str
) -> None:
    await Prices(database.pool).replace(PRICES, "USD", "test")
    file = tmp_path / "prices.csv"
    file.write_text(text, encoding="utf-8")
    done = await command(database_url, "prices", "import", "--file", str(file), "--currency", currency)
    assert (done.code != 0, done.err.strip()) == (True, told)
    assert (await Prices(database.pool).table("USD")).prices == PRICES


async def test_a_run_says_what_it_has_spent_and_pre_flight_what_it_may_cost(site: Site) -> None:
    body = {"leads": leads(3), "budget": money("25"), "start": True}
    refused = await site.post(RUNS, body)
    assert (refused.status, refused.json["details"][0]["field"]) == (422, "budget.amount")
    await Prices(site.database.pool).replace(PRICES, "USD", "test")
    wrong = await site.post(RUNS, {**body, "budget": {"amount": "25", "currency": "ILS"}})
    assert (wrong.status, wrong.json["details"]) == (
        422,
        [{"field": "budget.currency", "message": "must be one with a price table: USD"}],
    )
    told = (await site.post(f"{RUNS}/preflight", body)).json
    assert told["most_cost"] == {"amount": "30.00", "currency": "USD"}
    assert [warning["code"] for warning in told["warnings"]] == ["budget_amount"]
    small = (await site.post(f"{RUNS}/preflight", {**body, "budget": money("9.99")})).json
    assert ([warning["code"] for warning in small["warnings"]], small["first_call_at"]) == (["budget_too_small"], None)
    assert "10.00 USD is reserved" in small["warnings"][0]["detail"]
    run = f"{RUNS}/{(await site.post(RUNS, body)).json['run_id']}"
    assert (await site.get(run)).json["spent"] == {"amount": "0.00", "currency": "USD"}
    attempts, _ = await site.database.claim(site.business)
    await site.post_callback(attempts[0], "completed")
    shown = (await site.get(run)).json
    assert (len(attempts), shown["status"]) == (2, "running")
    assert Decimal(shown["spent"]["amount"]) in {Decimal(11), Decimal(20)}
    lower = await site.request("PATCH", run, json={"budget": money("3.5")}, token="admin")
    assert lower.status == 200
    await site.post_callback(attempts[1], "busy")
    assert (await site.database.claim(site.business))[0] == []
    paused = (await site.get(run)).json
    cause = paused["last_error_cause"]
    left = Decimal("3.5") - Decimal(paused["spent"]["amount"])
    assert (cause["kind"], cause["amount"], cause["currency"], Decimal(cause["left"])) == ("budget_amount", "3.5", "USD", left)
    assert [wait["reason"] for wait in paused["waits_for"]] == ["budget", "paused"]
    [queued] = (await site.get(f"{run}/jobs?status=queued")).json["items"]
    [why] = (await site.get(f"{run}/jobs/{queued['job_id']}")).json["why"]
    assert {paused["last_error"], paused["waits_for"][0]["detail"]} == {why["detail"]}
    assert f"at least {Decimal(cause['price']) - left:.2f} USD" in why["detail"]


async def test_a_run_that_waits_for_money_says_so_and_so_does_its_lead(site: Site) -> None:
    await Prices(site.database.pool).replace(PRICES, "USD", "test")
    run = f"{RUNS}/{(await site.post(RUNS, {'leads': leads(3), 'budget': money('15'), 'start': True})).json['run_id']}"
    attempts, _ = await site.database.claim(site.business)
    shown = (await site.get(run)).json
    assert (len(attempts), [wait["reason"] for wait in shown["waits_for"]]) == (1, ["budget"])
    assert "before a call in progress has ended" in shown["waits_for"][0]["detail"]
    waiting = [job for job in (await site.get(f"{run}/jobs")).json["items"] if job["status"] == "queued"]
    lead = (await site.get(f"{run}/jobs/{waiting[0]['job_id']}")).json
    assert [(reason["rule"], reason["verdict"]) for reason in lead["why"]] == [("budget", "wait")]
    await site.post_callback(attempts[0], "busy")
    assert (await site.get(run)).json["waits_for"] == []
