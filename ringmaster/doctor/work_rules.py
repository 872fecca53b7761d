"""Whether the work is done: workers, runs, attempts, and what waits for somebody."""

from __future__ import annotations

from typing import Final

from ringmaster.doctor.finding import Status
from ringmaster.doctor.rule import Rule

# A worker updates `lock_ts` of the runs it drives at least this often (contract, section 3).
DRIVEN_SECONDS: Final = 30.0
# Commands are applied, and events published, within a second or two.
WAITING_SECONDS: Final = 30.0
# Workers divide the partitions among themselves within seconds of their start.
DIVIDING_SECONDS: Final = 30.0
UNKNOWN_SECONDS: Final = 300.0
# A worker closes what has ended every few seconds.
UNCLOSED_SECONDS: Final = 60.0
STALLED_SECONDS: Final = 10.0
DAY_SECONDS: Final = 86_400.0
# As long as their alerts wait, or shorter: whoever is called must find the cause here.
EXCESS_SECONDS: Final = 30.0
DELIVERY_SECONDS: Final = 900.0
TRANSACTION_SECONDS: Final = 300.0
LOCK_SECONDS: Final = 5.0
# Beyond the ring time, the time limit and the lag: as long as reconciling may take.
GRACE_SECONDS: Final = 300.0
# Our own transactions are ended after 10 s without a statement.
ROW_LOCK_SECONDS: Final = 15.0
HEARD_SECONDS: Final = 300.0

START: Final = (
    "start a worker (python -m actors); if one runs, its log says why it has no lease, and one that is stopped logs nothing:"
    " `ps -o stat` shows T, then kill -CONT or kill -KILL it"
)


