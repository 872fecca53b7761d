"""Believes a callback: finds the attempt it names, checks Twilio's signature, and writes down what it says.

While PostgreSQL is away a signed callback is kept in a stream of Redis, and replayed when it is back (`web/twilio/deferred.py`).

On the road of a call: 7, the callback, between `web/twilio/routes.py`, which answers it, and `sql/attempts/attempts.py`.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import SecretStr

from dialer.messages import CallChanged
from dialer.model import AttemptState, Reference
from dialer.sealing import BrokenSealError
from sql.attempts.attempts import Fact
from sql.attempts.fact_writer import NotRecordedError
from sql.errors import DatabaseUnavailableError
from telephony.twilio import callbacks
from web.server.tenancy import signed_by

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multidict import MultiDict

    from dialer.config import Settings
    from dialer.sealing import Seal
    from dialer.streams.client import Streams
    from sql.attempts.attempts import AttemptContext, Attempts, RecordResult
    from sql.attempts.fact_writer import FactWriter
    from web.operations.owner_hints import OwnerHints

UNREACHABLE = (NotRecordedError, DatabaseUnavailableError)

# Accounts of their own: beyond this many the one not heard of for longest is forgotten.
MAX_HEARD_OF = 1_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request that claims to be Twilio's: `path` and `headers` as they came, for the signature is over them."""

    reference: str
    path: str
    headers: Mapping[str, str]
    form: MultiDict[str]


@dataclass(frozen=True, slots=True)
class CallbackResult:
    """What a believed request did; `before` is how the attempt stood when it came."""

    before: AttemptContext
    result: RecordResult


class UnsignedError(Exception):
    """Twilio did not sign this."""


class UnknownReferenceError(Exception):
    """Twilio signed it, and there is no such attempt."""


class NotAppliedError(Exception):
    """A row of this attempt is locked by somebody else: replay it later."""


