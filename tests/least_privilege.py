"""A role that may do what `migrate --grant` lets it, on a server of the tests."""

from __future__ import annotations

import contextlib
from typing import Final
from urllib.parse import urlsplit

import asyncpg

from sql.privileges.privileges import grant

ROLE: Final = "ringmaster_app"
PASSWORD: Final = "app"


async def as_role(url: str) -> str:
    """Grant the role, which is made where it is missing, what it needs in the database of `url`; return the address with it."""
    connection = await asyncpg.connect(url)
    try:
        with contextlib.suppress(asyncpg.DuplicateObjectError):
            await connection.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
    finally:
        await connection.close()
    await grant(url, ROLE)
    parts = urlsplit(url)
    return parts._replace(netloc=f"{ROLE}:{PASSWORD}@{parts.hostname}:{parts.port}").geturl()
