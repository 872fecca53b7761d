"""Connects to PostgreSQL directly, or through a pooler such as PgBouncer, whatever its mode.

Behind a pooler in transaction mode each transaction may run in another session of the server, so nothing may be left in a session: no
prepared statements, no settings. Settings of the role take their place (docs/operations.md).
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Mapping

    Session: TypeAlias = asyncpg.Connection[asyncpg.Record]

# A pooler invents the process id that it tells its clients. A simple query, since a prepared statement would stay in the server's session.
CHECK: Final = "DO $$ BEGIN IF pg_backend_pid() <> {pid} THEN RAISE EXCEPTION 'a pooler' USING ERRCODE = '{code}'; END IF; END $$"
POOLER: Final = "RM001"
# Poolers pass these on with each transaction; other settings they refuse, or ignore.
PASSED_ON: Final = {"timezone": "UTC"}
# Options of DATABASE_URL that libpq has and asyncpg would pass on to the server, which refuses them.
# `connect_timeout` is heeded; the others change how libpq connects, and nothing for a connection that is made. Channel binding is not done:
# with a certificate that is checked, nobody is in between.
LIBPQ_ONLY: Final = frozenset(
    {
        *("channel_binding", "connect_timeout", "fallback_application_name", "gssencmode", "gssdelegation", "load_balance_hosts"),
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"),
        *("sslcertmode", "sslcompression", "sslsni", "min_protocol_version", "max_protocol_version"),
    }
)
SYSTEM: Final = "system"


def understood(database_url: str) -> tuple[str, dict[str, Any]]:
    """The address without what asyncpg does not know, and the options of `asyncpg.connect` that take its place.

    `sslrootcert=system` checks the certificate and the host name by the authorities that this machine knows.
    """
    parts = urlsplit(database_url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    kept = {name: value for name, value in query.items() if name not in LIBPQ_ONLY}
    options: dict[str, Any] = {}
    if query.get("connect_timeout", "0") != "0":
        options["timeout"] = float(query["connect_timeout"])
    if query.get("sslrootcert") == SYSTEM:
        kept = {name: value for name, value in kept.items() if name not in {"sslrootcert", "sslmode"}}
        options["ssl"] = ssl.create_default_context()
    return (database_url if kept == query else parts._replace(query=urlencode(kept)).geturl()), options


class Connector:
    """Makes the connections of one process to one server; `pooled` once there has proved to be a pooler in between."""

    def __init__(self, name: str, settings: Mapping[str, str]) -> None:
        """`name` is what pg_stat_activity shows; `settings` are those of each session, as far as it is ours."""
        self._through_pooler = {"application_name": name, **PASSED_ON}
        self._direct = {**self._through_pooler, **settings}
        self.pooled = False

    async def connect(self, database_url: str, **options: Any) -> Session:  # noqa: ANN401 - those of asyncpg.connect
        """Connect; the options are those of `asyncpg.connect`.

        Raises:
            OSError, asyncpg.PostgresError: when the server cannot be reached or refuses.
        """
        database_url, more = understood(database_url)
        options |= more
        if not self.pooled:
            try:
                connection: Session = await asyncpg.connect(database_url, server_settings=self._direct, **options)
            except asyncpg.ProtocolViolationError:
                self.pooled = True
            else:
                if await _is_direct(connection):
                    return connection
                self.pooled = True
        pooled: Session = await asyncpg.connect(database_url, server_settings=self._through_pooler, statement_cache_size=0, **options)
        return pooled


async def _is_direct(connection: Session) -> bool:
    """Whether no pooler is in between; if there is one, or that cannot be found out, the connection is closed."""
    try:
        await connection.execute(CHECK.format(pid=connection.get_server_pid(), code=POOLER))
    except BaseException as error:
        connection.terminate()
        if isinstance(error, asyncpg.PostgresError) and error.sqlstate == POOLER:
            return False
        raise
    return True
