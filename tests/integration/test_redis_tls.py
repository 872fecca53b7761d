"""Redis by TLS, with a certificate that no known authority has signed, as managed platforms have."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from dialer.addresses import NO_CERTIFICATES
from dialer.streams.client import Streams
from tests.certificates import write_certificate
from tests.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


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
