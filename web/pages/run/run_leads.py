"""The leads of a run, a page at a time, filtered by status and outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sql.jobs.jobs import JobFilter
from web.operations.jobs import list_jobs
from web.pages import labels
from web.server.inputs import optional_id

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.runs.runs import Run
    from web.access.auth import Principal

PAGE_LEADS: Final = 50


class Link(NamedTuple):
    """A link to a page of leads: the address of the whole page, and that of the fragment that replaces the list."""

    page: str
    fragment: str


async def leads_values(request: http.Request, principal: Principal, run: Run) -> dict[str, Any]:
    """What the template of the leads needs."""
    chosen, outcome = chosen_status(request), _chosen_outcome(request)
    after = optional_id(request.query.get("after", "")) or 0
    wanted = JobFilter(labels.JOB_FILTERS.get(chosen), [outcome] if outcome else None)
    jobs, more = await list_jobs(request, principal, run.run_id, wanted, after=after, limit=PAGE_LEADS)
    query = {name: value for name, value in (("status", chosen), ("outcome", outcome)) if value}
    return {
        "run": run,
        "jobs": jobs,
        "chosen": chosen,
        "outcome": outcome,
        "job_filters": tuple(labels.JOB_FILTERS),
        "outcomes": labels.OUTCOMES,
        "first": _link(request, run, query) if after else None,
        "next": _link(request, run, {**query, "after": str(jobs[-1].position)}) if more else None,
    }


def chosen_status(request: http.Request) -> str:
    """The status the leads are filtered by; empty for all."""
    text = request.query.get("status", "")
    return text if text in labels.JOB_FILTERS else ""


def _chosen_outcome(request: http.Request) -> str:
    text = request.query.get("outcome", "")
    return text if text in labels.OUTCOMES else ""


def _link(request: http.Request, run: Run, query: dict[str, str]) -> Link:
    page = request.rel_url.with_path(f"/runs/{run.run_id}").with_query(query)
    return Link(str(page), str(page.with_path(f"/runs/{run.run_id}/leads").with_query(query)))
