"""What goes wrong on purpose: fractions from 0 to 1, switched by tests, drawn repeatably from the seed.

On the road of a call: between the dialer's request and our answer, and between a call's change and its callback.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from telephony.simulator.chance import fraction

Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=3600)]
ServerError = Annotated[int, Field(ge=500, le=599)]
Status = Annotated[int, Field(ge=200, le=599)]

NO_LIMIT: Final = 1_000_000_000


class Faults(BaseModel):
    """Every fault there is, all off by default. Seconds are real ones: the dialer's own time-outs are real too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Requests for a call: refused as too many, failed or dropped before the call is made ...
    throttle: Fraction = 0
    retry_after_seconds: Annotated[int, Field(ge=0, le=3600)] = 1
    error_before: Fraction = 0
    drop_before: Fraction = 0
    # ... or turned down with this status, code and kind of body; `own` is the provider's, the others a proxy's or a portal's ...
    refuse_before: Fraction = 0
    refuse_status: Status = 400
    refuse_code: Annotated[int, Field(ge=0, le=999_999)] = 20001
    refuse_body: Literal["own", "html", "json", "half", "empty"] = "own"
    # ... or after, so that there is a call nobody was told of; `garble` answers 201 with half a body.
    refuse_after: Fraction = 0
    error_after: Fraction = 0
    drop_after: Fraction = 0
    garble: Fraction = 0
    # The request makes two calls; the answer names a call made before.
    twice: Fraction = 0
    wrong_sid: Fraction = 0
    error_status: ServerError = 503
    delay_answer: Fraction = 0
    delay_answer_seconds: Seconds = 0
    # Only the first so many requests for a call after the faults were set meet the faults above.
    first_requests: Annotated[int, Field(ge=0)] = NO_LIMIT

    callback_drop: Fraction = 0
    callback_duplicate: Fraction = 0
    # Reordered: overtaken by what comes after it; delayed: what comes after it waits too.
    callback_reorder: Fraction = 0
    callback_delay: Fraction = 0
    callback_delay_seconds: Seconds = 0.5

    # A call shows in listings and can be asked for only so long after it was made.
    listing_lag_seconds: Seconds = 0
    ask_error: Fraction = 0
    # Asked for, such calls are not there (404), nor in any list.
    forget: Fraction = 0
    # How far the provider's clock is ahead of ours, in what it says; negative: behind.
    clock_ahead_seconds: Annotated[float, Field(ge=-3600, le=3600)] = 0
    # Every answer to a question comes so late.
    ask_delay_seconds: Seconds = 0

    def hits(self, name: str, seed: int, *question: object) -> bool:
        """Say whether the fault `name` strikes here."""
        chance = getattr(self, name)
        return bool(chance) and fraction(seed, name, *question) < chance


NONE: Final = Faults()
