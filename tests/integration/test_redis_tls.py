"""Redis by TLS, with a certificate that no known authority has signed, as managed platforms have."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dialer.addresses import NO_CERTIFICATES
from dialer.streams.client import Streams
from ringmaster.local.ports import LOCALHOST
from tests.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

VALID = timedelta(days=1)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of this machine that it has signed itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, LOCALHOST)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(now - VALID).not_valid_after(now + VALID)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(LOCALHOST))]), critical=False)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "certificate.pem"
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem) + secret)
    return path


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
