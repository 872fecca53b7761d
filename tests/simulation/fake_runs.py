"""`sql.runs.runs.Runs` over the in-memory database, as far as the duties of a worker need it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sql.runs.runs import ScheduledRun
from sql.runs.zone_windows import ClosedZone
from tests.simulation import changing, checking, commanding
from tests.simulation.fake_store import FakeStore
from tests.simulation.rows import ALWAYS, NEVER, START, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sql.runs.zone_windows import ZoneWindow
    from tests.simulation.rows import Run

FAR = datetime(9999, 12, 31, tzinfo=UTC)


class FakeRuns(FakeStore):
    """`sql.runs.runs.Runs`, as far as the housekeeping needs it."""

    async def to_rewrite(self, partitions: Sequence[int], limit: int, but: Sequence[int] = ()) -> list[tuple[int, int]]:
        def statement() -> list[tuple[int, int]]:
            first: dict[int, int] = {}
            for run in self.db.runs.values():
                if run.rewrite_pending and run.id not in but and self.db.lanes[run.business_id].partition in set(partitions):
                    first.setdefault(run.business_id, run.id)
            return sorted(first.items())[:limit]

        found: list[tuple[int, int]] = await self.link.ask(statement)
        return found

    async def rewrite(self, business_id: int, run_id: int, start: int, chunk: int) -> int | None:  # noqa: ARG002
        found: int | None = await self.link.ask(lambda: commanding.rewrite_rows(self.db, self.db.runs[run_id], start, 2))
        return found

    async def to_end(self, partitions: Sequence[int], limit: int, but: Sequence[int] = ()) -> list[tuple[int, int]]:
        def statement() -> list[tuple[int, int]]:
            asked = set(partitions)
            found = [
                (r.business_id, r.id)
                for r in self.db.runs.values()
                if r.status == "running" and r.started and not r.queued and not r.in_progress and r.id not in but
                and self.db.lanes[r.business_id].partition in asked
            ]  # fmt: skip
            return found[:limit]

        found: list[tuple[int, int]] = await self.link.ask(statement)
        return found

    async def end_if_done(self, business_id: int, run_id: int) -> bool:  # noqa: ARG002
        return bool(await self.link.ask(lambda: commanding.end_if_done(self.db, self.db.runs[run_id])))

    async def to_start(self, partitions: Sequence[int], limit: int, but: Sequence[int] = ()) -> list[ScheduledRun]:
        def statement() -> list[ScheduledRun]:
            asked, now = set(partitions), self.db.clock()
            found = [
                (run.schedule_at, run.id, run.business_id) for run in self.db.runs.values()
                if run.status == "pending" and run.schedule_at is not None and run.id not in but
                and self.db.lanes[run.business_id].partition in asked
            ]  # fmt: skip
            return [ScheduledRun(business, run, changing.epoch_second(at), at - now) for at, run, business in sorted(found)[:limit]]

        if not any(run.schedule_at is not None and run.status == "pending" for run in self.db.runs.values()):
            # Asked twice a second by every worker: not over the network, when the answer can only be that there is none.
            return []
        found: list[ScheduledRun] = await self.link.ask(statement)
        return found

    async def to_delete(self, partitions: Sequence[int], limit: int, but: Sequence[int] = ()) -> list[tuple[int, int]]:  # noqa: ARG002
        """Nothing is old enough in a schedule."""
        return []

    async def delete_part(self, business_id: int, run_id: int, limit: int) -> int:
        raise AssertionError(business_id, run_id, limit)

    async def closed_zones(self, partitions: Sequence[int], limit: int, but: Sequence[int] = ()) -> list[ClosedZone]:
        def statement() -> list[ClosedZone]:
            asked, now = set(partitions), self.db.clock()
            runs = [r for r in self.db.runs.values() if r.status == "running" and r.started and not r.cancel_requested and r.id not in but]
            zones = {
                (r.id, z.name): r
                for r in runs if self.db.lanes[r.business_id].partition in asked
                for z in r.zones if z.closes_at is None or z.closes_at <= now
            }  # fmt: skip
            return [self._closed(run, name) for (_, name), run in sorted(zones.items(), key=lambda item: item[0])[:limit]]

        found: list[ClosedZone] = await self.link.ask(statement)
        return found

    def _closed(self, run: Run, name: str) -> ClosedZone:
        hours, by_day = checking.hours_of(self.db, run), checking.max_per_day_of(self.db, run) is not None
        return ClosedZone(run.business_id, run.id, name, hours, by_day, moment(self.db.clock()))

    async def store_windows(self, windows: Sequence[ZoneWindow]) -> set[int]:
        def statement() -> set[int]:
            held = self.held()
            return {window.of.run_id for window in windows if window.of.business_id not in held and self._store(window)}

        found: set[int] = await self.link.ask(statement)
        return found

    def _store(self, window: ZoneWindow) -> bool:
        """Store one, unless the rules have changed since it was computed."""
        run = self.db.runs[window.of.run_id]
        now = self._closed(run, window.of.zone)
        if (now.hours, now.by_day) != (window.of.hours, window.of.by_day):
            return False
        opens_at, closes_at, day_from, day_to = (_seconds(time) for time in window.row[5:])
        for zone in (zone for zone in run.zones if zone.name == window.of.zone):
            zone.opens_at, zone.closes_at, zone.day_from, zone.day_to = opens_at, closes_at, day_from, day_to
        return True


def _seconds(time: datetime | None) -> float | None:
    if time is None:
        return None
    if time >= FAR:
        return NEVER
    return (time - START).total_seconds() if time.year > 1 else ALWAYS
