"""Checks the addresses in the settings as their users would: Twilio, asyncpg, redis-py. None is echoed: they contain passwords.

Only the path of a file is looked up; nothing is connected.
"""

from __future__ import annotations

import os
import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, parse_qsl, urlsplit

TWILIO = "https://api.twilio.com"
MAX_PORT = 65535
# Names that resolve to no machine on the internet: RFC 6761, 6762, 8375, 9476, and what routers and container networks use.
PRIVATE_ENDINGS = (
    *("localhost", "local", "localdomain", "internal", "intranet", "private", "lan", "home", "corp", "arpa", "alt", "onion"),
    *("test", "invalid", "example"),
)
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
CHANNEL_BINDINGS = ("disable", "prefer", "require")
# In place of a file with certificates: those that this machine knows, as with libpq.
SYSTEM_CERTIFICATES = "system"
# In place of a file with certificates: check none.
NO_CERTIFICATES = "none"
TARGETS = ("any", "primary", "standby", "read-write", "read-only", "prefer-standby")
# The options of redis-py that change neither our time-outs nor the form of answers; the others are set by us.
REDIS_OPTIONS = {
    *("db", "client_name", "socket_keepalive", "health_check_interval"),
    *("ssl_cert_reqs", "ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"),
}
NUMERIC_REDIS_OPTIONS = {"db", "health_check_interval"}
CERTIFICATE_CHECKS = ("none", "optional", "required")

_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_DIGITS = re.compile(r"[0-9]{1,10}")
# RFC 3986's unreserved characters only. A `{` would be a pattern to the router, and proxies rewrite %XX in several ways.
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_WEB = "must be an http:// or https:// address such as https://dialer.example.com"
_IN_A_PASSWORD = "in a user or password '@' is written %40, '/' %2F, ':' %3A, '?' %3F, '#' %23"  # noqa: S105 says how, is none


