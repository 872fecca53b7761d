"""The two businesses of the demo, one Israeli and one American, each with a user, a token and a file of leads.

Every number is from a range that is not assigned: +1 NPA 555-01XX is reserved for fiction (NANPA, 555 line numbers), and no Israeli
mobile number begins with 050-1 or 052-1 (Israel's numbering plan as in libphonenumber's metadata).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dialer.model import Role
from ringmaster.commands import business, token, user

if TYPE_CHECKING:
    from sql.pool import Pool

SAMPLES = Path(__file__).with_name("samples")
PASSWORD_BYTES = 9
MAX_CALLS = 3


@dataclass(frozen=True, slots=True)
class FixtureBusiness:
    """The data of one demo business."""

    name: str
    caller_id: str
    email: str
    run_name: str
    sample: Path


@dataclass(frozen=True, slots=True)
class Tenant:
    """A demo business in the database, with the only copy of its secrets."""

    business_id: int
    name: str
    caller_id: str
    max_calls: int
    run_name: str
    email: str
    password: str
    token: str
    leads: Path


BUSINESSES = (
    FixtureBusiness("סולארית הגליל", "+972501000001", "noa@solarit.example", "מתעניינים מהתערוכה", SAMPLES / "israel.csv"),
    FixtureBusiness("Harbor Light Dental", "+12125550100", "maya@harborlight.example", "Six-month check-ups", SAMPLES / "us.csv"),
)


async def create(pool: Pool, leads: Path | None) -> list[Tenant]:
    """Add both businesses; `leads` replaces their files.

    Raises:
        CommandError: when the data above is invalid.
    """
    return [await _create(pool, fixture, leads or fixture.sample) for fixture in BUSINESSES]


async def _create(pool: Pool, fixture: FixtureBusiness, leads: Path) -> Tenant:
    # Without rules of calling: nobody is called, and the demo runs at any hour.
    new = business.validate(name=fixture.name, caller_id=fixture.caller_id, timezone=None, max_calls=MAX_CALLS)
    business_id = int((await business.create(pool, new))["business_id"])
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    await user.create(pool, business_id, email=fixture.email, role=Role.ADMIN, password=password)
    secret = str((await token.create(pool, business_id, role=Role.OPERATOR))["token"])
    return Tenant(business_id, new.name, new.caller_id, new.max_calls, fixture.run_name, fixture.email, password, secret, leads)
