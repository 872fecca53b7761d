"""Reads the audit log of a business: who did what, when and from where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from web.operations.explanations.principal_labels import names_of
from web.operations.paging import page_of, start_below
from web.server import keys

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.audit.audit import AuditEntry, AuditFilter
    from web.access.auth import Principal
    from web.server.errors import Text

MAX_ACTORS: Final = 200


async def list_entries(
    request: http.Request, principal: Principal, wanted: AuditFilter, *, before: int | None, limit: int
) -> tuple[list[AuditEntry], bool]:
    """At most `limit` entries below the id `before`, the newest first, and whether there are more."""
    found = await request.app[keys.AUDIT].page(principal.business_id, wanted, before=before, limit=limit + 1)
    return page_of(found, limit)


async def start_of_previous_entries(
    request: http.Request, principal: Principal, wanted: AuditFilter, *, before: int | None, limit: int
) -> int | None:
    """The id below which the page of newer entries begins; None when there is none."""
    if before is None:
        return None
    found = await request.app[keys.AUDIT].ids_from(principal.business_id, wanted, start=before, limit=limit + 1)
    return start_below(found, limit)


async def actors_of(request: http.Request, principal: Principal) -> dict[str, Text | str]:
    """Everyone in the log of the business, with the name for people."""
    actors = await request.app[keys.AUDIT].actors(principal.business_id, limit=MAX_ACTORS)
    return await names_of(request, principal.business_id, actors)
