"""An account, its numbers and its verified caller ids, as Twilio's API describes them.

A list that the account does not declare does not exist here (404): nothing is known of it.
"""

from __future__ import annotations

from datetime import timedelta
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from aiohttp import web as http

from telephony.simulator.http.json_bodies import VERSION, page_links, rfc2822
from telephony.simulator.http.listings import page_number, page_size
from telephony.simulator.http.rest_errors import RefusalError, inject_into_query, not_found

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from telephony.simulator.accounts.account_record import SimulatorAccount
    from telephony.simulator.simulator import Simulator

ACCOUNT: Final = f"/{VERSION}/Accounts/{{account:[^/.]+}}.json"
NUMBERS: Final = f"/{VERSION}/Accounts/{{account}}/IncomingPhoneNumbers.json"
CALLER_IDS: Final = f"/{VERSION}/Accounts/{{account}}/OutgoingCallerIds.json"
PARTS: Final = ("Calls", "IncomingPhoneNumbers", "OutgoingCallerIds", "Recordings")
SID_BYTES: Final = 16
# What Twilio sends for a number that nothing is set for.
UNSET: Final = (
    "address_sid", "identity_sid", "sms_application_sid", "sms_fallback_url", "sms_url", "status_callback", "trunk_sid",
    "voice_application_sid", "voice_fallback_url", "voice_url", "emergency_address_sid", "bundle_sid", "type",
)  # fmt: skip


class AccountResources:
    """`Accounts/{sid}.json` and the numbers below it; `account_of` authenticates a request. All were made when the simulator was."""

    def __init__(self, simulator: Simulator, account_of: Callable[[http.Request], SimulatorAccount]) -> None:
        self._simulator = simulator
        self._account_of = account_of
        self._since = rfc2822(simulator.clock.now(), timedelta())

    def routes(self) -> list[http.RouteDef]:
        """The routes."""
        return [http.get(ACCOUNT, self.account), http.get(NUMBERS, self.numbers), http.get(CALLER_IDS, self.caller_ids)]

    async def account(self, request: http.Request) -> http.Response:
        """Describe the account; its token is not told. A standard API key may not ask for it, as Twilio documents under 20003."""
        account = await self._asked(request)
        if self._simulator.accounts.is_standard_key(account.sid, request.headers.get("Authorization", "")):
            raise RefusalError(401, 20003, "Authentication Error - invalid username")
        path = f"/{VERSION}/Accounts/{account.sid}"
        return http.json_response(
            {
                "sid": account.sid,
                "auth_token": "[Redacted]",
                "friendly_name": account.friendly_name,
                "owner_account_sid": account.sid,
                "status": account.status,
                "type": account.type.capitalize(),
                **self._dates(),
                "subresource_uris": {part.lower(): f"{path}/{part}.json" for part in PARTS},
                "uri": f"{path}.json",
            }
        )

    async def numbers(self, request: http.Request) -> http.Response:
        """Describe a page of its numbers."""
        account = await self._asked(request)
        return self._page(request, "incoming_phone_numbers", account.numbers, lambda number: self._number(account.sid, number))

    async def caller_ids(self, request: http.Request) -> http.Response:
        """Describe a page of its verified caller ids."""
        account = await self._asked(request)
        return self._page(request, "outgoing_caller_ids", account.verified_caller_ids, lambda number: self._caller_id(account.sid, number))

    async def _asked(self, request: http.Request) -> SimulatorAccount:
        account = self._account_of(request)
        await inject_into_query(self._simulator, request.path)
        return account

    def _page(
        self, request: http.Request, key: str, numbers: Sequence[str] | None, body: Callable[[str], dict[str, object]]
    ) -> http.Response:
        if numbers is None:
            raise not_found(request.path)
        page, size = page_number(request.query), page_size(request.query)
        filters = [(name, request.query[name]) for name in ("PhoneNumber", "FriendlyName") if request.query.get(name)]
        # A star stands for any digits, as in Twilio's filter.
        matching = [number for number in numbers if all(fnmatchcase(number, pattern) for _, pattern in filters)]
        bodies = [body(number) for number in matching[page * size : (page + 1) * size]]
        more = len(matching) > (page + 1) * size
        token = [("PageToken", f"PA{bodies[-1]['sid']}")] if more else None
        here = [*filters, ("PageSize", str(size))]
        return http.json_response({key: bodies, **page_links(request.path, here, page, size, len(bodies), token)})

    def _number(self, account: str, number: str) -> dict[str, object]:
        sid = _sid("PN", account, number)
        return {
            **dict.fromkeys(UNSET),
            "sid": sid,
            "account_sid": account,
            "phone_number": number,
            "friendly_name": number,
            "address_requirements": "none",
            "api_version": VERSION,
            "beta": False,
            "capabilities": {"voice": True, "sms": False, "mms": False, "fax": False},
            **self._dates(),
            "origin": "twilio",
            "sms_fallback_method": "POST",
            "sms_method": "POST",
            "status_callback_method": "POST",
            "voice_receive_mode": "voice",
            "voice_caller_id_lookup": False,
            "voice_fallback_method": "POST",
            "voice_method": "POST",
            "emergency_status": "Inactive",
            "emergency_address_status": "unregistered",
            "status": "in-use",
            "uri": f"/{VERSION}/Accounts/{account}/IncomingPhoneNumbers/{sid}.json",
        }

    def _caller_id(self, account: str, number: str) -> dict[str, object]:
        sid = _sid("PN", account, "verified", number)
        return {
            "sid": sid,
            "account_sid": account,
            "phone_number": number,
            "friendly_name": number,
            **self._dates(),
            "uri": f"/{VERSION}/Accounts/{account}/OutgoingCallerIds/{sid}.json",
        }

    def _dates(self) -> dict[str, object]:
        return {"date_created": self._since, "date_updated": self._since}


def _sid(prefix: str, *key: str) -> str:
    return prefix + blake2b("|".join(key).encode(), digest_size=SID_BYTES).hexdigest()
