"""Bulk operations on the leads of a run: stored here, carried out by a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialer.model import Role
from dialer.policy.run_settings import loosens
from sql.bulk.bulk_operations import BulkRequest, BulkType
from web.access.auth import require_principal
from web.operations.idempotency import request_id
from web.operations.runs import run_not_found, warn_foreign
from web.operations.settings.business import own_business
from web.operations.settings.run_fields import allowed_to_loosen, business_rules, own_rules
from web.server import errors, keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web as http

    from sql.bulk.bulk_operations import BulkOperation
    from sql.jobs.jobs import JobFilter
    from web.access.auth import Principal


async def begin_operation(request: http.Request, kind: BulkType, run_id: int, wanted: JobFilter, job_ids: Sequence[int] | None) -> int:
    """Store an operation of the signed-in operator on these leads of a run, and return its id.

    Raises:
        ApiError: 401, 403, 404, 409 or 503.
    """
    principal = require_principal(request, Role.OPERATOR)
    loosened = await _loosened(request, principal, run_id) if kind is BulkType.AGAIN else ()
    asked = BulkRequest(principal.business_id, run_id, kind, principal.actor, request_id(request), wanted, job_ids, loosened)
    code, operation_id = await request.app[keys.BULK_OPERATIONS].begin(asked)
    if operation_id is not None:
        return operation_id
    if code == "id_reused":
        raise errors.idempotency_conflict()
    if code == "crowded":
        raise errors.crowded()
    raise await run_not_found(request, principal, run_id)


async def _loosened(request: http.Request, principal: Principal, run_id: int) -> list[str]:
    """The rules of the business that the new run would loosen, since it has the settings of this one."""
    run = await request.app[keys.RUNS].get(principal.business_id, run_id)
    if run is None:
        raise await run_not_found(request, principal, run_id)
    business = await own_business(request, principal)
    return allowed_to_loosen(principal, loosens(business_rules(business), own_rules(run)))


async def requested_operation(request: http.Request, principal: Principal, operation_id: int) -> BulkOperation:
    """The progress of an operation of this business.

    Raises:
        ApiError: 404, when the business has none with this id.
    """
    operations = request.app[keys.BULK_OPERATIONS]
    found = await operations.get(principal.business_id, operation_id)
    if found is not None:
        return found
    owner = await operations.foreign(principal.business_id, operation_id)
    if owner is not None:
        warn_foreign(principal, "operation", operation_id, owner)
    raise errors.not_found()
