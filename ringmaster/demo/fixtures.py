"""The businesses of the demo, each with a user, a token and a file of leads: a large Israeli and a large American one, and a small one.

Every number is from a range that is not assigned: +1 NPA 555-01XX is reserved for fiction (NANPA, 555 line numbers), and no Israeli
mobile number begins with 050-1 or 052-1 (Israel's numbering plan as in libphonenumber's metadata).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialer.model import Role
from ringmaster import new_business
from ringmaster.commands.businesses import token, user

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sql.pool import Pool

SAMPLES = Path(__file__).with_name("samples")
PASSWORD_BYTES = 9
MAX_CALLS = 3


@dataclass(frozen=True, slots=True)
class LateRun:
    """A run with hours of its own and these `retries`; `scenarios` tell the simulator how each call to a number goes."""

    retries: Mapping[str, dict[str, Any]]
    scenarios: Mapping[str, Sequence[str]]

    @property
    def times(self) -> dict[str, int]:
        """The further attempts after each outcome."""
        return {outcome: retry["times"] for outcome, retry in self.retries.items()}


@dataclass(frozen=True, slots=True)
class FixtureBusiness:
    """The data of one demo business."""

    name: str
    caller_id: str
    email: str
    run_name: str
    sample: Path
    late: LateRun | None = None


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
    late: LateRun | None


BUSINESSES = (
    FixtureBusiness("סולארית הגליל", "+972501000001", "noa@solarit.example", "מתעניינים מהתערוכה", SAMPLES / "israel.csv"),
    FixtureBusiness("Harbor Light Dental", "+12125550100", "maya@harborlight.example", "Six-month check-ups", SAMPLES / "us.csv"),
)
LATE = LateRun(
    retries={outcome: {"times": 1, "after_minutes": [0.1]} for outcome in ("no-answer", "busy")},
    scenarios={
        "+16025550111": ["answer"],
        "+16025550122": ["no-answer", "answer"],
        "+16025550133": ["busy", "machine"],
        "+16025550144": ["no-answer", "no-answer"],
        "+16025550155": ["answer"],
    },
)
SMALL_BUSINESS = FixtureBusiness("Saguaro Books", "+16025550100", "ana@saguaro.example", "Orders to pick up", SAMPLES / "phoenix.csv", LATE)


async def create(pool: Pool, leads: Path | None) -> list[Tenant]:
    """Add the businesses, the small one last; `leads` replaces the files of the large ones.

    Raises:
        CommandError: when the data above is invalid.
    """
    large = [await _create(pool, fixture, leads or fixture.sample) for fixture in BUSINESSES]
    return [*large, await _create(pool, SMALL_BUSINESS, SMALL_BUSINESS.sample)]


async def _create(pool: Pool, fixture: FixtureBusiness, leads: Path) -> Tenant:
    # Without rules of calling, hours `always` among them: nobody is called, and the demo runs at any hour.
    new = new_business.validate(name=fixture.name, caller_id=fixture.caller_id, timezone=None, max_calls=MAX_CALLS)
    business_id = int((await new_business.create(pool, new))["business_id"])
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    await user.create(pool, business_id, email=fixture.email, role=Role.ADMIN, password=password)
    secret = str((await token.create(pool, business_id, role=Role.OPERATOR))["token"])
    return Tenant(
        business_id, new.name, new.caller_id, new.max_calls, fixture.run_name, fixture.email, password, secret, leads, fixture.late
    )
