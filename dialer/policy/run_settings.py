"""The rules that a run and its business may set, and which of them holds: a run's own, else the business's at that moment.

A field that a run was not given is the business's, so a change of the business holds for it at once; null is a value of its own.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from dialer.policy.calling_hours import CallingHours
from dialer.policy.field_errors import refuse
from dialer.policy.retries import Retries

MAX_GAP_HOURS: Final = 8760.0  # a year
MAX_PER_DAY: Final = 100
MAX_CALLS: Final = 1_000_000_000
MAX_PRIORITY: Final = 100
AMOUNT: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,4})?")
CURRENCY: Final = re.compile(r"[A-Z]{3}")


def _amount(text: str) -> str:
    if not AMOUNT.fullmatch(text) or not text.strip("0."):
        refuse("amount")
    return text


def _currency(text: str) -> str:
    if not CURRENCY.fullmatch(text):
        refuse("currency")
    return text


class Budget(BaseModel):
    """`budget` of contract section 7: at most so many dialled attempts, at most so much money, or both."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    calls: Annotated[int, Field(ge=1, le=MAX_CALLS)] | None = None
    amount: Annotated[str, AfterValidator(_amount)] | None = None
    currency: Annotated[str, AfterValidator(_currency)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Budget:
        if (self.amount is None) != (self.currency is None) or (self.calls is None and self.amount is None):
            refuse("budget")
        return self


def _none_for_zero(value: object) -> object:
    return None if type(value) is int and value == 0 else value


class CallingRules(BaseModel):
    """What a business sets and a run may set for itself; null: always open, no retries, no gap, no limit a day."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    calling_hours: CallingHours | None = None
    retries: Retries | None = None
    min_gap_hours: Annotated[float, Field(ge=0, le=MAX_GAP_HOURS, allow_inf_nan=False)] | None = None
    max_per_day: Annotated[Annotated[int, Field(ge=1, le=MAX_PER_DAY)] | None, BeforeValidator(_none_for_zero)] = None

    def given(self) -> dict[str, Any]:
        """As JSON, the fields that were given and no others; `model_validate` reads it back."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class RunRules(CallingRules):
    """The rules among the fields of `POST /api/outbound/runs`."""

    recently_called: Literal["wait", "skip"] = "wait"
    budget: Budget | None = None
    priority: Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 0


def effective(business: CallingRules, run: RunRules) -> RunRules:
    """What holds for the run now."""
    inherited = CallingRules.model_fields.keys() - run.model_fields_set
    return run.model_copy(update={name: getattr(business, name) for name in inherited})


def loosens(business: CallingRules, run: RunRules) -> list[str]:
    """The fields in which the run protects its leads less than its business does: only an admin may ask for these.

    Retries are not among them: gap and cap limit how often a lead is called.
    """
    own = effective(business, run)
    looser = {
        "calling_hours": _looser_hours(business.calling_hours, own.calling_hours),
        "min_gap_hours": (own.min_gap_hours or 0) < (business.min_gap_hours or 0),
        "max_per_day": business.max_per_day is not None and (own.max_per_day is None or own.max_per_day > business.max_per_day),
    }
    return [name for name, is_looser in looser.items() if is_looser]


def _looser_hours(business: CallingHours | None, run: CallingHours | None) -> bool:
    return business is not None and (run is None or not run.is_within(business))
