"""The simulator describes an account's resources with exactly the fields that Twilio's own library reads."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import pytest
from twilio.rest.api.v2010.account import AccountInstance
from twilio.rest.api.v2010.account.incoming_phone_number import IncomingPhoneNumberInstance
from twilio.rest.api.v2010.account.outgoing_caller_id import OutgoingCallerIdInstance
from twilio.rest.api.v2010.account.recording import RecordingInstance
from twilio.rest.voice.v1.dialing_permissions.country import CountryInstance

from telephony.simulator.accounts.account_record import SimulatorAccount
from tests.simulator_client import FROM, TO, running_here, twiml

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.simulator_client import Here

PERMISSIONS = "/v1/DialingPermissions/Countries"


@pytest.fixture
async def here() -> AsyncIterator[Here]:
    fields = {"sid": "AC" + "5" * 32, "auth_token": "x", "numbers": [FROM], "verified_caller_ids": [TO], "countries": ["IL"]}
    async with running_here([SimulatorAccount.model_validate(fields)]) as running:
        yield running


def read_by(library: Callable[..., object]) -> set[str]:
    """The fields of the JSON that a class of the library reads."""
    return set(re.findall(r'payload\.get\(\s*"(\w+)"', inspect.getsource(library)))


@pytest.mark.parametrize(
    ("path", "key", "library"),
    [
        ("", "", AccountInstance),
        ("IncomingPhoneNumbers", "incoming_phone_numbers", IncomingPhoneNumberInstance),
        ("OutgoingCallerIds", "outgoing_caller_ids", OutgoingCallerIdInstance),
        ("Recordings", "recordings", RecordingInstance),
        (PERMISSIONS, "content", CountryInstance),
    ],
)
async def test_a_resource_has_the_fields_of_the_library(here: Here, path: str, key: str, library: Callable[..., object]) -> None:
    here.program.documents["/script"] = twiml("<Say>a</Say>")
    await here.end(await here.call(Record="true"))
    address = path if path.startswith("/") else f"{here.path(path).rstrip('/')}.json"
    status, body = await here.get(address)
    assert status == 200
    item = body[key][0] if key else body
    assert set(item) == read_by(library)
    # The constructor parses dates and numbers; it raises for what it cannot read.
    library(None, item, **({"account_sid": here.account} if "account_sid" in inspect.signature(library).parameters else {}))
