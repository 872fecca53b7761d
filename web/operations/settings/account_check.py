"""Asks the provider about an account and caller ids before they are stored.

Only a definite no is an error: wrong credentials, an account that may not call, a number that the account does not have, a country that its
geographic permissions exclude.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from web.server import errors
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telephony.provider import Account
    from telephony.twilio.account_reader import AccountFacts, AccountReader

ACTIVE: Final = "active"
SHOWN_NUMBERS: Final = 5
MAX_COUNTRIES_ASKED: Final = 20


async def check_at_provider(
    reader: AccountReader, account: Account, *, entered: bool, numbers: Sequence[str], numbers_entered: bool
) -> AccountFacts:
    """Check an account, if it is `entered` now, and that it has these numbers; return what the provider says about it.

    `numbers_entered` decides which field gets the error.

    Raises:
        ApiError: 422, naming the field.
    """
    facts = await reader.read(account)
    if entered:
        _check_account(account, facts)
    if facts.refused or facts.numbers is None:
        return facts
    wrong = [place for place, number in enumerate(numbers) if number not in facts.numbers]
    if wrong and numbers_entered:
        why = Text(msgid("is neither a number of the account nor verified there"))
        raise errors.invalid([{"field": f"caller_ids.{place}", "message": why} for place in wrong])
    if wrong:
        shown = ", ".join(numbers[place] for place in wrong[:SHOWN_NUMBERS])
        why = Text(msgid("may not call from {numbers}: give caller_ids of this account in the same request"), {"numbers": shown})
        raise errors.wrong_field(name="provider_account", why=why)
    return facts


async def check_countries(reader: AccountReader, account: Account, countries: Sequence[str]) -> None:
    """Check that the provider lets this account call these countries, at most the first 20.

    Raises:
        ApiError: 422, naming the others.
    """
    asked = countries[:MAX_COUNTRIES_ASKED]
    denied = await reader.denied_countries(account, asked)
    why = Text(msgid("is not permitted for the account: allow it in the provider's geographic permissions first"))
    wrong = [{"field": f"allowed_countries.{place}", "message": why} for place, country in enumerate(asked) if country in denied]
    if wrong:
        raise errors.invalid(wrong)


def _check_account(account: Account, facts: AccountFacts) -> None:
    if facts.refused:
        if account.api_key_sid:
            why = Text(msgid("is not accepted by the provider for this account"))
            raise errors.wrong_field(name="provider_account.api_key_secret", why=why)
        why = Text(msgid("The provider refuses this account SID with this token: check both."))
        raise errors.wrong_field(name="provider_account.auth_token", why=why)
    if facts.status is not None and facts.status != ACTIVE:
        why = Text(msgid("is not active: the provider says that it is {status}"), {"status": facts.status[:20]})
        raise errors.wrong_field(name="provider_account.account_sid", why=why)
