"""Whether somebody who has answered is greeted, or the call is ended: one table of what is known when the provider asks what to say.

Closed by default: a call is greeted only when PostgreSQL has confirmed that this attempt is live, that this is its call and that nobody
wants it ended. Where anything is not known, or the provider asks too late, the call is ended without a word.

    before                              after    verdict          hang up   PostgreSQL   answer
    placing unknown placed ringing live live     applied known    no        answers      greet
    not_placed (reopened: it had room)  live     applied          no        answers      greet
    over not_sent                       any      any              any       answers      end
    any                                 not live any              any       answers      end
    any                                 any      second refused   any       answers      end (another call of this attempt, or another's)
                                                 stranger busy
    any                                 any      any              yes       answers      end (cancelled, or beyond the limit)
    any                                 any      any              any       away         end

On the road of a call: 6, when somebody picks up; `web/twilio/routes.py` asks here what to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialer.model import AttemptState
from sql.attempts.verdicts import RecordVerdict

if TYPE_CHECKING:
    from web.twilio.receiver import CallbackResult

# An attempt in one of these may turn out to have been answered.
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
BELIEVED: Final = frozenset({RecordVerdict.APPLIED, RecordVerdict.KNOWN})


def greets(callback: CallbackResult | None) -> bool:
    """True when the call is to be greeted; `callback` is None while PostgreSQL is away."""
    return (
        callback is not None
        and callback.before.state in MAY_BE_ANSWERED
        and callback.result.state is AttemptState.LIVE
        and callback.result.verdict in BELIEVED
        and not callback.before.hang_up
        and not callback.result.hang_up
    )
