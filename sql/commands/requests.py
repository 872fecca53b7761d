"""Requests that load or change rows and are no commands: each is carried out once, and a repeat gets the answer of the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dialer.clock import SystemIds
from dialer.messages import KEEP_HTTP_SECONDS
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Collection

    from sql.pool import Connection, Pool

TEXT = statements("commands")


@dataclass(frozen=True, slots=True)
class RequestIdentity:
    """What tells a request from others: `id` is from its Idempotency-Key, or new; `digest` is of its content, 32 bytes."""

    id: str
    digest: bytes
    requested_by: str


def request_by(requested_by: str) -> RequestIdentity:
    """A request that has no Idempotency-Key, such as one of the command line."""
    return RequestIdentity(f"once:{SystemIds().uuid()}", b"", requested_by)


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


async def answer_of(on: Pool | Connection, business_id: int, request_id: str, kinds: Collection[str]) -> dict[str, Any] | None:
    """The answer that is kept of a request of one of these kinds; None when there is none, or none any more."""
    kept: dict[str, Any] | None = await on.fetchval(TEXT["answer_of"], business_id, request_id, list(kinds))
    return kept
