"""What became of a call, in one sentence: how long it rang, how long the people talked, and who of us hung up.

Of a call that we do not end, Twilio does not say who hung up: neither a callback nor the call itself has a field for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dialer.model import AttemptState
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Mapping

# https://www.twilio.com/docs/voice/answering-machine-detection: what answered, other than a person.
MACHINES: Final = "machine"
ANSWERED: Final = msgid("Answered after {rang} s, talked {talked} s.")
HUNG_UP: Final = msgid("Answered after {rang} s, talked {talked} s, then {name} hung up.")
HUNG_UP_BY_US: Final = msgid("Answered after {rang} s, talked {talked} s, then we hung up.")
ANSWERED_NOW: Final = msgid("Answered after {rang} s, talking now.")
MACHINE: Final = msgid("A machine picked up after {rang} s; the call lasted {talked} s.")
RANG: Final = msgid("It rang for {rang} s, and nobody answered.")
BUSY: Final = msgid("The line was busy.")
WITHOUT_TIMES: Final = {
    "no-answer": msgid("Nobody answered."),
    "busy": BUSY,
    "failed": msgid("The call could not be connected."),
    "refused": msgid("The provider refused the call."),
    "canceled": msgid("Hung up before anybody answered."),
    "lost": msgid("Twilio no longer knows this call, so nobody can say how it ended."),
    "completed": msgid("The call was answered."),
}


def call_sentence(attempt: Mapping[str, Any]) -> Text | None:
    """The sentence; None while nothing can be said."""
    rang = _seconds(attempt["ringing_at"] or attempt["placed_at"], attempt["answered_at"])
    if attempt["state"] == AttemptState.LIVE and rang is not None:
        return Text(ANSWERED_NOW, {"rang": rang})
    outcome = attempt["outcome"]
    if attempt["state"] != AttemptState.OVER or outcome is None:
        return None
    if outcome == "completed" and rang is not None and attempt["duration"] is not None:
        sentence = MACHINE if (attempt["answered_by"] or "").startswith(MACHINES) else _answered(attempt)
        return Text(sentence, {"rang": rang, "talked": attempt["duration"], "name": attempt["hanger"]})
    silent = _seconds(attempt["ringing_at"], attempt["ended_at"])
    if outcome == "no-answer" and silent is not None:
        return Text(RANG, {"rang": silent})
    return Text(WITHOUT_TIMES[outcome]) if outcome in WITHOUT_TIMES else None


def _answered(attempt: Mapping[str, Any]) -> str:
    """The sentence for a call that a person answered."""
    if attempt["hang_up_at"] is None or attempt["ended_at"] is None or attempt["hang_up_at"] > attempt["ended_at"]:
        return ANSWERED
    return HUNG_UP if attempt["hanger"] else HUNG_UP_BY_US


def _seconds(start: Any, end: Any) -> str | None:  # noqa: ANN401 - a datetime or nothing
    """The time between two moments in seconds, with a tenth below ten."""
    if start is None or end is None or end < start:
        return None
    seconds = (end - start).total_seconds()
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"  # noqa: PLR2004 - beyond that a tenth says nothing
