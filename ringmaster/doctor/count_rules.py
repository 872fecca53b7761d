"""Whether what is stored twice agrees: counters and rows, slots and attempts, sequences and ids; and how much of a table is dead."""

from __future__ import annotations

from typing import Final

from ringmaster.doctor.finding import Status
from ringmaster.doctor.rule import Rule

# What is recounted of a large installation.
RUNS: Final = 100
LEADS: Final = 100_000
DEAD_ROWS: Final = 10_000
DEAD_SHARE: Final = 0.5

COUNTS: Final = (
    Rule(
        "counters",
        Status.FAIL,
        "outbound_call_runs and outbound_call_jobs",
        "the counters of {counted} runs agree with their leads (the newest of {runs}, up to 100,000 leads)",
        "the counters of these runs do not agree with their leads: {which} ({found} of {counted} recounted, of {runs} in all)",
        "another program writes these tables: find it, pause the run, and set its counters to the numbers of its leads by status",
        (RUNS, LEADS),
    ),
    Rule(
        "lost_jobs",
        Status.FAIL,
        "outbound_call_jobs and dialer.attempts",
        "each lead in progress has an open call ({counted} runs were looked at)",
        "leads in progress without an open call: {which} ({found} in all; {counted} runs were looked at)",
        "another program writes outbound_call_jobs: find it; look for the call in the provider's console, then cancel or repeat the lead",
        (RUNS, LEADS),
    ),
    Rule(
        "lanes",
        Status.FAIL,
        "dialer.lanes and dialer.attempts",
        "slots and open calls agree (calls of the last two hours)",
        "slots and open calls do not agree for these businesses: {which} ({found} in all)",
        "stop the business, wait until no call of it is in progress, and set inflight in dialer.lanes to the ids of its open attempts",
    ),
    Rule(
        "sequences_behind",
        Status.FAIL,
        "the sequences of our tables",
        "each sequence is ahead of the ids that are used",
        "sequences behind the ids that are used, so rows cannot be added: {which} ({found} in all)",
        "{remedy}",
        ("behind",),
        "sequences",
    ),
    Rule(
        "sequences_end",
        Status.WARN,
        "the sequences of our tables",
        "each sequence has more than a fifth of its numbers left",
        "sequences that have used four fifths of their numbers: {which} ({found} in all)",
        "change the column to bigint in a quiet hour: ALTER TABLE ... ALTER COLUMN ... TYPE bigint rewrites the table",
        ("end",),
        "sequences",
    ),
    Rule(
        "bloat",
        Status.WARN,
        "pg_stat_user_tables",
        "no table is mostly dead rows",
        "tables that are mostly dead rows: {which} ({found} in all)",
        "end old transactions (check `transactions`), then: {remedy}",
        (DEAD_ROWS, DEAD_SHARE),
    ),
)
