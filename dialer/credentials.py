"""Checks the secrets in the settings for copying mistakes; values are never shown.

Pure: no I/O.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MIN_SECRET_CHARACTERS = 32
# Each callback, cookie and stored credential is tried against every one of them.
MAX_SECRETS = 8
QUOTES = "\"'`\u201c\u201d\u2018\u2019"

ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")
API_KEY_SID = re.compile(r"SK[0-9a-fA-F]{32}")
ANY_SID = re.compile(r"([A-Z]{2})[0-9a-fA-F]{32}")
# Other SIDs that people paste instead of the account's.
SIDS = {
    "SK": "an API key",
    "PN": "a phone number",
    "CA": "a call",
    "AP": "a TwiML application",
    "MG": "a messaging service",
    "US": "a user",
    "OR": "an organization",
}


def account_sid(text: str) -> str:
    """Check the SID of an account.

    Raises:
        ValueError: saying what it is instead.
    """
    as_copied(text)
    if ACCOUNT_SID.fullmatch(text):
        return text
    if found := ANY_SID.fullmatch(text):
        message = f"this is the SID of {SIDS.get(found[1], 'something else')} ({found[1]}...); the account's SID belongs here (AC...)"
    else:
        message = "must be AC and 32 hexadecimal digits, as Twilio's console shows it"
    raise ValueError(message)


def api_key_sid(text: str) -> str:
    """Check the SID of an API key.

    Raises:
        ValueError: when it is not one.
    """
    as_copied(text)
    if API_KEY_SID.fullmatch(text):
        return text
    message = "must be SK and 32 hexadecimal digits, as Twilio's console shows it"
    raise ValueError(message)


def auth_token(text: str) -> str:
    """Check the auth token of an account.

    Raises:
        ValueError: saying what is wrong with it.
    """
    as_copied(text)
    if found := ANY_SID.fullmatch(text):
        message = f"this is a SID ({found[1]}...); the account's auth token belongs here, which Twilio's console shows below the SID"
        raise ValueError(message)
    if " " in text or not text.isascii():
        message = "must have no blank and only ASCII characters"
        raise ValueError(message)
    return text


def several(check: Callable[[str], str]) -> Callable[[str], str]:
    """The check of a comma-separated list of which `check` checks each; a message about one of several says which.

    The check raises:
        ValueError: saying what is wrong.
    """

    def check_all(text: str) -> str:
        as_copied(text)
        secrets = secrets_of(text)
        if len(secrets) > MAX_SECRETS:
            message = f"at most {MAX_SECRETS}, separated by commas"
            raise ValueError(message)
        for place, secret in enumerate(secrets, start=1):
            try:
                if not secret:
                    message = "is empty: give one, or several separated by commas"
                    raise ValueError(message)  # noqa: TRY301 - as those of the check
                check(secret)
            except ValueError as error:
                message = f"number {place} of {len(secrets)}: {error}" if len(secrets) > 1 else str(error)
                raise ValueError(message) from None
        return text

    return check_all


def secrets_of(text: str) -> list[str]:
    """The secrets of a comma-separated list: the first seals or signs, all open or verify."""
    return [secret.strip() for secret in text.split(",")]


def secret_key(text: str) -> str:
    """Check that a key is long enough.

    Raises:
        ValueError: saying what is wrong with it.
    """
    as_copied(text)
    if len(text) < MIN_SECRET_CHARACTERS:
        message = f"is too short: at least {MIN_SECRET_CHARACTERS} characters"
        raise ValueError(message)
    return text


def as_copied(text: str) -> str:
    """Check a value for copying mistakes: blanks at its ends, quotation marks, a line end.

    Raises:
        ValueError: saying what is wrong with it.
    """
    if not text.isprintable():
        message = "must have no line end, tab or other invisible character in it"
    elif text != text.strip():
        message = "must have no blank before or behind it"
    elif text[:1] in QUOTES or text[-1:] in QUOTES:
        message = "must have no quotation marks around it"
    else:
        return text
    raise ValueError(message)
