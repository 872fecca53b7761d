"""Lets a call that is on the line go on with another script."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from dialer.model import Reference
from dialer.sealing import BrokenSealError
from web.server import keys

if TYPE_CHECKING:
    from aiohttp import web as http

    from web.twilio.receiver import CallbackResult


async def redirect(request: http.Request, callback: CallbackResult, sid: str, url: str) -> bool:
    """Let the call of a callback go on with the TwiML at `url`; False when it does not, and goes on as it is."""
    business_id = Reference.parse(request.match_info["reference"]).business_id
    accounts, account_sid = request.app[keys.ACCOUNTS], callback.before.account_sid
    with suppress(BrokenSealError):
        accounts.account(business_id, None, await request.app[keys.ACCOUNT_ROWS].of(business_id))
    account = accounts.of(business_id, account_sid)
    return account is not None and await request.app[keys.PROVIDER].redirect(account, sid, url)
