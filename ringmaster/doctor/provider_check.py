"""Checks the provider's accounts: that their credentials open and are accepted, that they are active, and have the caller ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dialer.sealing import BrokenSealError, Seal
from ringmaster.doctor.finding import Finding, Status
from sql.accounts.account_rows import Accounts
from sql.errors import FAILED, NOT_MIGRATED
from sql.unusable import why_unusable
from telephony.accounts import AccountBook
from telephony.twilio.account_reader import AccountReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dialer.config import Settings
    from ringmaster.doctor.clock_check import Clocks
    from ringmaster.doctor.finding import Findings
    from sql.diagnosis.diagnosis import Diagnosis
    from telephony.provider import Account
    from telephony.twilio.account_reader import AccountFacts

# The default account, and so many of businesses.
ACCOUNTS: Final = 21
SHOWN: Final = 5
ACTIVE: Final = "active"


async def check_accounts(diagnosis: Diagnosis, database_url: str, settings: Settings, clocks: Clocks) -> Findings:
    """A finding for each account that calls are made with, or one when all is well."""
    try:
        used = await diagnosis.rows("accounts", ACCOUNTS)
        found = [finding for row in used for finding in await _account(row, diagnosis, settings, clocks)]
    except NOT_MIGRATED:
        return
    except FAILED as error:
        yield Finding("accounts", Status.WARN, f"reading the accounts: {why_unusable(error, database_url)}", "run this again")
        return
    for finding in found:
        yield finding
    if not found:
        asked = f"accounts that the provider accepts, with the numbers that businesses call from: {len(used)}"
        yield Finding("accounts", Status.OK, asked)


async def _account(row: dict[str, Any], diagnosis: Diagnosis, settings: Settings, clocks: Clocks) -> list[Finding]:
    sid = row["account_sid"]
    name = f"the account {sid} of business {row['business_id']}" if sid else "the account of the settings"
    if sid is None and not (settings.twilio_account_sid and settings.twilio_auth_token.get_secret_value()):
        detail = f"businesses without an account of their own: {row['businesses']}, and the settings name none"
        return [Finding("accounts", Status.FAIL, detail, "set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN")]
    book = AccountBook(settings.twilio_account_sid, settings.twilio_auth_token, Seal(settings.secret_key.get_secret_value(), "account"))
    try:
        account = book.account(row["business_id"], sid, await Accounts(diagnosis.pool).of(row["business_id"]) if sid else [])
    except BrokenSealError:
        remedy = "put the key back that SECRET_KEY had, behind a comma; or enter the credentials again: python -m dialer account set"
        return [Finding("accounts", Status.FAIL, f"the credentials of {name} cannot be opened with SECRET_KEY", remedy)]
    return list(_judge(name, await _ask(account, settings, clocks), row["numbers"]))


async def _ask(account: Account, settings: Settings, clocks: Clocks) -> AccountFacts:
    reader = AccountReader(settings.twilio_api_url, clocks.clock)
    asked = clocks.clock.now().timestamp()
    try:
        facts = await reader.read(account)
    finally:
        await reader.close()
    if facts.at is not None:
        clocks.add("the provider", facts.at.timestamp(), facts.at.timestamp() + 1, asked)
    return facts


def _judge(name: str, facts: AccountFacts, numbers: list[str]) -> Iterator[Finding]:
    if facts.refused:
        remedy = (
            "copy SID and token from the provider's console to TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or python -m dialer account set"
        )
        yield Finding("accounts", Status.FAIL, f"the provider refuses the credentials of {name}", remedy)
    elif facts.status not in {None, ACTIVE}:
        remedy = "open the provider's console: the account has to be paid for, or reactivated by its support"
        yield Finding("accounts", Status.FAIL, f"{name} is {facts.status}", remedy)
    elif facts.at is None:
        remedy = "check that this machine reaches TWILIO_API_URL, and the provider's page of its status"
        yield Finding("accounts", Status.WARN, f"the provider does not answer about {name}", remedy)
    if facts.numbers is not None and (lacking := sorted(set(numbers) - facts.numbers)):
        remedy = "buy or verify them in the provider's console, or change the caller ids of the business"
        yield Finding("accounts", Status.WARN, f"{name} does not have the numbers {', '.join(lacking[:SHOWN])}", remedy)
