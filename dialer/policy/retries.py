"""Whether and when a lead is called again, by how its call ended."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

MAX_TIMES: Final = 20
MAX_MINUTES: Final = 60 * 24 * 60.0  # 60 days, as far ahead as a run may be scheduled
MINUTE_SECONDS: Final = 60.0

Pause = Annotated[float, Field(gt=0, le=MAX_MINUTES, allow_inf_nan=False)]


class Retry(BaseModel):
    """After one outcome: how many further attempts, and the pause in minutes before each; the last pause repeats."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    times: Annotated[int, Field(ge=1, le=MAX_TIMES)]
    after_minutes: Annotated[list[Pause], Field(min_length=1, max_length=MAX_TIMES)]


class Retries(BaseModel):
    """`retries` of contract section 7. Each outcome counts its own attempts; a lead with another outcome is not called again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    no_answer: Retry | None = Field(None, alias="no-answer")
    busy: Retry | None = None
    failed: Retry | None = None
    machine: Retry | None = None

    def pause_before(self, outcome: str, ended_with_it: int) -> float | None:
        """Seconds from the end of a call to the next attempt; None: there is none.

        `ended_with_it` are the attempts of the job that have ended with this outcome, the last one included.
        """
        retry = self._by_outcome().get(outcome)
        if retry is None or ended_with_it > retry.times:
            return None
        return retry.after_minutes[min(ended_with_it, len(retry.after_minutes)) - 1] * MINUTE_SECONDS

    def _by_outcome(self) -> dict[str, Retry | None]:
        return {"no-answer": self.no_answer, "busy": self.busy, "failed": self.failed, "machine": self.machine}