WORK: Final = (
    Rule(
        "workers",
        Status.FAIL,
        "dialer.workers",
        "workers with a lease: {live}",
        "no worker has a lease (the last one until: {last}); nothing is dialled",
        START,
    ),
    Rule(
        "partitions",
        Status.FAIL,
        "dialer.partitions",
        "each of the 256 partitions has an owner",
        "partitions without an owner, whose businesses are not dialled: {found} of 256",
        "wait 30 s, in which the living workers take them over; then restart a worker whose log says that it cannot",
        (DIVIDING_SECONDS,),
    ),
    Rule(
        "stale_runs",
        Status.FAIL,
        "outbound_call_runs",
        "each running run is driven",
        "no worker has driven these running runs for 30 s: {which} ({found} in all)",
        "look for `is parked` in the logs of workers and for locked rows (checks `transactions`, `locks`), then restart the worker",
        (DRIVEN_SECONDS,),
    ),
    Rule(
        "unclosed_runs",
        Status.FAIL,
        "outbound_call_runs",
        "each run that is done has ended",
        "runs with nothing left to do that are still running: {which} ({found} in all)",
        "a worker ends them within seconds: look for `cannot be closed` in its log",
        (UNCLOSED_SECONDS,),
    ),
    Rule(
        "stalled_businesses",
        Status.WARN,
        "dialer.stalls",
        "no business is kept from calling",
        "businesses for which no lead is taken, each with the reason: {which} ({found} in all)",
        "by reason, as at RingmasterBusinessesStalled in docs/operations.md",
        (STALLED_SECONDS,),
    ),
    Rule(
        "paused_runs",
        Status.WARN,
        "outbound_call_runs",
        "no run has paused itself",
        "runs that have paused themselves within a day, each with the cause: {which} ({found} in all)",
        "`last_error` of the run and docs/refusals.md say what to do; then: python -m dialer run resume --business ID --run ID",
        (DAY_SECONDS,),
    ),
    Rule(
        "unknown_attempts",
        Status.WARN,
        "dialer.lanes and dialer.attempts",
        "no call waits for a person",
        "it is not known whether these calls were made, and each keeps a slot: {which} ({found} in all)",
        "look for it in the provider's console, then: python -m dialer resolve --business ID --run ID --job ID --as over|not_placed",
        (UNKNOWN_SECONDS,),
    ),
    Rule(
        "excess_calls",
        Status.FAIL,
        "dialer.call_sids",
        "no surplus call is in progress",
        "surplus calls that have not been hung up: {which} ({found} in all)",
        "end them in the provider's console, and look in the log of the workers for why they could not",
        (EXCESS_SECONDS,),
    ),
    Rule(
        "commands",
        Status.FAIL,
        "dialer.inbox",
        "no command waits",
        "commands not carried out: {found}, the oldest for {oldest} s",
        "start a worker, or look in the log of the web process and the workers for why they are not",
        (WAITING_SECONDS,),
    ),
    Rule(
        "events",
        Status.WARN,
        "dialer.outbox",
        "no event waits",
        "events not published: {found}, the oldest for {oldest} s",
        "check Redis (the checks `redis` and `redis_writes`) and that a process runs; they are published when both do",
        (WAITING_SECONDS,),
    ),
    Rule(
        "deliveries",
        Status.WARN,
        "dialer.deliveries",
        "no delivery to a webhook is late",
        "deliveries to webhooks that wait: {found}, the oldest for {oldest} minutes; businesses: {which}",
        "tell the owner of the webhook, who sees why under Settings, Webhooks; if it answers, start a worker",
        (DELIVERY_SECONDS,),
    ),
    Rule(
        "webhooks",
        Status.WARN,
        "dialer.webhooks",
        "no webhook is disabled",
        "webhooks answered 410 and get nothing any more: {which}",
        "tell its owner to delete it, or to add it again with an address that answers",
    ),
    Rule(
        "hidden_sessions",
        Status.WARN,
        "pg_stat_activity",
        "the sessions of every role are seen",
        "what {which} do is hidden from {role}: `transactions`, `row_locks` and their alerts do not see it",
        "as a superuser: GRANT pg_read_all_stats TO {role}",
    ),
    Rule(
        "transactions",
        Status.WARN,
        "pg_stat_activity and pg_prepared_xacts",
        "no transaction is old",
        "old transactions, the oldest {oldest} s: {which} ({found} in all); dead rows stay until they end",
        "find out whose they are, then SELECT pg_terminate_backend(PID), or ROLLBACK PREPARED",
        (TRANSACTION_SECONDS,),
    ),
    Rule(
        "locks",
        Status.WARN,
        "pg_locks",
        "nobody waits for a lock",
        "sessions that wait for a lock: {found}, the longest for {oldest} s, held by pid {holders}",
        "look the session up in pg_stat_activity by its pid; end it with pg_terminate_backend if nobody needs it",
        (LOCK_SECONDS,),
    ),
    Rule(
        "row_locks",
        Status.FAIL,
        "pg_locks and pg_stat_activity",
        "no other program keeps rows of calls locked",
        "a transaction has kept rows of calls locked for {oldest} s: {which}; the businesses and leads whose rows they are stand still",
        "have that program end its transaction, or SELECT pg_terminate_backend(PID)",
        (ROW_LOCK_SECONDS,),
    ),
    Rule(
        "callbacks",
        Status.WARN,  # calls go on; and after an outage or a restore it is so for minutes
        "dialer.attempts and dialer.callbacks",
        "callbacks arrive",
        "of the {calls} newest calls that ended within 5 minutes, {found} had no callback: their ends were learnt by asking",
        "ask PUBLIC_URL/healthz from outside your network; then look at the provider's list of failed callbacks, and at the proxy's rules "
        "for /callbacks/; when both are right, the provider does not send",
        (HEARD_SECONDS,),
    ),
)


def stuck_attempts(longest_seconds: float) -> Rule:
    """A call is over `longest_seconds` after it was answered, or its worker has lost sight of it."""
    return Rule(
        "stuck_attempts",
        Status.FAIL,
        "dialer.lanes and dialer.attempts",
        "no call is open beyond its limit",
        "calls open beyond their limit, each of which keeps a slot: {which} ({found} in all)",
        "compare with the provider's console; a worker that reaches the provider ends them, so look in its log for why it does not",
        (longest_seconds + GRACE_SECONDS,),
    )
