"""A lead that is loaded into a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class NewLead:
    """A checked lead: `phone` is E.164, `zone` its zone key, `variables` what is known of it; what its script may say of these is stored.

    A lead whose id is a text has it as `external_id` and no `lead_id`: it is given a number when it is loaded.
    """

    lead_id: int | None
    phone: str = field(repr=False)
    name: str | None = field(repr=False)
    zone: str
    external_id: str | None = None
    variables: dict[str, Any] | None = field(default=None, repr=False)
