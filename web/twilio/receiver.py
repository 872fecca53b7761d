"""Receives a callback: finds the attempt it refers to, verifies Twilio's signature, and records the fact.

While PostgreSQL is unavailable, signed callbacks are kept in a Redis stream, and replayed later (`web/twilio/deferred.py`).

On the road of a call: 7, the callback, between `web/twilio/routes.py`, which answers it, and `sql/attempts/attempts.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from dialer.messages import CallChanged
from dialer.model import AttemptState, Reference
from dialer.sealing import BrokenSealError
from dialer.shares import BusyError
from sql.attempts.attempts import Fact
from sql.attempts.fact_writer import NotRecordedError
from sql.attempts.verdicts import RecordVerdict
from sql.errors import DatabaseUnavailableError
from telephony.twilio import callbacks
from web.server.tenancy import signed_by

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multidict import MultiDict
    from pydantic import SecretStr

    from dialer.streams.client import Streams
    from sql.attempts.attempts import AttemptContext, Attempts, RecordResult
    from sql.attempts.fact_writer import FactWriter
    from sql.test_calls.test_calls import TestCall
    from telephony.accounts import AccountBook
    from web.operations.owner_hints import OwnerHints
    from web.twilio.key_presses import KeyPresses

SigningKeys: TypeAlias = "tuple[SecretStr, ...]"

# The field that says so of a kept request; Twilio has none of this name.
REMOVED = "ringmaster:removed"
UNREACHABLE = (NotRecordedError, DatabaseUnavailableError)

# Keys of accounts other than the default: beyond this many, the least recently used is dropped.
MAX_KNOWN_ACCOUNTS = 1_000
# Keys that were read so long ago choose the share of a request, and are read again before they verify one.
KEYS_SECONDS = 600.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request that claims to be from Twilio: `path` and `headers` unchanged, because the signature covers them."""

    reference: str
    path: str
    headers: Mapping[str, str]
    form: MultiDict[str]
    # The person has pressed a key that takes its number off the list.
    removes: bool = False

    @property
    def kept(self) -> dict[str, str]:
        """The fields that are kept when it cannot be recorded."""
        return {**self.form, **({REMOVED: "1"} if self.removes else {})}


@dataclass(frozen=True, slots=True)
class CallbackResult:
    """The effect of a verified request about a call of this account."""

    account_sid: str
    result: RecordResult


class UnsignedError(Exception):
    """Twilio did not sign this."""


class UnknownReferenceError(Exception):
    """Twilio signed it, but there is no such attempt."""


