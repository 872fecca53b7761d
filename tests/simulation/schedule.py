"""What one seed means: how many of everything, which faults, how often, and when they stop."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.simulation.changes import Changes, draw_changes
from tests.simulation.randomness import SeededRandom
from tests.simulation.rules import ScheduleRules, draw_rules

RING_SECONDS, LIMIT_SECONDS = 6, 20
LAG_SECONDS = 12.0
# A written request arrives, and a call that exists is listed, within these; together less than the lag we are told.
LONGEST_TRANSIT_SECONDS, LONGEST_LISTING_LAG_SECONDS = 1.0, 11.0
LATE_LISTING_LAG_SECONDS = 40.0
# Of the kinds of trouble each schedule has some: with all of them at once most interleavings would never be reached.
SHARE_OF_TROUBLES = 0.4
SHARE_OF_SILENT, SHARE_OF_LATE = 0.25, 0.12


@dataclass(frozen=True, slots=True)
class Troubles:
    """Probabilities for each occasion, or how many times in a schedule; 0 is never."""

    # PostgreSQL: a statement that never arrives, one whose answer is lost, one that takes long, one that finds its row locked
    statement_lost: float = 0.0
    reply_lost: float = 0.0
    slow: float = 0.0
    locked: float = 0.0
    database_away: int = 0
    # Redis
    redis_lost: float = 0.0
    redis_repeats: float = 0.0
    redis_away: int = 0
    flushes: int = 0
    # The provider
    slow_connection: float = 0.0
    connection_refused: float = 0.0
    throttled: float = 0.0
    server_error: float = 0.0
    answer_lost: float = 0.0
    slow_answer: float = 0.0
    stale_answer: float = 0.0
    listing_broken: float = 0.0
    refused_number: float = 0.0
    account_refused: float = 0.0
    foreign_answer: float = 0.0
    at_its_limit: float = 0.0
    two_calls: float = 0.0
    # Never drawn: what becomes of such a call may be for a person to find out.
    another_sid: float = 0.0
    forgets: float = 0.0
    keeps_queued: float = 0.0
    provider_clock_seconds: float = 0.0
    provider_away: int = 0
    callback_lost: float = 0.0
    callback_twice: float = 0.0
    callback_late: float = 0.0
    talks_on: float = 0.0
    # Clocks, and whose account it is
    clock_jumps: int = 0
    account_changes: int = 0
    # Workers
    kills: int = 0
    freezes: int = 0
    stops: int = 0
    skew_seconds: float = 0.0
    # People
    commands: int = 0
    pauses: int = 0
    limits_changed: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """One schedule, complete: the seed decides the rest while it runs."""

    seed: int
    workers: int
    businesses: tuple[int, ...]
    runs: tuple[tuple[int, int, int], ...]
    shared_numbers: bool
    accounts: int
    calls_per_second: float
    partitions: int
    trouble_seconds: float
    listing_lag_seconds: float
    troubles: Troubles = field(default_factory=Troubles)
    rules: ScheduleRules = field(default_factory=ScheduleRules)
    changes: Changes = field(default_factory=Changes)

    @property
    def late_listings(self) -> bool:
        """True when the provider shows calls later than we are told: then P1 and P2 are not promised, only counted."""
        return self.listing_lag_seconds > LONGEST_LISTING_LAG_SECONDS


RATES = {
    "statement_lost": (0.005, 0.05), "reply_lost": (0.005, 0.05), "slow": (0.01, 0.1), "locked": (0.01, 0.2),
    "redis_lost": (0.01, 0.3), "redis_repeats": (0.05, 0.5),
    "slow_connection": (0.05, 0.4), "connection_refused": (0.05, 0.5), "throttled": (0.05, 0.4), "server_error": (0.05, 0.3),
    "answer_lost": (0.05, 0.3),
    "slow_answer": (0.05, 0.3), "stale_answer": (0.1, 0.6), "listing_broken": (0.1, 0.5), "refused_number": (0.05, 0.3),
    "account_refused": (0.02, 0.1), "callback_lost": (0.05, 0.6), "callback_twice": (0.1, 0.6), "callback_late": (0.05, 0.5),
    "talks_on": (0.1, 0.5), "foreign_answer": (0.02, 0.2), "at_its_limit": (0.05, 0.4), "forgets": (0.05, 0.3),
    "keeps_queued": (0.05, 0.3), "two_calls": (0.05, 0.3),
}  # fmt: skip
TIMES = {
    "database_away": 2,
    "redis_away": 2,
    "flushes": 2,
    "provider_away": 2,
    "kills": 4,
    "freezes": 4,
    "stops": 2,
    "commands": 8,
    "pauses": 2,
    "limits_changed": 3,
    "clock_jumps": 2,
    "account_changes": 3,
}
# Around the margin of the reconciler, and far beyond it.
PROVIDER_CLOCK_SECONDS = (400.0, 4_000.0)
LONGEST_SET_BACK_SECONDS = 30.0
SILENCES = ("callback_lost", "answer_lost", "server_error", "slow_answer", "foreign_answer")  # fmt: skip


def draw(seed: int) -> Schedule:
    """The schedule of a seed."""
    chance = SeededRandom(seed, "schedule")
    businesses = tuple(chance.randint(1, 3) for _ in range(chance.randint(1, 3)))
    runs = tuple((n % len(businesses) + 1, chance.randint(1, 6), chance.randint(1, 3)) for n in range(chance.randint(1, 4)))
    troubles: dict[str, float] = {}
    for name, (low, high) in RATES.items():
        if chance.hits(SHARE_OF_TROUBLES):
            troubles[name] = chance.uniform(low, high)
    for name, most in TIMES.items():
        if chance.hits(SHARE_OF_TROUBLES):
            troubles[name] = chance.randint(1, most)
    if chance.hits(SHARE_OF_TROUBLES):
        troubles["skew_seconds"] = chance.uniform(0.5, 30.0)
    if chance.hits(SHARE_OF_TROUBLES):
        troubles["provider_clock_seconds"] = chance.uniform(-1.0, 1.0) * chance.choice(PROVIDER_CLOCK_SECONDS)
    mood = chance.random()
    silent, late = mood < SHARE_OF_SILENT, mood > 1 - SHARE_OF_LATE
    if silent or late:
        # The provider takes calls and says nothing of them: the hardest thing to be right about.
        troubles |= {"answer_lost": chance.uniform(0.2, 0.6), "callback_lost": chance.uniform(0.4, 1.0)}
        troubles["callback_late"] = chance.uniform(0.2, 0.8)
        # And in half of these schedules its lists fail too.
        troubles["listing_broken"] = chance.choice([0.0, chance.uniform(0.3, 0.9)])
        # And in some the clock jumps between two lists.
        troubles["clock_jumps"] = chance.randint(3, 6) if chance.hits(0.3) else troubles.get("clock_jumps", 0)
    _do_not_ask_too_much(troubles, chance, silent=silent, late=late)
    rules = draw_rules(seed, len(businesses), len(runs))
    return Schedule(
        seed=seed,
        workers=chance.randint(1, 3),
        businesses=businesses,
        runs=runs,
        shared_numbers=chance.hits(0.3) or _has_gap(rules),
        accounts=chance.randint(1, 2),
        calls_per_second=chance.choice([0.0, 0.0, 2.0, 20.0]),
        partitions=4,
        trouble_seconds=chance.uniform(6.0, 25.0),
        listing_lag_seconds=LATE_LISTING_LAG_SECONDS if late else chance.choice([0.0, *[LONGEST_LISTING_LAG_SECONDS] * 2]),
        troubles=Troubles(**troubles),  # type: ignore[arg-type]
        rules=rules,
        changes=draw_changes(seed, len(runs)),
    )


def _has_gap(rules: ScheduleRules) -> bool:
    return any("min_gap_hours" in settings for settings in rules.runs) or any("gap_hours" in business for business in rules.businesses)


def _do_not_ask_too_much(troubles: dict[str, float], chance: SeededRandom, *, silent: bool, late: bool) -> None:
    """Drop troubles that no system could survive together."""
    if late:
        # A call that is listed after it was given up, and waits in the provider's queue for ever.
        troubles.pop("keeps_queued", None)
    if "forgets" in troubles:
        # A call that the provider neither lists nor ends in time is beyond what is promised.
        troubles.pop("talks_on", None)
    if "two_calls" in troubles:
        # Of two calls that look alike only a callback, or the answer to the POST, tells whose they are.
        for name in ("two_calls",) if silent or late or chance.hits(0.5) else SILENCES:
            troubles.pop(name, None)
