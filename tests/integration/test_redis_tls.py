"""Redis by TLS, with a certificate that no known authority has signed, as managed platforms have."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
import redis.asyncio

from dialer.addresses import NO_CERTIFICATES
from dialer.streams.client import Streams
from ringmaster.local.ports import free_port
from ringmaster.local.valkey import Valkey
from tests.certificates import write_certificate
from tests.chaos.polling import until
from tests.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

READY_SECONDS = 10


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return write_certificate(tmp_path / "certificate.pem")


@pytest_asyncio.fixture
async def tls_url(redis_url: str, certificate: Path) -> AsyncIterator[str]:
    """The address of Valkey by TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    await asyncio.to_thread(context.load_cert_chain, certificate)
    async with TcpProxy(redis_url, tls=context) as proxy:
        yield proxy.url.replace("redis://", "rediss://", 1)


@pytest_asyncio.fixture
async def tls_cluster_url(tmp_path: Path, certificate: Path) -> AsyncIterator[str]:
    """The address of a cluster of one node, which names itself at its address by TLS."""
    server = Valkey(tmp_path / "node", databases=1, settings={"cluster-enabled": "yes", "cluster-port": str(free_port())})
    await server.start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    await asyncio.to_thread(context.load_cert_chain, certificate)
    try:
        async with TcpProxy(server.url, tls=context) as proxy, redis.asyncio.from_url(server.url, decode_responses=True) as client:
            await client.config_set("cluster-announce-port", str(urlsplit(proxy.url).port))
            await client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)  # type: ignore[no-untyped-call]

            async def is_ready() -> bool:
                return "cluster_state:ok" in str(await client.execute_command("CLUSTER", "INFO"))  # type: ignore[no-untyped-call]

            await until(is_ready, READY_SECONDS, "the cluster of one node")
            yield proxy.url.removesuffix("/0").replace("redis://", "rediss+cluster://", 1)
    finally:
        await server.stop()


async def test_a_cluster_is_reached_by_tls(tls_cluster_url: str, certificate: Path, caplog: pytest.LogCaptureFixture) -> None:
    for ca_file, known in ((str(certificate), True), ("", False)):
        streams = Streams(tls_cluster_url, ca_file=ca_file)
        try:
            assert await streams.ping() is known
        finally:
            await streams.close()
    assert "DIALER_REDIS_CA_FILE" in caplog.text


async def test_an_unknown_certificate_is_named_once_with_the_setting(tls_url: str, caplog: pytest.LogCaptureFixture) -> None:
    streams = Streams(tls_url)
    try:
        assert [await streams.ping() for _ in range(3)] == [False] * 3
    finally:
        await streams.close()
    [said] = [record.getMessage() for record in caplog.records if "cannot be reached" in record.getMessage()]
    assert "DIALER_REDIS_CA_FILE" in said
    assert "self-signed certificate" in said


@pytest.mark.parametrize("checked", [True, False], ids=["known", "none"])
async def test_it_is_reached_with_the_certificate_or_without_a_check(
    tls_url: str, certificate: Path, caplog: pytest.LogCaptureFixture, *, checked: bool
) -> None:
    streams = Streams(tls_url, ca_file=str(certificate) if checked else NO_CERTIFICATES)
    try:
        assert await streams.ping()
    finally:
        await streams.close()
    assert ("DIALER_REDIS_CA_FILE is none" in caplog.text) is not checked
