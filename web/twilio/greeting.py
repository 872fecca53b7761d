"""Decides whether an answered call is greeted or ended, by one table of what is known when the provider requests TwiML.

Closed by default: a call is greeted only when PostgreSQL has confirmed that this attempt is live, that this is its call, and that no
hang-up was requested. If anything is unknown, or the request comes too late, the call is ended without a greeting.

    state after the record    verdict                        hang up   PostgreSQL    answer
    live                      applied known                  no        available     greet
    not live                  any                            any       available     end (over, not sent, beyond the limit)
    any                       second refused stranger busy   any       available     end (not the call of this attempt)
    any                       any                            yes       available     end (cancelled, or beyond the limit)
    any                       any                            any       unavailable   end

A fact never lowers the rank of an attempt, so that one that was over or not sent is not live after the record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialer.model import AttemptState
from sql.attempts.verdicts import RecordVerdict

if TYPE_CHECKING:
    from web.twilio.receiver import CallbackResult

CONFIRMED: Final = frozenset({RecordVerdict.APPLIED, RecordVerdict.KNOWN})


def greets(callback: CallbackResult | None) -> bool:
    """True when the call is greeted; `callback` is None while PostgreSQL is unavailable."""
    return (
        callback is not None
        and callback.result.state is AttemptState.LIVE
        and callback.result.verdict in CONFIRMED
        and not callback.result.hang_up
    )
