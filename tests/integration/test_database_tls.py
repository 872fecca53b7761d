"""PostgreSQL by TLS, with a certificate that no known authority has signed, and the options that platforms put into DATABASE_URL."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from ringmaster.local.ports import LOCALHOST
from sql.pool import open_pool
from sql.pooler import understood
from tests.certificates import write_certificate
from tests.debian import DebianPostgres
from tests.integration.test_cli_accounts import command
from tests.pgbouncer import Mode, pooled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

# What a managed platform adds.
MORE = "channel_binding=require&connect_timeout=10&application_name=theirs&keepalives=1"


@pytest_asyncio.fixture(params=["pgbouncer", "postgresql"])
async def tls_url(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a server that takes connections by TLS, the pooler's or PostgreSQL's own; its certificate is server/server.pem."""
    # In the directory of the server, whose user it belongs to.
    (tmp_path / "server").mkdir(mode=0o700)
    certificate = await asyncio.to_thread(write_certificate, tmp_path / "server" / "server.pem")
    certificate.chmod(0o600)
    if request.param == "pgbouncer":
        more = f"client_tls_sslmode = require\nclient_tls_cert_file = {certificate}\nclient_tls_key_file = {certificate}"
        async with pooled(database_url, Mode.TRANSACTION, tmp_path / "pgbouncer", more=more) as url:
            yield url
        return
    # The wheel's server is built without TLS.
    settings = {"ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(certificate)}
    server = DebianPostgres(tmp_path / "server", fast=True, settings=settings)
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()


async def test_the_certificate_is_checked_when_that_is_asked_for(tls_url: str, tmp_path: Path) -> None:
    other = await asyncio.to_thread(write_certificate, tmp_path / "other.pem")
    for known in ("sslmode=require", f"sslmode=verify-full&sslrootcert={tmp_path / 'server' / 'server.pem'}"):
        async with await open_pool(f"{tls_url}?{known}&{MORE}", name="test", size=1) as pool:
            assert await pool.fetchval("SELECT 1") == 1
    # localhost is not the name in the certificate, which is the number; and the authorities of this machine do not know it either.
    elsewhere = tls_url.replace("127.0.0.1", "localhost")
    for url, certificate, reason in (
        (tls_url, str(other), "certificate verify failed"),
        (elsewhere, str(tmp_path / "server" / "server.pem"), "Hostname mismatch"),
        (tls_url, "system", "certificate verify failed"),
    ):
        refused = await command(f"{url}?sslmode=verify-full&sslrootcert={certificate}&{MORE}", "check", interpreter=("-m", "sql"))
        [line] = refused.err.splitlines()
        assert (refused.code, line.startswith("DATABASE_URL: no secure connection to "), reason in line) == (1, True, True), line


async def test_a_server_without_tls_is_refused_when_it_is_required(database_url: str) -> None:
    refused = await command(f"{database_url}?sslmode=require", "check", interpreter=("-m", "sql"))
    [line] = refused.err.splitlines()
    assert (refused.code, "rejected SSL upgrade" in line) == (1, True), line


async def test_the_time_to_connect_is_heeded() -> None:
    # Nobody accepts: the kernel completes the handshake, and no answer follows.
    with socket.socket() as silent:
        silent.bind((LOCALHOST, 0))
        silent.listen()
        url = f"postgresql://u:p@{LOCALHOST}:{silent.getsockname()[1]}/d?sslmode=disable&connect_timeout=1"
        with pytest.raises(TimeoutError):
            await open_pool(url, name="test", size=1)


@pytest.mark.parametrize(
    ("before", "after", "timeout"),
    [
        ("postgresql://u:p%40@h/d", "postgresql://u:p%40@h/d", None),
        ("postgresql://h/d?sslmode=require&channel_binding=require", "postgresql://h/d?sslmode=require", None),
        (
            "postgresql://a:1,b:2/d?connect_timeout=3&target_session_attrs=read-write",
            "postgresql://a:1,b:2/d?target_session_attrs=read-write",
            3.0,
        ),
        ("postgresql://u@/d?host=/tmp/x&keepalives=1", "postgresql://u@/d?host=%2Ftmp%2Fx", None),
    ],
)
def test_what_asyncpg_does_not_know_is_taken_out(before: str, after: str, timeout: float | None) -> None:
    url, options = understood(before)
    assert (url, options.get("timeout")) == (after, timeout)