class CallbackReceiver:
    """Verifies and records Twilio's requests about the attempts of all businesses."""

    def __init__(
        self,
        public_url: str,
        accounts: AccountBook,
        attempts: Attempts,
        facts: FactWriter,
        streams: Streams,
        *,
        hints: OwnerHints,
        key_presses: KeyPresses,
        wrote: Callable[[], None],
    ) -> None:
        """Signatures cover `public_url`; `wrote` is called after each replayed callback."""
        self._public_url = public_url
        self._accounts = accounts
        self._attempts = attempts
        self._facts = facts
        self._streams = streams
        self._hints = hints
        self._key_presses = key_presses
        self._wrote = wrote
        # Keys of accounts with verified signatures, and when they were read from PostgreSQL (loop's clock).
        self._known_accounts: OrderedDict[str, tuple[SigningKeys, float]] = OrderedDict()

    async def receive(self, signed: SignedRequest, *, answered: bool = False) -> CallbackResult | None:
        """Verify a request and record its fact; `answered` means that it requests TwiML, so the call was picked up.

        Returns None when PostgreSQL is unavailable and the callback was deferred.

        Raises:
            UnsignedError: when Twilio did not sign it, whether or not the reference exists.
            UnknownReferenceError: when Twilio signed it, but there is no such attempt.
            ValueError: naming the malformed field.
            sql.attempts.fact_writer.NotRecordedError, DatabaseUnavailableError: when PostgreSQL is unavailable and Redis as well.
        """
        account = self._choose_share(signed)
        try:
            recorded = await self._record_of(account, signed, answered=answered) if account and not signed.removes else None
            if recorded is None:
                recorded = await self._look_up_and_record(signed, answered=answered)
        except (*UNREACHABLE, BusyError) as error:
            if isinstance(error, BusyError) and not signed.removes:
                raise
            self._check_without_database(signed, callbacks.parse)
            if await self._streams.keep_callback(signed.reference, signed.kept):
                return None
            raise
        return recorded

    async def _record_of(self, account: str, signed: SignedRequest, *, answered: bool) -> CallbackResult | None:
        """Record a fact that this account has signed, without looking its attempt up first: the statement compares the account.

        None when there is no such attempt of this account: it may be one that was placed with an earlier account.
        """
        try:
            reference = Reference.parse(signed.reference)
        except ValueError:
            return None
        fact = replace(_fact(reference, signed.form, answered=answered), account_sid=account)
        result = await self._facts.record(fact)
        if result.verdict is RecordVerdict.STRANGER:
            return None
        self._notify_owner(fact, result)
        return CallbackResult(account, result)

    async def _look_up_and_record(self, signed: SignedRequest, *, answered: bool) -> CallbackResult:
        reference, attempt = await self._find(signed.reference)
        signing = self._signing_keys(attempt)
        self._check(signed, signing)
        self._remember_account(attempt, signing)
        if reference is None or attempt is None:
            raise UnknownReferenceError
        if signed.removes:
            # First: should anything fail after it, at worst the state of the call is learned from the next callback.
            await self._key_presses.remove(reference)
        fact = _fact(reference, signed.form, answered=answered)
        result = await self._facts.record(fact)
        self._notify_owner(fact, result)
        return CallbackResult(attempt.account_sid, result)

    async def receive_recording(self, signed: SignedRequest) -> tuple[Reference, AttemptContext] | None:
        """Verify the report of a recording, and store where it is; return the attempt.

        Returns None when PostgreSQL is unavailable and the report was deferred.

        Raises:
            UnsignedError, UnknownReferenceError, ValueError: as `receive`.
            sql.attempts.fact_writer.NotRecordedError, DatabaseUnavailableError: as `receive`.
        """
        self._choose_share(signed)
        try:
            reference, before = await self._find(signed.reference)
            self._check(signed, self._signing_keys(before))
            if reference is None or before is None:
                raise UnknownReferenceError
            await self._store_recording(reference, signed.form)
        except UNREACHABLE:
            self._check_without_database(signed, callbacks.parse_recording)
            if not await self._streams.keep_callback(signed.reference, signed.form):
                raise
            return None
        return reference, before

    async def _store_recording(self, reference: Reference, form: Mapping[str, str]) -> None:
        recording = callbacks.parse_recording(form)
        if recording is not None:
            ids = reference.business_id, reference.attempt_id
            await self._attempts.add_recording(*ids, recording.sid, recording.url, recording.duration_seconds)

    def verify(self, signed: SignedRequest, call: TestCall | None) -> TestCall:
        """Verify a request about a test call, None when there is no such call; return the call.

        Raises:
            UnsignedError, UnknownReferenceError: as `receive`.
        """
        self._check(signed, self._signing_keys(call))
        if call is None:
            raise UnknownReferenceError
        return call

    async def replay(self, reference: str, form: Mapping[str, str]) -> RecordResult | None:
        """Record a deferred callback with the key pressed in it, in one try; ignore it when its attempt no longer exists.

        Returns the result of recording its fact; None when it has none.

        Raises:
            sql.attempts.fact_writer.NotRecordedError: when a row it needs is locked.
            ValueError: naming the malformed field.
            DatabaseUnavailableError: when PostgreSQL is still unavailable.
        """
        parsed, before = await self._find(reference)
        if parsed is None or before is None:
            return None
        if form.get("AccountSid") != before.account_sid:
            log.warning("dropped a deferred callback of an account that did not place its call")
            return None
        if callbacks.is_recording(form):
            await self._store_recording(parsed, form)
            return None
        if REMOVED in form:
            await self._key_presses.remove(parsed)
        fact = _fact(parsed, {name: value for name, value in form.items() if name != REMOVED}, answered=False)
        [result] = await self._attempts.record([fact])
        if result.verdict is RecordVerdict.BUSY:
            raise NotRecordedError
        self._wrote()
        self._notify_owner(fact, result)
        return result

    async def _find(self, text: str) -> tuple[Reference | None, AttemptContext | None]:
        try:
            reference = Reference.parse(text)
        except ValueError:
            return None, None
        return reference, await self._attempts.find_by_reference(reference.business_id, reference.attempt_id, reference.nonce)

    def _choose_share(self, signed: SignedRequest) -> str | None:
        """Choose the share of the request: each business of the default account has one, and each other account.

        Returns the account that has signed it; None when that is not known before its attempt has been looked up.

        Only Twilio can sign with the default account's token. The owner of another account knows its token too, so everything signed with
        it stays in one share, whatever businesses it names.
        """
        if self.is_signed(signed, self._accounts.default.signing):
            signed_by(signed.reference.partition("-")[0])
            return self._accounts.default.sid
        account = signed.form.get("AccountSid", "")
        keys, read_at = self._known_accounts.get(account, ((), 0.0))
        if not self.is_signed(signed, keys):
            return None
        signed_by(account)
        # Keys that were replaced must not be accepted for as long as this process runs.
        return account if asyncio.get_running_loop().time() - read_at < KEYS_SECONDS else None

    def _remember_account(self, before: AttemptContext | None, signing: SigningKeys) -> None:
        """The signature is verified: the rest of the request uses the share of its account."""
        if before is None or self._accounts.is_default(before.account_sid):
            return
        self._known_accounts[before.account_sid] = signing, asyncio.get_running_loop().time()
        self._known_accounts.move_to_end(before.account_sid)
        if len(self._known_accounts) > MAX_KNOWN_ACCOUNTS:
            self._known_accounts.popitem(last=False)
        signed_by(before.account_sid)

    def is_signed(self, signed: SignedRequest, signing: SigningKeys) -> bool:
        """Whether Twilio signed a request with one of these keys."""
        return any(callbacks.verify(self._public_url, signed.path, signed.form, signed.headers, key) for key in signing)

    def _check(self, signed: SignedRequest, signing: SigningKeys) -> None:
        if not signing:
            log.error("could not verify a callback: this process has no key of its account")
        if not self.is_signed(signed, signing):
            raise UnsignedError

    def _check_without_database(self, signed: SignedRequest, parse: Callable[[Mapping[str, str]], object]) -> None:
        """Verify a signature without PostgreSQL: that of the default account, or of one whose signature was verified before.

        Whether the call is of that account is seen when it is replayed. A callback of any other account gets a 503, and is retried.

        Raises:
            sql.attempts.fact_writer.NotRecordedError: when it is from an account whose keys are not known here.
            UnsignedError: when it is not signed.
            ValueError: naming the malformed field.
        """
        account = signed.form.get("AccountSid", "")
        keys = self._accounts.default.signing if self._accounts.is_default(account) else self._known_accounts.get(account, ((), 0.0))[0]
        if not keys and not self._accounts.is_default(account):
            raise NotRecordedError
        self._check(signed, keys)
        parse(signed.form)

    def _signing_keys(self, before: AttemptContext | TestCall | None) -> SigningKeys:
        """The keys of the account the call was placed with, whatever account its business has now."""
        if before is None:
            return self._accounts.default.signing
        try:
            keys = self._accounts.signing_keys(before.account_sid, before.sealed)
        except BrokenSealError:
            log.exception("could not open the credentials of a business's account: was a key removed from SECRET_KEY?")
            return ()
        if not keys:
            log.warning("could not verify a callback: its call was placed with an account we no longer know")
        return keys

    def _notify_owner(self, fact: Fact, result: RecordResult) -> None:
        if result.run_id is None or result.job_id is None or result.state is None or result.partition is None:
            return
        if result.verdict is RecordVerdict.KNOWN and not result.hang_up:
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
    # The report of who answered has no status: the call goes on.
    fact = callbacks.parse(form if "CallStatus" in form or "AnsweredBy" not in form else {**form, "CallStatus": "in-progress"})
    # Twilio requests TwiML only for an answered call, whatever the other fields say.
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
