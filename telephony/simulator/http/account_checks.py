"""Checks a valid request for a call against what its account may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import phonenumbers

from telephony.simulator.http.fields import AddressRule
from telephony.simulator.http.rest_errors import STATUSES, RefusalError
from telephony.simulator.scenarios import AT_ITS_LIMIT

if TYPE_CHECKING:
    from telephony.simulator.accounts.account_record import SimulatorAccount
    from telephony.simulator.http.parameters import CallParameters


def check_open(account: SimulatorAccount) -> None:
    """Refuse every request for a closed account.

    Raises:
        RefusalError: 20005.
    """
    if account.status == "closed":
        raise RefusalError(STATUSES[20005], 20005, "Account not active")


def check_may_call(account: SimulatorAccount, wanted: CallParameters) -> None:
    """Refuse a call that the account may not make.

    Raises:
        RefusalError: 10001 for a suspended account, 21210 for a caller id it does not own, 21219 for a trial account and a number that is
            not verified, 21215 for a country it may not call.
    """
    if account.status != "active":
        raise RefusalError(400, 10001, "Account is not active")
    if account.owns_numbers and wanted.from_ not in account.caller_ids:
        raise RefusalError(400, 21210, "The source phone number provided is not yet verified for your account.")
    if account.type == "trial" and wanted.to not in (account.verified_caller_ids or ()):
        raise RefusalError(400, 21219, "The number is unverified. Trial accounts may only make calls to verified numbers.")
    if account.countries is not None and country_of(wanted.to) not in account.countries:
        raise RefusalError(400, 21215, "Account not authorized to call this number: enable its country in the geographic permissions.")


def check_room(account: SimulatorAccount, live: int) -> bool:
    """Refuse a call beyond the account's calls at once; `live` counts those it has. False when the call is taken and will fail.

    Raises:
        RefusalError: 10004.
    """
    if account.calls_at_once is None or live < account.calls_at_once:
        return True
    if account.over_limit == "refuse":
        raise RefusalError(STATUSES[AT_ITS_LIMIT], AT_ITS_LIMIT, "Call concurrency limit exceeded")
    return False


def address_rule(account: SimulatorAccount, *, private_hosts: bool) -> AddressRule:
    """Which addresses the account may name; `private_hosts` unless it says otherwise."""
    return AddressRule(private_hosts if account.private_hosts is None else account.private_hosts)


def country_of(number: str) -> str | None:
    """The country of a number, by its ISO 3166 code; None when it is not known."""
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return None
