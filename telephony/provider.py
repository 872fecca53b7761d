"""The interface to a telephone company, and the closed set of its results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from telephony import refusals

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from pydantic import SecretStr

    from telephony.refusals import Action


@dataclass(frozen=True, slots=True)
class Account:
    """An account with the provider; its secrets never show in a repr.

    `secret` authenticates requests: it is the auth token, or the secret of the API key `api_key_sid`. The provider signs callbacks with one
    of the keys in `signing`. `calls_per_second` None: the pace of the settings.
    """

    sid: str
    secret: SecretStr = field(repr=False)
    signing: tuple[SecretStr, ...] = field(default=(), repr=False)
    api_key_sid: str = ""
    calls_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A call to be placed: numbers in E.164, addresses complete, times in whole seconds.

    Numbers and addresses stay out of the repr: a number is a person, an address carries the attempt's nonce.
    """

    to: str = field(repr=False)
    from_: str = field(repr=False)
    url: str = field(repr=False)
    status_callback: str = field(repr=False)
    ring_timeout_seconds: int
    time_limit_seconds: int
    machine_detection: str | None = None
    # Where the provider reports who answered, while the call goes on; None: it waits with the script until it knows.
    machine_callback: str | None = field(default=None, repr=False)
    # Where the provider reports the recording; None: the call is not recorded.
    recording_callback: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PlacedCall:
    """The provider accepted the request and returned the call's sid."""

    sid: str
    status: str


@dataclass(frozen=True, slots=True)
class UnsentCall:
    """There is no call, and a retry is safe: nothing was written, or the provider asks us to wait (`throttled`: 429, 10004)."""

    reason: str
    retry_after_seconds: float | None = None
    throttled: bool = False


@dataclass(frozen=True, slots=True)
class RefusedCall:
    """There is no call, and a retry is useless: a 4xx that the provider wrote itself, with its own `code`."""

    code: int
    message: str = field(repr=False)
    http_status: int

    @property
    def action(self) -> Action:
        """The reaction, by the table of `telephony/refusals.py`: the number is at fault (`lead`), or the account."""
        return refusals.judge(self.http_status, self.code).action


@dataclass(frozen=True, slots=True)
class UnansweredCall:
    """It is unknown whether there is a call: bytes were written and no usable answer came. Never retry blindly.

    `foreign`: there was an answer, but not from the provider (a proxy, a portal).
    """

    reason: str
    foreign: bool = False


PlaceResult = PlacedCall | UnsentCall | RefusedCall | UnansweredCall


@dataclass(frozen=True, slots=True)
class CallFacts:
    """A call as the provider reports it now; only a terminal status is final. Times are aware, in UTC, in whole seconds.

    `queue_seconds` is how long it waited in the provider's queue; None when the provider does not say. `price` is what it charged, in
    `price_unit` (ISO 4217); None until some minutes after the end.
    """

    sid: str
    status: str
    to: str = field(repr=False)
    from_: str = field(repr=False)
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    duration_seconds: int | None
    answered_by: str | None
    queue_seconds: float | None = None
    price: Decimal | None = None
    price_unit: str | None = None


@dataclass(frozen=True, slots=True)
class NoSuchCall:
    """The provider itself reports that the account has no call with this sid (404 with its own code, not a proxy's)."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The requested calls, newest first. Not `complete`: a page failed, so the listing proves no absence.

    `at` is the provider's clock when it answered, in whole seconds (UTC); None when it sent none.
    """

    calls: tuple[CallFacts, ...]
    complete: bool
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LiveListing:
    """The calls of an account that are not over. Not `complete`: a page failed, so a call that is missing may be live all the same."""

    calls: tuple[CallFacts, ...]
    complete: bool


class Provider(Protocol):
    """A telephone company, as far as the dialer needs one; `telephony/conformance.py` tests its promises."""

    async def place(self, account: Account, request: CallRequest, *, deadline: float) -> PlaceResult:
        """Place one call, once; `deadline` is in seconds on the boot clock, and nothing is sent after it.

        Never raises for network or provider errors: every failure is one of the results.
        """

    async def fetch(self, account: Account, sid: str) -> CallFacts | NoSuchCall | None:
        """Fetch one call; `NoSuchCall` when the account has none (or does not show it yet), None without a usable answer."""

    async def list_calls(self, account: Account, to: str | None, from_: str | None, since: datetime) -> Listing:
        """List every call between two numbers created at or after `since` (aware; the provider counts in whole seconds).

        With `to` None, those to any number; with `from_` None, those from any.

        No filter by status or start time: a finished call has left `queued`, and a queued one has no start (protocol, rule 4).
        """

    async def list_live(self, account: Account) -> LiveListing:
        """List every call of an account that is queued, ringing or in progress, whatever its numbers.

        A call that changes between these states while it is being listed may be in none of them: one that is missing may still be live.
        """

    async def hang_up(self, account: Account, sid: str, *, live: bool = True) -> bool:
        """End a call; True when it is over or about to be. Not `live`: only if it has not been answered yet."""

    async def redirect(self, account: Account, sid: str, url: str) -> bool:
        """Let a live call go on with the script at `url`; True when the provider has accepted it."""

    async def close(self) -> None:
        """Close every connection; pending requests fail as they do when a connection breaks."""
