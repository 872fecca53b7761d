"""The client's address, and the path below PUBLIC_URL, of a request that may have come through proxies."""

from __future__ import annotations

from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from web.server import keys

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Network, IPv6Network

    from aiohttp import web as http

MAX_HEADER_CHARACTERS: Final = 2_000
UNKNOWN: Final = "unknown"


def client_address(request: http.Request) -> str:
    """The address of the client: the nearest one that is not a trusted proxy.

    `X-Forwarded-For` is trusted only from DIALER_TRUSTED_PROXIES, and only the entries such a proxy has added.
    """
    trusted = request.app[keys.TRUSTED_PROXIES]
    address = request.remote or UNKNOWN
    forwarded = ",".join(request.headers.getall("X-Forwarded-For", []))
    if len(forwarded) > MAX_HEADER_CHARACTERS:
        return address
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    while hops and _is_in(address, trusted):
        hop = _host_of(hops.pop())
        if hop is None:
            break
        address = hop
    return address


def opened_by_http(request: http.Request) -> bool:
    """True when PUBLIC_URL is https but the browser used http: it would drop cookies marked as secure.

    A form shows this by its Origin; for other requests a proxy may report it. Browsers accept secure cookies from localhost over http.
    """
    if not request.app[keys.SETTINGS].public_url.startswith("https:") or _is_this_machine(request.url.host or ""):
        return False
    origin = request.headers.get("Origin", "")
    forwarded = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip()
    return origin.startswith("http:") or (not origin.startswith("https:") and forwarded == "http")


@cache
def prefix_of(public_url: str) -> str:
    """The path of PUBLIC_URL, `/dialer` or empty, which a proxy may or may not remove before it forwards a request."""
    return urlsplit(public_url).path.rstrip("/")


def local_path(request: http.Request) -> str:
    """The path of the request without the path of PUBLIC_URL."""
    return _below(prefix_of(request.app[keys.SETTINGS].public_url), request.path)


def raw_local_path(request: http.Request) -> str:
    """The same, not decoded and with its query, as the provider signs it."""
    return _below(prefix_of(request.app[keys.SETTINGS].public_url), request.raw_path)


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _below(prefix: str, path: str) -> str:
    return path.removeprefix(prefix) if prefix and path.startswith(f"{prefix}/") else path


def _is_in(address: str, trusted: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        # A zone (`fe80::1%eth0`) has a meaning only on its own machine.
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return any(form in network for network in trusted for form in (ip, mapped) if form is not None and form.version == network.version)


def _host_of(hop: str) -> str | None:
    """The address in one entry, which some proxies write with a port; None when there is none."""
    text = hop.strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None
