"""What must be true of the PostgreSQL server and of our role there."""

from __future__ import annotations

from typing import Final

from ringmaster.doctor.finding import Status
from ringmaster.doctor.rule import Rule
from sql.unusable import MIN_VERSION

SERVER: Final = (
    Rule(
        "version",
        Status.FAIL,
        "server_version_num",
        "PostgreSQL {version}",
        f"PostgreSQL {{version}} is older than {MIN_VERSION}",
        f"move to PostgreSQL {MIN_VERSION} or newer",
        (MIN_VERSION,),
    ),
    Rule(
        "primary",
        Status.FAIL,
        "pg_is_in_recovery and default_transaction_read_only",
        "the server takes writes",
        "the server takes no writes: it is a standby, or default_transaction_read_only is on",
        "let DATABASE_URL name the primary; if it does: PGOPTIONS='-c default_transaction_read_only=off' psql, then there ALTER ROLE, "
        "ALTER DATABASE or ALTER SYSTEM ... RESET default_transaction_read_only, wherever \\drds or pg_settings shows it",
    ),
    Rule(
        "durability",
        Status.FAIL,
        "fsync, full_page_writes and synchronous_commit",
        "what is committed is on the disk",
        "{names} is off: after a crash of the machine a lead whose call was made may be called again",
        "set it on, in postgresql.conf or with ALTER SYSTEM, ALTER DATABASE or ALTER ROLE, wherever it is off",
    ),
    Rule(
        "privileges",
        Status.FAIL,
        "the privileges of this role",
        "the role {role} may do all that Ringmaster does",
        "the role {role} lacks {missing} ({found} in all)",
        "with the owner's DATABASE_URL: python -m sql migrate --grant {role}; or, as the owner: {first_grants}",
        (None,),
    ),
)


def connections(each: int, *, pooled: bool) -> Rule:
    """The connections that our processes may take, `each` of them so many, against those that there are; through a pooler those it has."""
    arithmetic = (
        "through a pooler {open} connections of ours, others {others}, of {available} that this role may have"
        if pooled
        else "{processes} processes of ours x {each} + 2 of migrate = {may_take}, others {others}, of {available} that this role may have: "
        "room for {room} more processes"
    )
    remedy = "raise max_connections and the limits of database and role, " + (
        "or lower default_pool_size of the pooler"
        if pooled
        else "lower DIALER_DATABASE_CONNECTIONS (4 is the least), start fewer processes, or put a pooler in between"
    )
    return Rule("connections", Status.WARN, "pg_stat_activity and max_connections", arithmetic, arithmetic, remedy, (each, pooled))
