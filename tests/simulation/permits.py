"""The permits of one account in memory: what the scripts of actors/dispatch/rate_limiter.py do, step by step."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(eq=False, slots=True)
class WorkerTurn:
    """One worker at the account; `turn` is how many permits each of its businesses has had, `kept` what waits for its next question."""

    turn: float
    seen: float = 0.0
    businesses: int = 1
    wants: int = 0
    kept: int = 0


@dataclass(slots=True)
class Account:
    """The bucket and the turns."""

    open_until: float = 0.0
    tokens: float | None = None
    at: float = 0.0
    turn: float = 0.0
    workers: dict[str, WorkerTurn] = field(default_factory=dict)

    def take(self, now: float, arguments: Sequence[str]) -> list[object]:
        """Redis's clock, and the arguments of TAKE; what TAKE answers."""
        rate, burst, _, gone = map(float, arguments[:4])
        me, longest, room = arguments[4], float(arguments[8]), int(arguments[9])
        businesses, wanted, most = map(int, arguments[5:8])
        if wanted > 0 and self.open_until > now:
            return [0, str(self.open_until - now)]
        tokens = burst if self.tokens is None else self.tokens + max(now - self.at, 0) * rate
        tokens += sum(self._forget(worker) for worker in self.workers.values() if abs(now - worker.seen) > gone)
        self.workers = dict(sorted(self.workers.items()))
        mine = self.workers.setdefault(me, WorkerTurn(self.turn))
        if not mine.wants:
            mine.turn = max(mine.turn, self.turn)
        mine.seen, mine.businesses = now, max(businesses, 1)
        kept = min(mine.kept, wanted)
        self.tokens, self.at = min(tokens + mine.kept - kept, burst), now
        granted = min(kept, most)
        mine.kept, mine.wants = kept - granted, wanted - kept
        granted = self._grant(mine, granted, most, room)
        wait = (self._before(mine, room) + 1 - self.tokens) / rate
        self.workers = {name: w for name, w in self.workers.items() if w.wants or w.kept or w.turn > self.turn}
        return [granted, str(min(wait, longest))]

    def give_back(self, burst: float, permits: int) -> None:
        """Permits that were not used."""
        self.tokens = min((burst if self.tokens is None else self.tokens) + permits, burst)

    def _forget(self, worker: WorkerTurn) -> int:
        kept, worker.kept, worker.wants = worker.kept, 0, 0
        return kept

    def _grant(self, mine: WorkerTurn, granted: int, most: int, room: int) -> int:
        assert self.tokens is not None
        while self.tokens >= 1:
            first, lowest = None, inf
            for worker in self.workers.values():
                if worker.kept >= room:
                    worker.turn = max(worker.turn, self.turn)
                may = worker.wants > 0 and (worker.kept < room or (worker is mine and granted < most))
                if may and (worker.turn < lowest or (worker.turn == lowest and worker is mine)):
                    first, lowest = worker, worker.turn
            if first is None:
                break
            self.turn = max(self.turn, first.turn)
            first.turn, first.wants, self.tokens = first.turn + 1 / first.businesses, first.wants - 1, self.tokens - 1
            if first is mine and granted < most:
                granted += 1
            else:
                first.kept += 1
        return granted

    def _before(self, mine: WorkerTurn, room: int) -> int:
        """How many permits go to others before the next one of this worker."""
        ahead = [w for w in self.workers.values() if w is not mine and w.turn < mine.turn]
        return sum(max(min(ceil((mine.turn - w.turn) * w.businesses), w.wants, room - w.kept), 0) for w in ahead)
