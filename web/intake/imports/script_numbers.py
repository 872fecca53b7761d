"""Checks the numbers in a script: the agent's by the rules for numbers that are called, the caller id by those of the business."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialer.policy.field_errors import SENTENCES
from web.intake.phone_numbers import RefusedPhoneError, read_phone
from web.intake.phones.zones import zones_of
from web.operations.settings.run_fields import foreign_caller_id
from web.server import errors
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from dialer.scripts.script import Script
    from sql.businesses.businesses import Business
    from web.server.errors import ApiError

SHOWN_COUNTRIES: Final = 10


def check_script(business: Business, script: Script | None) -> None:
    """Hold the numbers in a script against the business that it is for; an agent with a SIP address is in no country.

    Raises:
        ApiError: 422, naming the number that is wrong.
    """
    if script is None:
        return
    if script.dial and script.dial.startswith("+"):
        _check_agent(business, script.dial)
    if script.caller_id and script.caller_id not in business.caller_ids:
        raise foreign_caller_id(business, name="script.caller_id")


def _check_agent(business: Business, number: str) -> None:
    try:
        read_as = read_phone(number, business.region).e164
    except RefusedPhoneError as error:
        raise _wrong_agent(error.text) from None
    if read_as != number:
        raise _wrong_agent(Text(SENTENCES["e164"]))
    countries = business.allowed_countries
    if countries is not None and zones_of(number).country not in countries:
        shown = ", ".join(countries[:SHOWN_COUNTRIES])
        raise _wrong_agent(Text(msgid("must be a number in a country that the business calls: {countries}"), {"countries": shown}))


def _wrong_agent(why: Text) -> ApiError:
    return errors.wrong_field(name="script.dial", why=why)
