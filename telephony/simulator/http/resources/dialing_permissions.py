"""The countries an account may call, as Twilio's voice API describes them; an account that declares none has no such list (404)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import phonenumbers
from aiohttp import web as http
from babel import Locale

from telephony.simulator.http.fields import truth
from telephony.simulator.http.listings import page_number, page_size
from telephony.simulator.http.rest_errors import inject_into_query, not_found

if TYPE_CHECKING:
    from collections.abc import Callable

    from telephony.simulator.accounts.account_record import SimulatorAccount
    from telephony.simulator.simulator import Simulator

COUNTRIES: Final = "/v1/DialingPermissions/Countries"
FLAGS: Final = {
    "LowRiskNumbersEnabled": "low_risk_numbers_enabled",
    "HighRiskSpecialNumbersEnabled": "high_risk_special_numbers_enabled",
    "HighRiskTollfraudNumbersEnabled": "high_risk_tollfraud_numbers_enabled",
}


class DialingPermissions:
    """`/v1/DialingPermissions/Countries`; `owner_of` finds the account of a request."""

    def __init__(self, simulator: Simulator, owner_of: Callable[[http.Request], SimulatorAccount]) -> None:
        self._simulator = simulator
        self._owner_of = owner_of

    def routes(self) -> list[http.RouteDef]:
        """The routes."""
        return [http.get(COUNTRIES, self.countries), http.get(f"{COUNTRIES}/{{country}}", self.country)]

    async def country(self, request: http.Request) -> http.Response:
        """Describe one country."""
        permitted = await self._permitted(request)
        country = request.match_info["country"]
        if country not in phonenumbers.SUPPORTED_REGIONS:
            raise not_found(request.path)
        return http.json_response(self._body(country, permitted))

    async def countries(self, request: http.Request) -> http.Response:
        """Describe a page of countries."""
        permitted = await self._permitted(request)
        page, size = page_number(request.query), page_size(request.query)
        filters = [(name, request.query[name]) for name in ("IsoCode", "CountryCode", *FLAGS) if request.query.get(name)]
        bodies = [self._body(country, permitted) for country in sorted(phonenumbers.SUPPORTED_REGIONS)]
        matching = [body for body in bodies if all(_matches(body, name, text) for name, text in filters)]
        here = [*filters, ("PageSize", str(size))]
        meta = {
            "key": "content",
            "page": page,
            "page_size": size,
            "first_page_url": self._url([*here, ("Page", "0")]),
            "previous_page_url": self._url([*here, ("Page", str(page - 1))]) if page else None,
            "url": self._url([*here, ("Page", str(page))]),
            "next_page_url": self._url([*here, ("Page", str(page + 1))]) if len(matching) > (page + 1) * size else None,
        }
        return http.json_response({"content": matching[page * size : (page + 1) * size], "meta": meta})

    async def _permitted(self, request: http.Request) -> tuple[str, ...]:
        account = self._owner_of(request)
        await inject_into_query(self._simulator, request.path)
        if account.countries is None:
            raise not_found(request.path)
        return account.countries

    def _body(self, country: str, permitted: tuple[str, ...]) -> dict[str, object]:
        url = f"{self._simulator.address}{COUNTRIES}/{country}"
        return {
            "iso_code": country,
            "name": Locale("en").territories.get(country, country),
            "continent": None,
            "country_codes": [f"+{phonenumbers.country_code_for_region(country)}"],
            "low_risk_numbers_enabled": country in permitted,
            "high_risk_special_numbers_enabled": False,
            "high_risk_tollfraud_numbers_enabled": False,
            "url": url,
            "links": {"highrisk_special_prefixes": f"{url}/HighRiskSpecialPrefixes"},
        }

    def _url(self, query: list[tuple[str, str]]) -> str:
        return f"{self._simulator.address}{COUNTRIES}?{urlencode(query)}"


def _matches(body: dict[str, object], name: str, text: str) -> bool:
    if name in FLAGS:
        return body[FLAGS[name]] is truth({name: text}, name)
    return body["iso_code"] == text if name == "IsoCode" else body["country_codes"] == [f"+{text.removeprefix('+')}"]
