"""The page that changes a run: what it offers, what it sends, and what stays when something is wrong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.browser_session import text_of
from tests.integration.test_pages_runs import browser  # noqa: F401 fixture

if TYPE_CHECKING:
    from tests.browser_session import BrowserSession
    from tests.web_site import Response, Site


def fields_of(response: Response) -> dict[str, str]:
    """What a browser without scripts sends of the form of a run, as it was shown."""
    form = re.search(r'<form class="panel fields".*?</form>', response.body.decode(), re.DOTALL)
    assert form
    sent: dict[str, str] = {}
    for tag in re.findall(r"<input [^>]+>", form[0]):
        found = dict(re.findall(r'([a-z]+)="([^"]*)"', tag))
        if found.get("type") not in {"radio", "checkbox"} or " checked" in tag:
            sent[found["name"]] = found["value"]
    return sent | dict(re.findall(r'<textarea [^>]*name="([^"]+)"[^>]*>([^<]*)<', form[0]))


async def rules(site: Site, run_id: int) -> dict[str, Any]:
    """The hours, retries and budget of a run itself."""
    run = await site.database.checked_run(site.business, run_id)
    return {name: run.settings[name] for name in ("calling_hours", "retries", "budget") if name in run.settings}


async def test_a_run_is_changed_and_put_into_the_archive(browser: BrowserSession, site: Site) -> None:  # noqa: F811
    run_id = await site.load(2, start=False)
    page = f"/runs/{run_id}"
    wrong = await browser.post(f"{page}/edit", {"name": "New name", "concurrency": "99", "priority": "0"})
    assert (wrong.status, 'value="New name"' in wrong.body.decode(), 'id="concurrency-wrong"' in wrong.body.decode()) == (422, True, True)
    await browser.post(f"{page}/edit", {"name": "New name", "concurrency": "2", "priority": "5", "schedule_at": ""})
    shown = text_of(await browser.get(page))
    assert ("New name" in shown, "Saved." in shown) == (True, True)
    await site.database.pool.execute(
        "UPDATE dialer.businesses SET calling_hours = $2 WHERE business_id = $1", site.business, {"sunday": [["09:00", "17:00"]]}
    )
    form = fields_of(await browser.get(f"{page}/edit"))
    chosen = form["calling_hours"], form["retries"], form["sunday_0_from"], "budget_amount" in form
    assert chosen == ("business", "business", "09:00", False)
    # What holds by the business stays so, and a mistake is named where it is; what was typed stays.
    assert (await browser.post(f"{page}/edit", form)).status == 303
    assert await rules(site, run_id) == {}
    form |= {"calling_hours": "own", "sunday_0_from": "8:00", "retries": "own", "busy_times": "2", "busy_minutes": "x", "budget_calls": "0"}
    wrong = await browser.post(f"{page}/edit", form)
    assert (wrong.status, set(re.findall('id="([^"]+)-wrong"', wrong.body.decode()))) == (422, {"busy_minutes", "budget_calls"})
    assert fields_of(wrong) == form
    form |= {"busy_minutes": "30, 60", "budget_calls": "9"}
    looser = await browser.post(f"{page}/edit", form)
    assert (looser.status, "only an admin may do that" in text_of(looser), fields_of(looser)) == (403, True, form)
    form |= {"sunday_0_from": "10:00"}
    assert (await browser.post(f"{page}/edit", form)).status == 303
    kept = await rules(site, run_id)
    assert (kept["calling_hours"]["sunday"], kept["budget"]["calls"]) == ([["10:00", "17:00"]], 9)
    assert kept["retries"]["busy"] == {"times": 2, "after_minutes": [30.0, 60.0]}
    # Hours that an admin has loosened stay as they are when an operator changes something else.
    await site.database.pool.execute("UPDATE dialer.businesses SET calling_hours = '{}' WHERE business_id = $1", site.business)
    form = fields_of(await browser.get(f"{page}/edit"))
    assert (form["calling_hours"], form["retries"], form["sunday_0_from"], form["busy_minutes"]) == ("own", "own", "10:00", "30, 60")
    priced = await browser.post(f"{page}/edit", form | {"budget_amount": "1.50", "budget_currency": "USD"})
    assert (priced.status, re.findall('id="([^"]+)-wrong"', priced.body.decode())) == (422, ["budget_amount"])
    await browser.post(f"{page}/edit", form | {"budget_calls": ""})
    assert await rules(site, run_id) == kept | {"budget": None}
    changes = "SELECT detail FROM dialer.audit_log WHERE run_id = $1 AND action = 'run.change' ORDER BY id"
    last = [row["detail"] for row in await site.database.pool.fetch(changes, run_id)][-1]
    assert last["settings"].keys() == {"priority", "schedule_at", "budget"}
    await browser.post(f"{page}/end", {"how": "now"})
    assert fields_of(await browser.get(f"{page}/edit")).keys() == set()
    await browser.post(f"{page}/edit", {"archived": "1"})
    archived = await site.database.runs.get(site.business, run_id)
    assert archived
    assert archived.archived_at is not None
