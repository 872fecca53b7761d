"""The official do-not-call registers that a business must have imported, and not too long ago.

Israel: a business asks the register within the 15 days before a marketing call (Consumer Protection Regulations (Database for Limiting
Marketing Approaches), 5782-2022, made under section 16b(e) of the Consumer Protection Law, 5741-1981).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_NAME: Final = 64
MAX_AGE_DAYS: Final = 365


class RequiredRegister(BaseModel):
    """A register by its name, and for how many days after its import it may be relied on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    max_age_days: Annotated[int, Field(ge=1, le=MAX_AGE_DAYS)]


def registers_too_old(required: Iterable[RequiredRegister], imported: Mapping[str, datetime], now: datetime) -> list[str]:
    """The names of those that were never imported, or longer ago than allowed; exactly as long ago is allowed."""
    return [each.name for each in required if each.name not in imported or now - imported[each.name] > timedelta(days=each.max_age_days)]
