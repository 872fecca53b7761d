"""`python -m dialer account set`, `clear` and `reseal`: the provider account of a business, and the seals of all of them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from pydantic import ValidationError

from actors.duties.account_seals import renew_seals
from dialer.clock import SystemClock
from dialer.config import load
from dialer.sealing import Seal
from dialer.webhooks.signing import WebhookKeys
from ringmaster.arguments import business_id
from ringmaster.database import address, connected
from ringmaster.errors import FAILED, MISUSED, CommandError
from ringmaster.output import print_result
from sql.accounts.account_rows import Accounts
from sql.audit.audit import Audit
from sql.businesses.businesses import Businesses
from sql.users.users import INSTALLATION
from sql.webhooks.deliveries import Deliveries
from telephony.accounts import AccountBook
from telephony.twilio.account_reader import AccountReader
from web.operations.settings.account_check import check_at_provider
from web.operations.settings.provider_account import AccountInput, check_account
from web.server.errors import ApiError

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace
    from pathlib import Path

    from sql.businesses.businesses import Business
    from sql.pool import Pool
    from telephony.provider import Account

MAX_INPUT_CHARACTERS = 16_384
SET = "business {business_id}: calls with account {account_sid}"
CLEARED = "business {business_id}: calls with the default account"
RESEALED = "{resealed} credentials sealed with the first key of SECRET_KEY, {unreadable} cannot be opened with any of its keys"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the commands to argparse."""
    group = commands.add_parser("account", help="provider accounts").add_subparsers(required=True, metavar="set|clear|reseal")
    about = (
        "Give a business a provider account of its own. Reads a JSON object from standard input, so that no secret is seen in a list of"
        " processes: account_sid, and auth_token or api_key_sid, api_key_secret and signing_key; perhaps calls_per_second."
    )
    given = group.add_parser("set", help="give a business its own account", description=about)
    given.set_defaults(run=run_set)
    cleared = group.add_parser("clear", help="back to the default account", description="Let a business call with the default account.")
    cleared.set_defaults(run=run_set, clear=True)
    for command in (given, cleared):
        command.add_argument("--business", required=True, type=business_id, metavar="ID", help="the business_id")
    about = "Seal all stored credentials with the first key of SECRET_KEY. When none is unreadable, the other keys can be removed from it."
    resealed = group.add_parser("reseal", help="after a change of SECRET_KEY", description=about)
    resealed.set_defaults(run=run_reseal)
    for command in (given, cleared, resealed):
        command.add_argument("--by", metavar="NAME", help="your name, for the audit log")
        command.add_argument("--json", action="store_true", help="print one JSON object")


async def run_set(options: Namespace) -> int:
    """Run `account set` or `account clear`.

    Raises:
        CommandError: naming what is wrong with the account.
    """
    given = None if "clear" in options else _read()
    book = _book()
    requested_by = f"cli:{options.by}" if options.by else "cli"
    async with connected(address()) as pool:
        await _change(pool, options.business, given, book, requested_by)
    account_sid = given.account_sid if given else None
    fields = {"business_id": options.business, "account_sid": account_sid}
    print_result(fields, SET if given else CLEARED, as_json=options.json)
    return 0


async def run_reseal(options: Namespace) -> int:
    """Run `account reseal`; exit code 1 when credentials cannot be opened."""
    book, webhook_keys = _book(), WebhookKeys(secret_key())
    async with connected(address()) as pool:
        accounts = await renew_seals(Accounts(pool), book)
        webhooks = await renew_seals(Deliveries(pool), webhook_keys)
        resealed, unreadable = map(sum, zip(accounts, webhooks, strict=True))
        detail = {"resealed": resealed, "unreadable": unreadable}
        await Audit(pool).write(INSTALLATION, f"cli:{options.by}" if options.by else "cli", "account.reseal", detail)
    print_result(detail, RESEALED, as_json=options.json)
    return FAILED if unreadable else 0


async def _change(pool: Pool, business: int, given: AccountInput | None, book: AccountBook, requested_by: str) -> None:
    businesses = Businesses(pool)
    found = await businesses.get(business)
    if found is None:
        message = f"there is no business {business}"
        raise CommandError(message)
    if given:
        await _check(found, given, book)
    sealed = book.seal(given.credentials) if given and given.has_credentials else None
    await businesses.change(business, {"provider_account": given.public() if given else None}, requested_by, sealed=sealed)


async def _check(found: Business, given: AccountInput, book: AccountBook) -> None:
    try:
        check_account(found, given, book)
        if given.has_credentials:
            await _ask_provider(found, book.entered(given.account_sid, given.credentials))
    except ApiError as error:
        [detail] = error.details
        message = f"{detail['field']}: {detail['message'].text.format(**detail['message'].values)}"
        raise CommandError(message, MISUSED) from None


async def _ask_provider(found: Business, account: Account) -> None:
    reader = AccountReader(load().twilio_api_url, SystemClock())
    try:
        await check_at_provider(reader, account, entered=True, numbers=found.caller_ids, numbers_entered=False)
    finally:
        await reader.close()


def _read() -> AccountInput:
    try:
        return AccountInput.model_validate(_json_of(sys.stdin.read(MAX_INPUT_CHARACTERS)), strict=True)
    except ValidationError as error:
        # Of the input nothing is shown: it is secret.
        lines = [f"{'.'.join(map(str, one['loc'])) or 'the object'}: {one['msg']}" for one in error.errors(include_input=False)]
        message = "\n".join(lines)
        raise CommandError(message, MISUSED) from None


def _json_of(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        message = "standard input must be a JSON object with account_sid and its credentials"
        raise CommandError(message, MISUSED) from None


def _book() -> AccountBook:
    settings = load()
    return AccountBook(settings.twilio_account_sid, settings.twilio_auth_token, Seal(secret_key(), "account"))


def secret_key() -> str:
    """SECRET_KEY, or the key of the `python -m dialer up` in the data directory.

    Raises:
        CommandError: when there is none.
    """
    settings = load()
    key = settings.secret_key.get_secret_value() or _key_of_up(settings.data_dir)
    if not key:
        message = "SECRET_KEY is not set: credentials are sealed with the key of the web process and the workers"
        raise CommandError(message, MISUSED)
    return key


def _key_of_up(data_dir: Path) -> str:
    """The key that `up` has generated (ringmaster/local/folder.py); empty when there is none."""
    try:
        return (data_dir / "secret_key").read_text()
    except OSError:
        return ""
