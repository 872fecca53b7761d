"""Businesses, their users and their tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg

from dialer.model import Role
from sql.businesses.caller_ids import stored
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sql.pool import Pool

TEXT = statements("businesses")


class EmailTakenError(Exception):
    """A user with this e-mail address exists already."""


class NoSuchBusinessError(Exception):
    """There is no business with this id."""


@dataclass(frozen=True, slots=True)
class Business:
    """A tenant. `region` is the country for parsing its leads' numbers, `caller_ids` E.164, `account_sid` None for the default account.

    `account_credentials` says which kind its own account has: `auth_token` or `api_key`.

    The rules of calling hold for runs without their own: `calling_hours` None is always, any other None no limit.
    So does its `script`, None for a greeting. `inbound_script` is what those hear who call back, None for a sentence.
    """

    business_id: int
    name: str
    caller_ids: list[str]
    region: str
    timezone: str
    account_sid: str | None
    max_calls: int
    partition: int
    max_calls_limit: int
    calling_hours: dict[str, Any] | None
    retries: dict[str, Any] | None
    min_gap_hours: float
    max_per_day: int | None
    allowed_countries: list[str] | None
    required_registers: list[dict[str, Any]]
    retention_days: int | None
    script: dict[str, Any] | None
    inbound_script: dict[str, Any] | None
    stopped_at: datetime | None
    account_credentials: str | None


@dataclass(frozen=True, slots=True)
class StartingRules:
    """The rules of calling of a new business: `calling_hours` as in contract section 7, None for always; no gap and no limit a day."""

    calling_hours: dict[str, Any] | None = None
    min_gap_hours: float = 0.0
    max_per_day: int | None = None


NO_RULES = StartingRules()


@dataclass(frozen=True, slots=True)
class User:
    """A person of one business."""

    user_id: int
    business_id: int
    email: str
    role: Role
    password_hash: str


@dataclass(frozen=True, slots=True)
class Token:
    """A program's key to one business; only the hash of its secret is kept."""

    token_id: int
    business_id: int
    role: Role


class Businesses:
    """All businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def create(
        self, *, name: str, caller_id: str, region: str, timezone: str, max_calls: int, rules: StartingRules = NO_RULES
    ) -> int:
        """Add a business with its lane; return its id. `max_calls` is also the most that it may set itself."""
        values = name, [stored(caller_id)], region, timezone, max_calls, rules.calling_hours, rules.min_gap_hours, rules.max_per_day
        return int(await self._pool.fetchval(TEXT["insert"], *values))

    async def get(self, business_id: int) -> Business | None:
        """One business; None when there is none."""
        row = await self._pool.fetchrow(TEXT["get"], business_id)
        return Business(**row) if row else None

    async def used_elsewhere(self, business_id: int, numbers: Sequence[str]) -> set[str]:
        """Those of these numbers (E.164) that other businesses call from."""
        return {row["number"] for row in await self._pool.fetch(TEXT["used_elsewhere"], business_id, list(numbers))}

    async def without_account(self) -> int:
        """How many businesses have no provider account of their own, and use the default one."""
        try:
            return int(await self._pool.fetchval(TEXT["without_account"]))
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            # Before the first migration the table does not exist.
            return 0

    async def set_max_calls(self, business_id: int, max_calls: int) -> None:
        """Allow `max_calls` calls at once from now on; calls in flight beyond that finish."""
        await self._pool.execute(TEXT["set_max_calls"], business_id, max_calls)

    async def change(self, business_id: int, changes: dict[str, Any], actor: str, *, sealed: str | None = None) -> None:
        """Change the fields of a business that are in `changes`; they hold for every claim after it, and are in the audit log.

        `sealed` are the credentials of the account that `changes` names in `provider_account`; None leaves those it has.
        """
        caller_ids = [stored(number) for number in changes["caller_ids"]] if "caller_ids" in changes else None
        await self._pool.execute(TEXT["change"], business_id, changes, actor, sealed, caller_ids)

    async def create_user(self, business_id: int, *, email: str, role: Role, password_hash: str) -> int:
        """Add a person; return the id.

        Raises:
            EmailTakenError: when another user has this address.
            NoSuchBusinessError: when the business does not exist.
        """
        try:
            return int(await self._pool.fetchval(TEXT["insert_user"], business_id, email, role, password_hash))
        except asyncpg.UniqueViolationError as error:
            raise EmailTakenError(email) from error
        except asyncpg.ForeignKeyViolationError as error:
            raise NoSuchBusinessError(business_id) from error

    async def user_by_email(self, email: str) -> User | None:
        """The user with this e-mail address, ignoring case; None when there is none."""
        return user_from(await self._pool.fetchrow(TEXT["user_by_email"], email))

    async def user(self, business_id: int, user_id: int) -> User | None:
        """One user of one business."""
        return user_from(await self._pool.fetchrow(TEXT["user"], business_id, user_id))

    async def create_token(self, business_id: int, *, role: Role, digest: bytes) -> int:
        """Add a program's key by the SHA-256 of its secret; return the id.

        Raises:
            NoSuchBusinessError: when the business does not exist.
        """
        try:
            return int(await self._pool.fetchval(TEXT["insert_token"], business_id, role, digest))
        except asyncpg.ForeignKeyViolationError as error:
            raise NoSuchBusinessError(business_id) from error

    async def token(self, digest: bytes) -> Token | None:
        """The key with this digest, unless revoked."""
        row = await self._pool.fetchrow(TEXT["token"], digest)
        return Token(row["token_id"], row["business_id"], Role(row["role"])) if row else None


def user_from(row: asyncpg.Record | None) -> User | None:
    """The user in a row of users; None when there is no row."""
    return User(**{**row, "role": Role(row["role"])}) if row else None
