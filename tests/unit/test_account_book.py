"""The accounts a process knows: whose credentials are used for which call, and which keys verify its callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from dialer.sealing import BrokenSealError, Seal
from telephony.account_credentials import AccountCredentials
from telephony.accounts import AccountBook

if TYPE_CHECKING:
    from telephony.provider import Account

KEY, OTHER_KEY = "x" * 40, "y" * 40
SEAL = Seal(KEY, "account")


def book(tokens: str = "default", *, sid: str = "AC0", key: str = KEY) -> AccountBook:
    return AccountBook(sid, SecretStr(tokens), Seal(key, "account"))


def stored(sid: str, *tokens: str, seal: Seal = SEAL, pace: float | None = None) -> dict[str, Any]:
    """As PostgreSQL has it; the newest token first."""
    sealed = [AccountCredentials(auth_token=token).sealed(seal) for token in tokens]
    return {"account_sid": sid, "sealed": sealed, "calls_per_second": pace, "present": True}


def secret(account: Account | None) -> str | None:
    return account.secret.get_secret_value() if account else None


def keys(found: tuple[SecretStr, ...]) -> list[str]:
    return [key.get_secret_value() for key in found]


def test_an_account_is_known_to_its_business_only() -> None:
    """A business that names the account of another cannot use its token."""
    known = book()
    known.account(1, "AC2", [stored("AC1", "mine"), stored("AC2", "newer")])
    known.account(2, "AC1", [stored("AC1", "wrong")])
    assert [secret(known.of(*named)) for named in ((1, "AC1"), (1, "AC2"), (2, "AC1"))] == ["mine", "newer", "wrong"]
    assert [secret(known.of(*named)) for named in ((2, "AC2"), (3, "AC1"), (3, "AC0"), (3, "AC9"))] == [None, None, "default", None]


def test_of_one_account_the_newest_token_authenticates_and_each_verifies() -> None:
    account = book().account(1, "AC1", [stored("AC1", "new", "old", pace=2.5)])
    assert (secret(account), keys(account.signing), account.calls_per_second) == ("new", ["new", "old"], 2.5)


def test_a_token_that_was_replaced_is_noticed() -> None:
    known = book()
    known.account(1, "AC1", [stored("AC1", "old")])
    assert secret(known.account(1, "AC1", [stored("AC1", "new", "old")])) == "new"


@pytest.mark.parametrize("accounts", [[], [stored("AC1", "new", seal=Seal(OTHER_KEY, "account"))], [stored("AC2", "x")]])
def test_an_account_whose_newest_credentials_cannot_be_opened_is_not_used(accounts: list[dict[str, Any]]) -> None:
    known = book()
    with pytest.raises(BrokenSealError):
        known.account(1, "AC1", accounts)
    assert known.of(1, "AC1") is None


def test_callbacks_are_verified_with_what_can_be_opened() -> None:
    known = book("first,second")
    unreadable = stored("AC1", "x", seal=Seal(OTHER_KEY, "account"))["sealed"]
    assert keys(known.signing_keys("AC1", [*unreadable, *stored("AC1", "old")["sealed"]])) == ["old"]
    with pytest.raises(BrokenSealError):
        known.signing_keys("AC1", unreadable)
    assert keys(known.signing_keys("AC1", [])) == []
    assert keys(known.signing_keys("AC0", [])) == ["first", "second"]


def test_an_api_key_sends_requests_and_verifies_nothing() -> None:
    given = AccountCredentials(api_key_sid="SK1", api_key_secret="for requests", signing_key="for callbacks")
    account = book().account(1, "AC1", [{"account_sid": "AC1", "sealed": [given.sealed(SEAL)], "calls_per_second": None}])
    assert (account.api_key_sid, secret(account), keys(account.signing), given.kind) == (
        "SK1",
        "for requests",
        ["for callbacks"],
        "api_key",
    )
    assert "for requests" not in repr(account) + repr(given)
    assert "for callbacks" not in repr(account) + repr(given)


def test_a_default_account_that_the_settings_do_not_name_any_more_is_still_known() -> None:
    before = book("old", sid="AC7")
    kept = before.default_to_keep([])
    assert kept is not None
    rows = [{"account_sid": "AC7", "sealed": [kept], "calls_per_second": None, "present": True}]
    assert before.default_to_keep(rows) is None, "kept already"
    assert before.default_to_keep([{**rows[0], "present": False}]) is not None, "it is the default account again"
    assert book("rotated,old", sid="AC7").default_to_keep(rows) is not None
    after = book("new", sid="AC8")
    assert after.default_to_keep(rows) is not None
    assert (secret(after.of(1, "AC7")), keys(after.signing_keys("AC7", []))) == ("old", ["old"])
    assert book("", sid="").default_to_keep(rows) is None
