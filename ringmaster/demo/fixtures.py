"""The two businesses of the demo, one Israeli and one American, each with a user, a token and a file of leads.

Every number is of a range nobody has: +1 NPA 555-01XX is reserved for fiction (NANPA, 555 line numbers), and no Israeli mobile number
begins with 050-1 or 052-1 (Israel's numbering plan as in libphonenumber's metadata).

Before the road of a call: whose leads they are.
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
    """What one demo business is made of."""

    name: str
    caller_id: str
    email: str
    run_name: str
    sample: Path


@dataclass(frozen=True, slots=True)
class Tenant:
    """A demo business as it stands in the database, with the only copy of its secrets."""

    business_id: int
    name: str
    caller_id: str
    max_calls: int
    run_name: str
    email: str
    password: str
    token: str
    leads: Path


CASTS = (
    FixtureBusiness("סולארית הגליל", "+972501000001", "noa@solarit.example", "מתעניינים מהתערוכה", SAMPLES / "israel.csv"),
    FixtureBusiness("Harbor Light Dental", "+12125550100", "maya@harborlight.example", "Six-month check-ups", SAMPLES / "us.csv"),
)


async def create(pool: Pool, leads: Path | None) -> list[Tenant]:
    """Add both businesses; `leads` replaces their files.

    Raises:
        RefusalError: when something is wrong with what we wrote above.
    """
    return [await _create(pool, cast, leads or cast.sample) for cast in CASTS]


async def _create(pool: Pool, cast: FixtureBusiness, leads: Path) -> Tenant:
    checked = business.checked(name=cast.name, caller_id=cast.caller_id, timezone=None, max_calls=MAX_CALLS)
    business_id = int((await business.create(pool, checked))["business_id"])
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    await user.create(pool, business_id, email=cast.email, role=Role.ADMIN, password=password)
    secret = str((await token.create(pool, business_id, role=Role.OPERATOR))["token"])
    return Tenant(business_id, checked.name, checked.caller_id, checked.max_calls, cast.run_name, cast.email, password, secret, leads)