class CallbackReceiver:
    """Believes requests of Twilio, about the attempts of all businesses."""

    def __init__(
        self,
        settings: Settings,
        attempts: Attempts,
        facts: FactWriter,
        streams: Streams,
        *,
        hints: OwnerHints,
        account_seal: Seal,
        wrote: Callable[[], None],
    ) -> None:
        """`account_seal` opens the auth tokens of businesses with accounts of their own; `wrote` is called after each replayed callback."""
        self._settings = settings
        self._attempts = attempts
        self._facts = facts
        self._streams = streams
        self._hints = hints
        self._account_seal = account_seal
        self._wrote = wrote
        # The tokens of accounts whose signatures were right, to tell before the look-up in whose share it is made; never a right.
        self._known_accounts: OrderedDict[str, SecretStr] = OrderedDict()

    async def receive(self, signed: SignedRequest, *, answered: bool = False) -> CallbackResult | None:
        """Believe a request and write down what it says; `answered`: it asks what to say, so somebody has picked up.

        None: PostgreSQL is away, and it is kept for later.

        Raises:
            UnsignedError: when Twilio did not sign it, whether or not the reference exists.
            StrangerError: when it did, and there is no such attempt.
            ValueError: naming the field that cannot be understood.
            sql.attempts.fact_writer.NotLearnedError, DatabaseUnavailableError: when PostgreSQL is away and it could not be kept.
        """
        self._divide(signed)
        try:
            reference, before = await self._find(signed.reference)
            token = self._token(before)
            self._check(signed, token)
            self._remember_account(before, token)
            if reference is None or before is None:
                raise UnknownReferenceError
            fact = _fact(reference, signed.form, answered=answered)
            result = await self._facts.record(fact)
        except UNREACHABLE:
            self._check_away(signed)
            if await self._streams.keep_callback(signed.reference, signed.form):
                return None
            raise
        self._tell(fact, result)
        return CallbackResult(before, result)

    async def replay(self, reference: str, form: Mapping[str, str]) -> None:
        """Write down what a kept callback says, at one try; one that says nothing any more is passed.

        Raises:
            NotAppliedError: when a row it needs is locked.
            ValueError: naming the field that cannot be understood.
            DatabaseUnavailableError: when PostgreSQL is still away.
        """
        named, before = await self._find(reference)
        if named is None or before is None:
            return
        fact = _fact(named, form, answered=False)
        [result] = await self._attempts.record([fact])
        if result.verdict == "busy":
            raise NotAppliedError
        self._wrote()
        self._tell(fact, result)

    async def _find(self, text: str) -> tuple[Reference | None, AttemptContext | None]:
        try:
            reference = Reference.parse(text)
        except ValueError:
            return None, None
        return reference, await self._attempts.find_by_reference(reference.business_id, reference.attempt_id, reference.nonce)

    def _divide(self, signed: SignedRequest) -> None:
        """Choose in whose share the look-up is made: each business of the default account has one, and each other account.

        The default account's signature is Twilio's alone; another account's token is known to whoever owns it, and what that owner signs
        stays in one share whatever businesses it names.
        """
        default = self._settings.twilio_auth_token
        if self._signed(signed, default):
            signed_by(signed.reference.partition("-")[0])
            return
        account = signed.form.get("AccountSid", "")
        if account in self._known_accounts and self._signed(signed, self._known_accounts[account]):
            signed_by(account)

    def _remember_account(self, before: AttemptContext | None, token: SecretStr) -> None:
        """The signature was right: what is still to be done of it has the share of its account."""
        if before is None or before.account_sid == self._settings.twilio_account_sid:
            return
        self._known_accounts[before.account_sid] = token
        self._known_accounts.move_to_end(before.account_sid)
        if len(self._known_accounts) > MAX_HEARD_OF:
            self._known_accounts.popitem(last=False)
        signed_by(before.account_sid)

    def _signed(self, signed: SignedRequest, token: SecretStr) -> bool:
        return bool(token.get_secret_value()) and callbacks.verify(
            self._settings.public_url, signed.path, signed.form, signed.headers, token
        )

    def _check(self, signed: SignedRequest, token: SecretStr) -> None:
        if not token.get_secret_value():
            log.error("a callback cannot be verified: this process has no auth token of its account")
        if not self._signed(signed, token):
            raise UnsignedError

    def _check_away(self, signed: SignedRequest) -> None:
        """Without PostgreSQL only the default account's signature can be checked; the others are asked to come again.

        Raises:
            sql.attempts.fact_writer.NotLearnedError: when it is another account's.
            UnsignedError: when it is not signed.
        """
        if signed.form.get("AccountSid") != self._settings.twilio_account_sid:
            raise NotAppliedError
        self._check(signed, self._settings.twilio_auth_token)
        callbacks.parse(signed.form)

    def _token(self, before: AttemptContext | None) -> SecretStr:
        """The token of the account the call was placed with, whatever account its business has now."""
        if before is None or before.account_sid == self._settings.twilio_account_sid:
            return self._settings.twilio_auth_token
        if before.auth_token_sealed is None:
            log.warning("a callback cannot be checked: the account that placed its call is not known any more")
            return SecretStr("")
        try:
            return SecretStr(self._account_seal.open(before.auth_token_sealed).decode())
        except BrokenSealError:
            log.exception("the auth token of a business cannot be opened: was SECRET_KEY changed?")
            return SecretStr("")

    def _tell(self, fact: Fact, result: RecordResult) -> None:
        if result.run_id is None or result.job_id is None or result.state is None or result.partition is None:
            return
        if result.verdict == "known" and not result.hang_up:
            return
        hint = CallChanged(
            fact.business_id,
            result.run_id,
            result.job_id,
            fact.attempt_id,
            result.state,
            result.sid,
            hang_up=result.hang_up,
            error_code=fact.error_code,
        )
        self._hints.send(result.partition, hint)


def _fact(reference: Reference, form: Mapping[str, str], *, answered: bool) -> Fact:
    fact = callbacks.parse(form)
    # Whoever asks what to say has been answered, whatever else the request says.
    state = AttemptState.LIVE if answered and fact.state is not AttemptState.OVER else fact.state
    return Fact(
        business_id=reference.business_id,
        attempt_id=reference.attempt_id,
        nonce=reference.nonce,
        state=state,
        sid=fact.call_sid,
        outcome=fact.outcome,
        answered_by=fact.answered_by,
        duration=fact.duration_seconds,
        sequence=fact.sequence,
        error_code=fact.error_code,
        reason=f"SIP {fact.sip_code}" if fact.sip_code and fact.outcome == "failed" else None,
        callback=dict(form),
    )
