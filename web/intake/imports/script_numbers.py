"""Checks the numbers in a script: the agent's by the rules for numbers that are called, the caller id by those of the business."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialer.phones.phone_numbers import RefusedPhoneError, read_phone
from dialer.phones.zones import zones_of
from dialer.policy.field_errors import SENTENCES
from web.intake.phone_sentences import sentence_of
from web.operations.settings.run_fields import foreign_caller_id
from web.server import errors
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from dialer.scripts.script import Script
    from sql.businesses.businesses import Business

SHOWN_COUNTRIES: Final = 10


def check_script(business: Business, script: Script | None, name: str = "script") -> None:
    """Hold the numbers in a script against the business that it is for; an agent with a SIP address is in no country. `name` is the field.

    Raises:
        ApiError: 422, naming the number that is wrong.
    """
    if script is None:
        return
    if script.dial and script.dial.startswith("+"):
        _check_agent(business, script.dial, f"{name}.dial")
    if script.caller_id and script.caller_id not in business.caller_ids:
        raise foreign_caller_id(business, name=f"{name}.caller_id")


def _check_agent(business: Business, number: str, name: str) -> None:
    try:
        read_as = read_phone(number, business.region).e164
    except RefusedPhoneError as error:
        raise errors.wrong_field(name, sentence_of(error)) from None
    if read_as != number:
        raise errors.wrong_field(name, Text(SENTENCES["e164"]))
    countries = business.allowed_countries
    if countries is not None and zones_of(number).country not in countries:
        shown = ", ".join(countries[:SHOWN_COUNTRIES])
        why = Text(msgid("must be a number in a country that the business calls: {countries}"), {"countries": shown})
        raise errors.wrong_field(name, why)
