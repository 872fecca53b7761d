"""Deliberate faults: each is one that a dialer has had, or that a hasty change could bring, and each must be caught by a test layer.

A fault is injected into the in-memory store or its surroundings (by name), into the actors (by a patch), or into PostgreSQL (by another
text of one of its functions); the simulation runs the first two, the last is compared with the healthy in-memory store.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import actors.calls.call
import actors.dispatch.circuit_breaker
from actors.calls import listing, reconciler
from actors.calls.evidence import Moment
from actors.calls.excess_calls import ExcessCalls
from actors.calls.live_calls import LiveCalls
from actors.supervisor.business import Business
from actors.supervisor.router import Router
from dialer.model import AttemptState
from sql.outbox.outbox import MAX_EVENTS_AT_ONCE, Relay
from telephony.provider import UnansweredCall, UnsentCall
from tests.mutants.change_faults import CHANGE_FAULTS
from tests.mutants.fault import Fault
from tests.mutants.rule_faults import RULE_FAULTS
from tests.simulation import commanding

if TYPE_CHECKING:
    from datetime import datetime

    from sql.attempts.attempts import ClaimedAttempt, Fact, OpenAttempt
    from telephony.provider import PlaceResult


async def _never(_: object) -> None:
    """A duty that does nothing."""


def _forgets(*_: object) -> None:
    """A function that does nothing."""


async def _delete_first(self: Relay) -> int:
    read_at = await self._streams.time()
    events = await self._outbox.next(MAX_EVENTS_AT_ONCE)
    if events:
        await self._outbox.delete([event.serial for event in events if event.serial is not None])
        await self._streams.relay(events, read_at)
    return len(events)


_fact_of = actors.calls.call.fact_of


def _unanswered_is_unsent(attempt: ClaimedAttempt, result: PlaceResult) -> Fact:
    return _fact_of(attempt, UnsentCall(result.reason) if isinstance(result, UnansweredCall) else result)


def _unanswered_is_over(attempt: ClaimedAttempt, result: PlaceResult) -> Fact:
    fact = _fact_of(attempt, result)
    if fact.state is not AttemptState.UNKNOWN:
        return fact
    return actors.calls.call._fact(attempt, AttemptState.OVER, reason="no answer from the provider", outcome="failed")


def _by_the_database_alone(self: Moment, first: object, seconds: float) -> bool:
    return isinstance(first, dict) and self.at - float(first["at"]) >= seconds


def _since_the_claim(attempt: OpenAttempt, *_: object, **__: object) -> datetime:
    return attempt.created_at - timedelta(seconds=5)


OPEN_FOR_GOOD = tuple((actors.dispatch.circuit_breaker, name, 1e6) for name in ("LONGEST_OPEN_SECONDS", "FIRST_OPEN_SECONDS"))

# Run like the others, and caught by none: a layer that fails here would fail with every fault.
NO_FAULTS = (
    Fault("no fault, simulated", "the healthy product"),
    Fault("no fault, compared", "the healthy product", sql=("claim_v1", "-- Claim the next leads", "-- Claims the next leads")),
)

FAULTS = (
    *RULE_FAULTS,
    *CHANGE_FAULTS,
    Fault("count_instead_of_set", "slots are counted from calls that are known to ring, and the limit gives way"),
    Fault("unknown_frees_its_slot", "an unknown attempt frees its slot"),
    Fault("free_on_lease_end", "a take-over empties the lanes of the dead worker"),
    Fault("settle_twice", "the end of a call counts each time it is recorded"),
    Fault("apply_without_rank", "a late callback moves a call back to an earlier state"),
    Fault(
        "any_attempt_moves_the_job_in_sql", "a fact about an earlier attempt moves the lead although a later attempt has it",
        sql=("record_effects_v1", "CASE WHEN NOT j.newest THEN j.job_was", "CASE WHEN FALSE THEN j.job_was"),
        test="tests/integration/test_record.py::test_late_proof_when_the_lead_is_on_the_line_again",
    ),
    Fault("lag_is_ignored", "absence is accepted before the provider must list a call"),
    Fault("broken_listing_counts", "a listing that failed counts as one without the call"),
    Fault("timeout_is_not_sent", "a POST without a response counts as not sent"),
    Fault("server_error_is_not_sent", "a 5xx counts as not sent"),
    Fault("retry_post", "a POST without a response is sent again"),
    Fault("post_after_the_deadline", "a worker that was frozen while it connected sends nevertheless"),
    Fault("silence_is_a_refusal", "an unanswered POST is not sent, in the actor", ((actors.calls.call, "fact_of", _unanswered_is_unsent),)),
    Fault("silence_is_the_end", "an unanswered POST ends the attempt as failed", ((actors.calls.call, "fact_of", _unanswered_is_over),)),
    Fault("claim_ignores_cancel", "a claim takes leads of a run that was stopped"),
    Fault("retry_after_cancel", "what was not sent is queued again although its run is cancelled"),
    Fault(
        "hang_up_is_forgotten", "the request to hang up is announced and not stored", ((commanding, "hang_up", _forgets),),
        test="tests/simulation/test_hanging_up.py::test_the_next_poll_finds_a_hang_up_without_a_hint",
    ),
    Fault("same_phone_twice", "the same number is called for two leads at once"),
    Fault("lead_is_forgotten", "a lead whose attempt was not placed is not queued again"),
    Fault("end_is_forgotten", "the last settle does not end the run; the sweep does, a second time"),
    Fault("event_outside_the_transaction", "an event is sometimes lost between its change and the outbox"),
    Fault("relay_deletes_first", "the outbox is emptied before its events are published", ((Relay, "relay", _delete_first),)),
    Fault("command_twice", "a command takes effect each time it is delivered"),
    Fault("commands_in_any_order", "the inbox is decided in reverse order"),
    Fault("nobody_adopts", "open attempts of the last owner are not followed", ((Business, "_adopt", lambda *_: []),)),
    Fault("nobody_polls", "changes without a hint are never polled", ((Router, "poll", _never),)),
    Fault("account_of_now", "a call is queried at the present account of its business"),
    Fault(
        "absent_by_one_clock", "the database's clock alone proves a call absent", ((Moment, "follows", _by_the_database_alone),),
        test="tests/unit/test_evidence.py",
    ),
    Fault("window_by_our_clock", "a call is searched in database time", ((reconciler, "listed_since", _since_the_claim),)),
    Fault("list_by_our_clock", "a list starts in database time", ((listing, "behind_by", lambda *_: timedelta()),)),
    Fault("lost_at_the_first_404", "the first 404 ends a call as lost", ((reconciler, "no_such_call", lambda *_: (True, {})),)),
    Fault("nobody_lists_live_calls", "a lost callback is detected only by the slow queries", ((LiveCalls, "round", _never),)),
    Fault("second_calls_go_on", "a second call is published and not hung up", ((ExcessCalls, "round", _never),)),
    Fault("circuit_breaker_stays_open", "one refused connection opens the circuit for good", OPEN_FOR_GOOD),
    Fault(
        "no_epoch_check", "a claim does not check the owner of the partition",
        sql=("claim_v1", "f.owner = p_incarnation AND f.epoch = a.epoch", "TRUE"),
    ),
    Fault(
        "epoch_alone", "a claim checks the epoch and not the owner",
        sql=("claim_v1", "f.owner = p_incarnation AND f.epoch = a.epoch", "f.epoch = a.epoch"),
    ),
    Fault(
        "cancel_without_the_flag", "a claim takes leads of a run whose cancel is requested",
        sql=("claim_v1", "AND r.started_at IS NOT NULL AND NOT r.cancel_requested", "AND r.started_at IS NOT NULL"),
    ),
    Fault(
        "cursor_skips", "the cursor skips the lead after the one that was taken",
        sql=("pass_v1", "coalesce(1 + p.last - ", "coalesce(2 + p.last - "),
    ),
    Fault(
        "rank_ignored_in_sql", "a fact may lower the rank",
        sql=("record_effects_v1", "OR b.rank_now > b.rank_was THEN 'applied'", "OR b.rank_now <> b.rank_was THEN 'applied'"),
    ),
    Fault(
        "absent_without_the_fence", "any worker may record that a call was never placed",
        sql=("record_effects_v1", "AND o.owner = b.owner AND o.epoch = b.epoch)", ")"),
    ),
    Fault(
        "token_ignored", "any worker may record that a POST was not sent",
        sql=("record_effects_v1", "WHEN b.was = 'placing' AND b.holder = b.token THEN 'applied' ELSE 'refused'",
             "WHEN b.was = 'placing' THEN 'applied' ELSE 'refused'"),
    ),
    Fault(
        "not_sent_after_unknown", "not sent is accepted for an unknown attempt",
        sql=("record_effects_v1", "WHEN b.was = 'placing' AND b.holder = b.token THEN 'applied' ELSE 'refused'",
             "WHEN b.was IN ('placing', 'unknown') AND b.holder = b.token THEN 'applied' ELSE 'refused'"),
    ),
    Fault(
        "next_try_stays", "late proof does not remove the lead's retry",
        sql=("record_v1", "WHERE m.job_moves AND m.job_was = 'queued' AND m.job_now <> 'queued' AND", "WHERE FALSE AND"),
    ),
    Fault(
        "late_proof_revives_in_sql", "late proof queues a lead again that was cancelled, or ended by a rule",
        sql=("record_effects_v1", "SELECT j.newest AND j.was = 'not_placed'\n", "SELECT FALSE AND j.was = 'not_placed'\n"),
        test="tests/integration/test_late_proof.py::test_a_lead_that_a_rule_has_ended_stays_ended",
    ),
    Fault(
        "late_end_is_no_move_in_sql", "late proof of a call that is over leaves its queued lead as it was",
        sql=("record_effects_v1", "OR e.newest AND e.was = 'not_placed' AND e.state = 'over'", "OR FALSE AND e.state = 'over'"),
    ),
    Fault(
        "late_proof_of_a_skipped_lead_in_sql", "late proof of a skipped lead leaves it counted as skipped",
        sql=("record_v1", "skipped_count = r.skipped_count + d.skipped", "skipped_count = r.skipped_count"),
        test="tests/integration/test_late_proof.py::test_a_lead_that_a_rule_has_ended_stays_ended",
    ),
    Fault(
        "second_call_ignored", "another sid than that of the attempt is ignored",
        sql=("record_effects_v1", "b.sid <> b.bound THEN 'second'", "b.sid <> b.bound THEN 'known'"),
    ),
    Fault(
        "second_call_told_each_time", "each fact about a second call is published as an excess call",
        sql=("record_v1", "m.verdict = 'second' AND m.sid = ANY (bound_sids)", "m.verdict = 'second'"),
    ),
    Fault(
        "withdrawn_is_cancelled", "a call withdrawn from the provider's queue cancels its lead",
        sql=("states", "outcome = 'canceled' AND withdrawn_at IS NOT NULL", "FALSE"),
    ),
    Fault(
        "too_many_calls_burn_a_lead", "an account with too many calls at once burns the lead",
        sql=("states", "coalesce(error_code IN (10004, 20429), FALSE)", "FALSE"),
        test="tests/integration/test_late_proof.py::test_a_cancelled_lead_is_never_called_again",
    ),
    Fault(
        "account_fault_burns_a_lead", "a call that fails for the account's fault burns the lead",
        sql=("states", "OR dialer.is_account_fault(error_code))", ")"),
        test="tests/integration/test_record.py::test_a_call_that_fails_for_the_accounts_fault_burns_no_lead",
    ),
    Fault(
        "account_fault_goes_on", "a run goes on although its calls fail for the account's fault",
        sql=("record_v1", "d.account_fault IS NOT NULL AND n.status = 'running'", "FALSE AND n.status = 'running'"),
        test="tests/integration/test_record.py::test_a_call_that_fails_for_the_accounts_fault_burns_no_lead",
    ),
    Fault(
        "another_s_call_is_absent", "a response with another attempt's call allows the attempt to be proven absent",
        sql=("record_effects_v1", "AND NOT coalesce(b.known_evidence ? 'confused', FALSE)", ""),
        test="tests/integration/test_record.py::test_a_response_with_the_call_of_another_attempt_proves_nothing",
    ),
    Fault(
        "another_s_call_is_refused", "a response with another attempt's call is ignored",
        sql=("record_effects_v1", "AND coalesce(a.token = f.token, FALSE) AS confused", "AND FALSE AS confused"),
        test="tests/integration/test_record.py::test_a_response_with_the_call_of_another_attempt_proves_nothing",
    ),
    Fault(
        "not_placed_though_it_has_a_sid", "a person may resolve a call that the provider knows as never placed",
        sql=("record_effects_v1", "AND (b.bound IS NULL OR b.known_evidence ? 'missing')", ""),
        test="tests/integration/test_web_jobs.py::test_a_person_resolves_a_call_the_provider_does_not_know",
    ),
    Fault(
        "attempt_without_its_account", "an attempt of a business without an account of its own does not store its account",
        sql=("claim_v1", "coalesce(b.account_sid, p_default_account)", "b.account_sid"),
    ),
    Fault(
        "commands_read_twice", "a reader that was overtaken inserts its entries again",
        sql=("command_v1", "IF here.entry IS DISTINCT FROM p_from THEN", "IF FALSE THEN"),
    ),
    Fault(
        "same_epoch", "a partition changes hands under the same epoch",
        sql=("ownership_v1", "epoch = p.epoch + 1, taken_at", "epoch = p.epoch, taken_at"),
    ),
    Fault(
        "cap_stays", "lowering the limit lowers the enforced limit below the number in flight",
        sql=("ownership_v1", "cap = greatest(p_max_calls, cardinality(l.inflight))", "cap = p_max_calls"),
    ),
)  # fmt: skip
