"""The faults to inject: fractions from 0 to 1, set by tests, drawn repeatably from the seed."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from telephony.simulator.randomness import fraction

Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=3600)]
ServerError = Annotated[int, Field(ge=500, le=599)]
Status = Annotated[int, Field(ge=200, le=599)]

NO_LIMIT: Final = 1_000_000_000


class Faults(BaseModel):
    """All faults, off by default. Seconds are real, not simulated: the dialer's time-outs are real too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Requests for a call: throttled, failed or dropped before the call is made ...
    throttle: Fraction = 0
    retry_after_seconds: Annotated[int, Field(ge=0, le=3600)] = 1
    error_before: Fraction = 0
    drop_before: Fraction = 0
    # ... or refused with this status, code and kind of body; `own` is the provider's, the others a proxy's or a portal's ...
    refuse_before: Fraction = 0
    refuse_status: Status = 400
    refuse_code: Annotated[int, Field(ge=0, le=999_999)] = 20001
    refuse_body: Literal["own", "html", "json", "half", "empty"] = "own"
    # ... or after it, so that there is a call the dialer does not know of; `garble` answers 201 with half a body.
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
    # Only the first so many requests for a call after the faults were set are affected by the faults above.
    first_requests: Annotated[int, Field(ge=0)] = NO_LIMIT

    callback_drop: Fraction = 0
    callback_duplicate: Fraction = 0
    # Reordered: overtaken by what comes after it; delayed: what comes after it waits too.
    callback_reorder: Fraction = 0
    callback_delay: Fraction = 0
    callback_delay_seconds: Seconds = 0.5

    # A call is listed and can be fetched only so long after it was made.
    listing_lag_seconds: Seconds = 0
    ask_error: Fraction = 0
    # Such calls cannot be fetched (404), and are in no list.
    forget: Fraction = 0
    # How far ahead of ours the provider's clock is in its answers; negative: behind.
    clock_ahead_seconds: Annotated[float, Field(ge=-3600, le=3600)] = 0
    # Every answer to a GET is delayed by this.
    ask_delay_seconds: Seconds = 0

    def hits(self, name: str, seed: int, *key: object) -> bool:
        """True when the fault `name` is injected here."""
        chance = getattr(self, name)
        return bool(chance) and fraction(seed, name, *key) < chance


NONE: Final = Faults()
