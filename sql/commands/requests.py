"""Requests that load or change rows and are no commands: each is carried out once, and a repeat gets the answer of the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dialer.messages import KEEP_HTTP_SECONDS
from sql.statements import statements

if TYPE_CHECKING:
    from sql.pool import Connection, Pool

TEXT = statements("commands")


class IdReusedError(Exception):
    """The Idempotency-Key was used before with another body."""


async def receive_request(
    on: Pool | Connection, business_id: int, *, request_id: str, digest: bytes, kind: str, requested_by: str
) -> dict[str, Any] | None:
    """Note a request; return its answer when it was carried out before.

    Raises:
        IdReusedError: when the id was used before with another digest.
    """
    answer: dict[str, Any] | None = await on.fetchval(
        TEXT["receive_request"], business_id, request_id, digest, kind, requested_by, KEEP_HTTP_SECONDS
    )
    if answer and answer.get("code") == "id_reused":
        raise IdReusedError
    return answer


async def answer_request(on: Pool | Connection, business_id: int, request_id: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Keep the answer of a request for its repeats; return it, or that of the same request which was carried out at the same time."""
    kept: dict[str, Any] = await on.fetchval(TEXT["answer_request"], business_id, request_id, answer)
    return kept
