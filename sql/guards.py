"""Tells which time-outs are not in force: a pooler refuses or ignores those that we ask for, and only the role's own are left."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sql.pool import SESSION

if TYPE_CHECKING:
    from sql.pool import Pool

# Without one of these a stuck session holds its locks, and so its businesses, for ever.
GUARDS: Final = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
_MISSING: Final = """SELECT name, format('ALTER ROLE %I IN DATABASE %I SET', session_user, current_database()) AS alter
FROM unnest($1::text[]) AS guard (name) WHERE current_setting(name) = '0'"""

log = logging.getLogger(__name__)


async def missing_guards(pool: Pool) -> dict[str, str]:
    """The time-outs that are off, each with the statement that puts it into force for our role."""
    return {row["name"]: f"{row['alter']} {row['name']} = '{SESSION[row['name']]}'" for row in await pool.fetch(_MISSING, list(GUARDS))}


async def report_guards(pool: Pool) -> None:
    """Log a warning that names the time-outs that are off, and the remedy."""
    if missing := await missing_guards(pool):
        log.warning(
            "a pooler is between this process and PostgreSQL, and %s %s off: a session that is stuck blocks its businesses. "
            "Remedy, as this role: %s; then let the pooler open its connections anew",
            ", ".join(missing),
            "is" if len(missing) == 1 else "are",
            "; ".join(missing.values()),
        )
