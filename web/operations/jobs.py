"""Reads the jobs of a run (one by its id, the list, the attempts), and applies a person's judgement of an unknown call."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dialer.messages import JOB_ID_MAX, CallChanged
from sql.jobs.jobs import ALL_JOBS
from sql.resolutions.resolutions import Resolution
from web.operations.explanations.call_explanation import resolver_of
from web.operations.explanations.principal_labels import names_of
from web.operations.idempotency import request_id
from web.operations.paging import page_of, start_after
from web.operations.runs import run_not_found, warn_foreign
from web.server import errors, keys
from web.server.error_responses import translated
from web.server.inputs import id_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web as http

    from sql.jobs.jobs import Job, JobFilter
    from web.access.auth import Principal
    from web.server.errors import ApiError


def job_ids(request: http.Request) -> tuple[int, int]:
    """The ids of the run and the job in the path.

    Raises:
        ApiError: 404, when one of them cannot be an id.
    """
    return id_of(request, "run_id"), id_of(request, "job_id", JOB_ID_MAX)


async def requested_job(request: http.Request, principal: Principal) -> tuple[int, Job]:
    """The run id and the job named in the path.

    Raises:
        ApiError: 404, when this business has no such job in this run.
    """
    run_id, job_id = job_ids(request)
    job = await request.app[keys.JOBS].get(principal.business_id, run_id, job_id)
    if job is None:
        raise await _not_found(request, principal, run_id, job_id)
    [named] = await _with_names(request, principal, [job])
    return run_id, named


async def attempts_of(request: http.Request, principal: Principal, run_id: int, job_id: int) -> list[dict[str, Any]]:
    """The attempts of a job, the oldest first, each with its callbacks.

    `resolver` is the name of who said what became of one, `hanger` that of who asked for its call to be hung up; None for nobody.
    """
    attempts = await request.app[keys.JOBS].attempts(principal.business_id, run_id, job_id)
    actors = {actor for attempt in attempts for actor in (resolver_of(attempt["reason"]), attempt["hang_up_by"]) if actor}
    names = await names_of(request, principal.business_id, actors) if actors else {}
    return [
        {**attempt, "resolver": names.get(resolver_of(attempt["reason"]) or ""), "hanger": names.get(attempt["hang_up_by"] or "")}
        for attempt in attempts
    ]


async def list_jobs(
    request: http.Request,
    principal: Principal,
    run_id: int,
    wanted: JobFilter = ALL_JOBS,
    *,
    after: int,
    limit: int,
    sort: str = "",
) -> tuple[list[Job], bool]:
    """At most `limit` jobs of a run after that at position `after`, and whether there are more; `sort` as in sql/jobs/jobs.py."""
    jobs = await request.app[keys.JOBS].page(principal.business_id, run_id, wanted, after=after, limit=limit + 1, sort=sort)
    shown, more = page_of(jobs, limit)
    return await _with_names(request, principal, shown), more


async def start_of_previous_jobs(
    request: http.Request, principal: Principal, run_id: int, wanted: JobFilter, *, after: int, limit: int, sort: str = ""
) -> int | None:
    """The position after which the page before `after` begins; None when there is no such page."""
    if not after:
        return None
    jobs = request.app[keys.JOBS]
    found = await jobs.positions_before(principal.business_id, run_id, wanted, until=after, limit=limit + 1, sort=sort)
    return start_after(found, limit, 0)


async def resolve_job(request: http.Request, principal: Principal, judgement: str) -> dict[str, Any]:
    """Apply a person's judgement of the newest attempt, `over` or `not_placed`, and notify the owner.

    Raises:
        ApiError: 404, 409 or 503.
    """
    run_id, job_id = job_ids(request)
    resolution = Resolution(principal.business_id, run_id, job_id, judgement, principal.actor, request_id(request))
    answer = await request.app[keys.RESOLUTIONS].resolve(resolution)
    if answer["code"] == "id_reused":
        raise errors.idempotency_conflict()
    if answer["code"] == "invalid_state":
        raise errors.invalid_state()
    if answer["code"] == "busy":
        raise errors.busy()
    if answer["code"] == "not_found":
        raise await _not_found(request, principal, run_id, job_id)
    request.app[keys.RELAY].kick()
    hint = CallChanged(principal.business_id, run_id, job_id, answer["attempt_id"], answer["attempt_state"])
    request.app[keys.OWNER_HINTS].send(answer["partition"], hint)
    return answer


async def job_not_found(request: http.Request, principal: Principal, job_id: int) -> ApiError:
    """A 404 for this job; when it belongs to another business, the security log gets an entry."""
    owner = await request.app[keys.JOBS].foreign(principal.business_id, job_id)
    if owner is not None:
        warn_foreign(principal, "job", job_id, owner)
    return errors.not_found()


async def _with_names(request: http.Request, principal: Principal, jobs: Sequence[Job]) -> list[Job]:
    """The jobs, with the name of who said what became of a call in place of what the audit log calls that person."""
    resolvers = {actor for job in jobs if (actor := resolver_of(job.error))}
    if not resolvers:
        return list(jobs)
    names = translated(request, await names_of(request, principal.business_id, resolvers))
    return [
        replace(job, error=job.error.replace(actor, names[actor])) if job.error and (actor := resolver_of(job.error)) else job
        for job in jobs
    ]


async def _not_found(request: http.Request, principal: Principal, run_id: int, job_id: int) -> ApiError:
    """A 404. The run or job may belong to another business: that goes into the security log, and not into the answer."""
    await job_not_found(request, principal, job_id)
    return await run_not_found(request, principal, run_id)
