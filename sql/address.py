"""Reads the options of DATABASE_URL that libpq has and asyncpg does not know: it would pass them on to the server, which refuses them."""

from __future__ import annotations

import ssl
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

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