def web_address(text: str) -> str:
    """Check an address for HTTP requests; return it without a trailing slash.

    Raises:
        ValueError: saying what is wrong with it.
    """
    parts = _split(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(_WEB)
    if "@" in parts.netloc:
        _reject("must have no user and no password in it")
    if "?" in text:
        _reject("must have no query ('?' and what follows)")
    _check_host(parts.hostname)
    _check_port(parts)
    _check_path(parts.path.rstrip("/"))
    return text.rstrip("/")


def bind_address(text: str) -> str:
    """Check an address of this machine to listen at.

    Raises:
        ValueError: when it is no IP address.
    """
    try:
        ip_address(text)
    except ValueError:
        _reject("must be an address of this machine such as 0.0.0.0, 127.0.0.1 or ::")
    return text


def readable_file_or_none(text: str) -> str:
    """Check the path of a file with certificates, or the word `none`.

    Raises:
        ValueError: when it is neither.
    """
    if text != NO_CERTIFICATES and not os.access(text, os.R_OK):
        _reject("must be the path of a file with certificates (PEM) that this process may read, or none to check none")
    return text


def postgresql_address(text: str) -> str:
    """Check an address as asyncpg accepts it.

    Raises:
        ValueError: saying what is wrong with it.
    """
    if text.partition("://")[0] not in {"postgres", "postgresql"}:
        _reject("must be a postgresql:// or postgres:// address")
    parts = _split(text)
    if parts.netloc.count("@") > 1:
        _reject(_IN_A_PASSWORD)
    for host in parts.netloc.rpartition("@")[2].split(","):
        name, port = _host_and_port(host)
        if "_" not in name:  # a container's name may have one
            _check_host(name)
        _check_port_text(port)
    query = _query(parts)
    _check_port_text(*query.get("port", "").split(","))
    _check_choice("sslmode", query, SSL_MODES)
    _check_choice("target_session_attrs", query, TARGETS)
    _check_choice("channel_binding", query, CHANNEL_BINDINGS)
    if not _DIGITS.fullmatch(query.get("connect_timeout", "0")):
        _reject("the option connect_timeout must be a number of seconds")
    certificates = query.get("sslrootcert", SYSTEM_CERTIFICATES)
    if certificates != SYSTEM_CERTIFICATES and not os.access(certificates, os.R_OK):
        _reject("the option sslrootcert must be the path of a file with certificates (PEM) that this process may read, or system")
    return text


def redis_address(text: str) -> str:
    """Check an address as redis-py accepts it.

    Raises:
        ValueError: saying what is wrong with it.
    """
    scheme = text.partition("://")[0]
    if is_cluster(text):
        return _cluster_address(text)
    if scheme not in {"redis", "rediss", "unix"}:
        _reject("must be a redis://, rediss://, redis+cluster:// or rediss+cluster:// address")
    parts = _split(text)
    if scheme == "unix":
        if len(parts.path) < len("/x"):
            _reject("must name the socket, unix:///path/of/it")
    else:
        if not parts.hostname:
            _reject("must name a host, redis://host:6379")
        _check_port(parts)
        if parts.path not in {"", "/"} and not _DIGITS.fullmatch(parts.path.removeprefix("/")):
            _reject("what follows the host must be the number of a database, such as /0")
    query = _query(parts)
    for name, value in query.items():
        if name not in REDIS_OPTIONS or (name.startswith("ssl_") and scheme != "rediss"):
            _reject(f"the option {_named(name)} is not known" + (" without rediss://" if name in REDIS_OPTIONS else ""))
        if name in NUMERIC_REDIS_OPTIONS and not _DIGITS.fullmatch(value):
            _reject(f"the option {name} must be a number")
    _check_choice("ssl_cert_reqs", query, CERTIFICATE_CHECKS)
    return text


def is_cluster(text: str) -> bool:
    """True when the address is that of a Redis Cluster, `redis+cluster://` or by TLS `rediss+cluster://`."""
    return text.partition("://")[0] in {"redis+cluster", "rediss+cluster"}


def cluster_nodes(text: str) -> tuple[str, ...]:
    """The plain address of each node that the address of a cluster names, with its user, password and options."""
    parts = urlsplit(text.replace("+cluster://", "://", 1))
    user, at, hosts = parts.netloc.rpartition("@")
    return tuple(parts._replace(netloc=f"{user}{at}{host}", path="").geturl() for host in hosts.split(","))


def _cluster_address(text: str) -> str:
    if _split(text).path not in {"", "/", "/0"} or "db" in _query(_split(text)):
        _reject("a cluster has the database 0 only: nothing or /0 follows the hosts")
    for node in cluster_nodes(text):
        if not urlsplit(node).hostname:
            _reject("must name hosts, redis+cluster://host:6379,other:6379")
        redis_address(node)
    return text


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """The addresses and networks in `text`, separated by commas; blanks are allowed around each, not inside.

    Raises:
        ValueError: when one is neither.
    """
    try:
        return tuple(ip_network(part, strict=False) for part in map(str.strip, text.split(",")) if part)
    except ValueError:
        message = "must be addresses or networks, separated by commas"
        raise ValueError(message) from None


def network_list(text: str) -> str:
    """Check a list of networks; return it unchanged.

    Raises:
        ValueError: when one is neither an address nor a network.
    """
    networks(text)
    return text


def host_list(text: str) -> str:
    """Check a list of hosts, each with or without a port; return it unchanged.

    Raises:
        ValueError: when one is none, such as an address with https://.
    """
    for part in filter(None, map(str.strip, text.split(","))):
        host, port = (part, "") if _is_ip(part) else _host_and_port(part)
        if not _is_ip(host) and not all(_LABEL.fullmatch(label.replace("_", "-")) for label in host.removesuffix(".").split(".")):
            _reject("must be hosts, separated by commas, each a name or a number, with :port or without; no https:// in front")
        _check_port_text(port)
    return text


def is_twilio(address: str) -> bool:
    """True when this is Twilio's own API, in whatever region and spelling."""
    host = _host(address).rstrip(".")
    return host == "twilio.com" or host.endswith(".twilio.com")


def is_this_machine(address: str) -> bool:
    """True when only this machine reaches the address."""
    host = _host(address).rstrip(".")
    return host == "localhost" or host.endswith(".localhost") or (_is_ip(host) and ip_address(host).is_loopback)


def is_private(address: str) -> bool:
    """True when the address cannot be reached from the internet: a private number, or a name that no public server knows."""
    host = _host(address).rstrip(".")
    if _is_ip(host):
        number = ip_address(host)
        return not (getattr(number, "ipv4_mapped", None) or number).is_global
    labels = host.split(".")
    # Some programs read 127.1, 2130706433 and 0x7f.1 as numbers; none as a name.
    return len(labels) == 1 or labels[-1] in PRIVATE_ENDINGS or bool(re.fullmatch(r"\d+|0x[0-9a-f]*", labels[-1]))


def _split(text: str) -> SplitResult:
    # Python silently drops tabs and line ends from an address.
    if not text.isascii() or not text.isprintable() or " " in text:
        _reject("must have no blank, no line end and only ASCII characters; others are written %20 and so on, a host name as xn--...")
    if "#" in text:
        _reject("must have no '#'; " + _IN_A_PASSWORD)
    if text[:1] in {'"', "'"}:
        _reject("must have no quotation marks around it")
    try:
        return urlsplit(text)
    except ValueError:
        raise ValueError(_WEB if text.startswith("http") else "is not an address") from None


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _check_host(host: str) -> None:
    # Twilio refuses callback hosts with an underscore.
    if "_" in host:
        _reject("the host name must have no underscore")
    name = host.removesuffix(".")
    if name and not _is_ip(name) and not all(_LABEL.fullmatch(label) for label in name.split(".")):
        _reject("the host name has letters, digits, '-' and '.' only")


def _check_path(path: str) -> None:
    if not _PATH.fullmatch(path):
        _reject("the path has letters, digits, '-', '.', '_', '~' and '/' only")
    if {".", ".."} & set(path.split("/")):
        _reject("the path must have no part that is '.' or '..'")


def _check_port(parts: SplitResult) -> None:
    if parts.netloc.endswith(":"):
        _reject("has a ':' and no port behind it")
    _check_port_text(_host_and_port(parts.netloc.rpartition("@")[2])[1])


def _host_and_port(place: str) -> tuple[str, str]:
    if place.startswith("["):
        name, _, port = place[1:].partition("]")
        return name, port.removeprefix(":")
    name, _, port = place.partition(":")
    return name, port


def _check_port_text(*ports: str) -> None:
    for port in ports:
        if port and not (_DIGITS.fullmatch(port) and 0 < int(port) <= MAX_PORT):
            _reject(f"the port must be a number from 1 to {MAX_PORT}; {_IN_A_PASSWORD}")


def _query(parts: SplitResult) -> dict[str, str]:
    try:
        return dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) if parts.query else {}
    except ValueError:
        message = "what follows '?' must be name=value, with & between several"
        raise ValueError(message) from None


def _check_choice(name: str, query: dict[str, str], choices: tuple[str, ...]) -> None:
    if name in query and query[name] not in choices:
        _reject(f"{name} must be one of {', '.join(choices)}")


def _named(name: str) -> str:
    return name if re.fullmatch(r"[a-z_]{1,40}", name) else "behind '?'"


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _reject(problem: str) -> None:
    raise ValueError(problem)
