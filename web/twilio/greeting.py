"""Decides whether an answered call is greeted or ended, by one table of what is known when the provider requests TwiML.

Closed by default: a call is greeted only when PostgreSQL has confirmed that this attempt is live, that this is its call, and that no
hang-up was requested. If anything is unknown, or the request comes too late, the call is ended without a greeting.

    before                              after    verdict          hang up   PostgreSQL    answer
    placing unknown placed ringing live live     applied known    no        available     greet
    not_placed (reopened: it had room)  live     applied          no        available     greet
    over not_sent                       any      any              any       available     end
    any                                 not live any              any       available     end
    any                                 any      second refused   any       available     end (not the call of this attempt)
                                                 stranger busy
    any                                 any      any              yes       available     end (cancelled, or beyond the limit)
    any                                 any      any              any       unavailable   end
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialer.model import AttemptState
from sql.attempts.verdicts import RecordVerdict

if TYPE_CHECKING:
    from web.twilio.receiver import CallbackResult

# An attempt in one of these states may turn out to have been answered.
MAY_BE_ANSWERED: Final = frozenset(
    {
        AttemptState.PLACING,
        AttemptState.UNKNOWN,
        AttemptState.PLACED,
        AttemptState.RINGING,
        AttemptState.LIVE,
        AttemptState.NOT_PLACED,
    }
)
CONFIRMED: Final = frozenset({RecordVerdict.APPLIED, RecordVerdict.KNOWN})


def greets(callback: CallbackResult | None) -> bool:
    """True when the call is greeted; `callback` is None while PostgreSQL is unavailable."""
    return (
        callback is not None
        and callback.before.state in MAY_BE_ANSWERED
        and callback.result.state is AttemptState.LIVE
        and callback.result.verdict in CONFIRMED
        and not callback.before.hang_up
        and not callback.result.hang_up
    )
