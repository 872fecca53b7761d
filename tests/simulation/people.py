"""People who change runs while they go on; what they change is noted for the judge in the same moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sql.bulk.bulk_operations import BulkType
from sql.runs.new_lead import NewLead
from tests.simulation import changing, operating
from tests.simulation.changes import draw_start
from tests.simulation.randomness import SeededRandom
from tests.simulation.rules import draw_run_change

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.cluster import SimulatedCluster
    from tests.simulation.rows import Run

# Around the moment at which a run starts by itself.
NEAR_SECONDS, AT_ONCE_SECONDS = 3.0, 0.02
# Leads that a run does not have have numbers from here on.
FIRST_NEW = 900


class People:
    """What they do, and when; `at` sets a timer."""

    def __init__(self, cluster: SimulatedCluster, at: Callable[[float, Callable[[], None]], None]) -> None:
        self._cluster = cluster
        self._db = cluster.db
        self._judge = cluster.judge
        self._at = at
        self._chance = SeededRandom(cluster.schedule.seed, "people")
        self._new = FIRST_NEW

    def plan(self) -> None:
        """Set a timer for each change of the schedule."""
        schedule = self._cluster.schedule
        changes, chance = schedule.changes, self._chance
        scheduled = [(run_id, start) for run_id, start in enumerate(changes.starts, start=1) if start is not None]
        for _ in range(changes.starts_moved):
            run_id, start = chance.choice(scheduled)
            near = chance.choice([chance.uniform(-NEAR_SECONDS, NEAR_SECONDS), chance.uniform(0.0, AT_ONCE_SECONDS)])
            self._at(max(start + near, 0.0), lambda run_id=run_id: self._move_start(run_id))  # type: ignore[misc]
        for times, work in (
            (changes.settings, self._change_settings), (changes.additions, self._add_leads), (changes.operations, self._operate),
        ):  # fmt: skip
            for _ in range(times):
                self._at(chance.random() * schedule.trouble_seconds, work)

    def _move_start(self, run_id: int) -> None:
        """Put the start of a run off, or bring it forward, or let a person start it."""
        at = draw_start(self._chance, self._db.clock()) if self._chance.hits(0.7) else None
        if not changing.change_run(self._db, run_id, {"schedule_at": at}):
            self._judge.changes.starts[run_id] = at

    def _change_settings(self) -> None:
        run = self._a_run()
        changes = draw_run_change(self._chance)
        if not changing.change_run(self._db, run.id, changes):
            kept = {name: value for name, value in changes.items() if name not in changing.COLUMNS}
            self._judge.rules.settings[run.id] |= kept

    def _add_leads(self) -> None:
        run, chance = self._a_run(), self._chance
        leads = [self._lead(run, chance.choice(self._cluster.schedule.rules.zones)) for _ in range(chance.randint(1, 3))]
        known = {job.lead_id for job in run.jobs}
        changing.add_leads(self._db, run.id, leads)
        self._judge.rules.zones |= {(run.id, int(lead.lead_id or 0)): lead.zone for lead in leads if lead.lead_id not in known}

    def _lead(self, run: Run, zone: str) -> NewLead:
        """A new lead, or now and then one that the run has already, or its number."""
        self._new += 1
        known = self._chance.choice(run.jobs) if run.jobs and self._chance.hits(0.2) else None
        phone = known.phone if known else f"+1202555{self._new + 1000:04}"
        return NewLead(known.lead_id if known and self._chance.hits(0.5) else self._new, phone, None, zone)

    def _operate(self) -> None:
        run, chance = self._a_run(), self._chance
        kind: Any = chance.choice([BulkType.CANCEL, BulkType.AGAIN, BulkType.AGAIN, BulkType.DO_NOT_CALL])
        chosen = None if chance.hits(0.4) else {job.id for job in run.jobs if chance.hits(0.6)}
        _, operation_id = operating.begin(self._db, run.id, kind, chosen)
        if operation_id is not None:
            self._judge.changes.operations[operation_id] = [job.id for job in run.jobs if chosen is None or job.id in chosen]

    def _a_run(self) -> Run:
        return self._chance.choice(list(self._db.runs.values()))
