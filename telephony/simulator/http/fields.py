"""Reads single fields of a request: a word of several, a number, true or false, an address."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from telephony.simulator.http.rest_errors import RefusalError, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_ADDRESS_CHARACTERS: Final = 4_000
BAD_CALLBACK: Final = 21609
# Names that only a private network knows.
PRIVATE_NAMES: Final = (".localhost", ".local", ".internal", ".lan", ".home.arpa")


@dataclass(frozen=True, slots=True)
class AddressRule:
    """Which addresses an account may name; Twilio reaches no private host, a simulator on a developer's machine does."""

    private_hosts: bool = True


def one_of(form: Mapping[str, str], name: str, words: Sequence[str]) -> str:
    """A word of a closed set; without one the first.

    Raises:
        RefusalError: when it is another.
    """
    word = form.get(name, words[0])
    if word not in words:
        raise invalid(name, " or ".join(sorted({word for word in words if word})))
    return word


def truth(form: Mapping[str, str], name: str) -> bool:
    """`true` or `false`; without one false.

    Raises:
        RefusalError: when it is another word.
    """
    return one_of({name: form.get(name, "false").lower()}, name, ("false", "true")) == "true"


def seconds(form: Mapping[str, str], name: str, default: int, bounds: range) -> int:
    """A whole number within bounds, of seconds or of what the name says.

    Raises:
        RefusalError: when it is another.
    """
    text = form.get(name, "") or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(bounds[-1])) and int(text) in bounds):
        raise invalid(name, f"{bounds[0]} to {bounds[-1]}")
    return int(text)


def optional_address(form: Mapping[str, str], name: str, rule: AddressRule) -> str | None:
    """The address of a callback, if the request names one.

    Raises:
        RefusalError: 21609, when Twilio would not call it.
    """
    text = form.get(name, "")
    if text and not is_address(text, rule):
        raise RefusalError(400, BAD_CALLBACK, f"The {name} URL is not a valid URL.")
    return text or None


def is_address(text: str, rule: AddressRule) -> bool:
    """True when Twilio would take this address: http or https, a host without underscore, nothing that needs encoding first."""
    if len(text) > MAX_ADDRESS_CHARACTERS or not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    named = parts.scheme in {"http", "https"} and bool(host) and "_" not in host and port != 0
    return named and (rule.private_hosts or not is_private(host))


def is_private(host: str) -> bool:
    """True for a host that only a private network reaches."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.rstrip(".").endswith(PRIVATE_NAMES)
