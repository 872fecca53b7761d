"""Which addresses webhooks may have: https and public, unless the host is one of DIALER_WEBHOOK_ALLOWED_HOSTS.

Pure: no I/O. A name may resolve to another address at each try, so whoever connects checks the address it connects to (`is_public`).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from dialer.addresses import is_private

MAX_URL_CHARACTERS = 2_000
PORTS = {"http": 80, "https": 443}
# RFC 6052: the last 32 bits are the IPv4 address that a gateway connects to.
NAT64 = IPv6Network("64:ff9b::/96")


class WrongTargetError(ValueError):
    """This address cannot be a webhook's: the only argument is `not_https`, `not_an_address` or `private`."""


class AllowedHosts:
    """The hosts of the setting, separated by commas: each a name or a number, for all ports or, as `host:8443`, for one."""

    def __init__(self, text: str = "") -> None:
        self._hosts = frozenset(_plain(part) for part in text.split(",") if part.strip())

    def __contains__(self, place: tuple[str, int]) -> bool:
        """Whether this host and port is one of them."""
        host, port = _plain(place[0]), place[1]
        return host in self._hosts or f"{host}:{port}" in self._hosts or f"[{host}]:{port}" in self._hosts


def check_target(url: str, allowed: AllowedHosts) -> tuple[str, int]:
    """Check an address as far as it can be seen without resolving its name; return its host and port.

    Raises:
        WrongTargetError: when nothing may be sent there.
    """
    if not url.isascii() or not url.isprintable() or set(' "<>\\^`{|}') & set(url) or len(url) > MAX_URL_CHARACTERS:
        raise WrongTargetError("not_an_address")  # noqa: EM101 - a code
    try:
        parts = urlsplit(url)
        host, port = _plain(parts.hostname or ""), parts.port
    except ValueError:
        raise WrongTargetError("not_an_address") from None  # noqa: EM101
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc or "#" in url or port == 0:
        raise WrongTargetError("not_an_address")  # noqa: EM101
    place = host, port or PORTS[parts.scheme]
    if place in allowed:
        return place
    if parts.scheme != "https":
        raise WrongTargetError("not_https")  # noqa: EM101
    if is_private(url) or not (is_public(host) if _is_number(host) else True):
        raise WrongTargetError("private")  # noqa: EM101
    return place


def is_public(address: str) -> bool:
    """Whether a numeric address is on the internet, also one that is written inside an IPv6 address."""
    number = _embedded(ip_address(address.partition("%")[0]))
    return number.is_global and not (number.is_multicast or number.is_reserved or number.is_unspecified)


def _embedded(number: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(number, IPv4Address):
        return number
    if number in NAT64:
        return IPv4Address(int(number) & 0xFFFFFFFF)
    teredo = number.teredo[1] if number.teredo else None
    return number.ipv4_mapped or number.sixtofour or teredo or number


def _is_number(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _plain(host: str) -> str:
    plain = host.strip().lower().rstrip(".")
    return plain.removeprefix("[").removesuffix("]") if plain.endswith("]") else plain
