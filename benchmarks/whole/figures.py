"""The figures of each benchmark that are shown together, and which of them are ratios that are compared with the published ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Results: TypeAlias = "Mapping[str, Any]"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of one benchmark.

    A ratio, or another figure that depends little on the machine, has a `tolerance`: a share of the published one, more than that by which
    runs of the same code differed. Without it the figure is only shown. `size` is the part of the results that it needs; a run with other
    sizes does not have it.
    """

    benchmark: str
    name: str
    of: Callable[[Results], float]
    better: Literal["more", "less"]
    tolerance: float | None = None
    size: str = ""

    def is_worse(self, now: float, published: float) -> bool:
        """Whether it has become worse by more than runs differ."""
        if self.tolerance is None:
            return False
        if self.better == "more":
            return now < published * (1 - self.tolerance)
        return now > published * (1 + self.tolerance)


def _best_peer(results: Results, keys: str) -> float:
    others = (one["calls_a_second"] for name, one in results[keys].items() if name != "ringmaster" and one["holds"])
    return float(results[keys]["ringmaster"]["calls_a_second"] / max(others))


def _ours(costs: Results) -> float:
    return float(costs["web"] + costs["worker"])


def _inserts(results: Results, name: str) -> float:
    """A latency as a multiple of a bare insert's meanwhile."""
    return float(results["20"][name]["p50_ms"] / results["20"]["insert"]["p50_ms"])


def _kinds(results: Results, kind: str) -> list[Results]:
    return [one for name, one in results.items() if name.startswith(kind)]


def _many(results: Results) -> tuple[Results, Results]:
    """Of `idle`: with one business, and with many."""
    one, many = sorted(results["stages"], key=lambda stage: int(stage["businesses"]))
    return one, many


FIGURES: Final = (
    Figure("queue", "calls a second, all rules off", lambda r: r["without_rules"]["calls_a_second"], "more"),
    Figure(
        "queue",
        "with all rules, share of it without",
        lambda r: r["with_rules"]["calls_a_second"] / r["without_rules"]["calls_a_second"],
        "more",
        0.25,
    ),
    Figure("queue", "WAL bytes a call", lambda r: r["queue"]["wal_bytes_a_call"], "less", 0.03),
    Figure("calls", "calls a second over HTTP", lambda r: r["product"]["calls_a_second"], "more"),
    Figure("calls", "share of a bare loop", lambda r: r["product"]["calls_a_second"] / r["bare"]["calls_a_second"], "more", 0.15),
    Figure(
        "calls",
        "CPU of web process and worker, times the bare loop's",
        lambda r: _ours(r["product"]["cpu_ms"]) / r["bare"]["cpu_ms"]["loop"],
        "less",
        0.3,
    ),
    Figure(
        "turnaround", "freed slot to the next request, 20 businesses, p50 ms", lambda r: r["20"]["turnaround"]["p50_ms"], "less", size="20"
    ),
    Figure("turnaround", "the same, times a bare insert", lambda r: _inserts(r, "turnaround"), "less", 0.8, "20"),
    Figure("turnaround", "a callback answered, times a bare insert", lambda r: _inserts(r, "callback"), "less", 0.8, "20"),
    Figure("turnaround", "a cancel answered, times a bare insert", lambda r: _inserts(r, "cancel"), "less", 0.8, "20"),
    Figure(
        "turnaround",
        "CPU of web process and worker, times the simulator's",
        lambda r: _ours(r["20"]["cpu"]) / r["20"]["cpu"]["simulator"],
        "less",
        0.2,
        "20",
    ),
    Figure("start", "to the first request for a call, p50 ms", lambda r: r["first_call"]["p50_ms"], "less"),
    Figure("start", "a start answered, times a bare insert", lambda r: r["answer"]["p50_ms"] / r["insert"]["p50_ms"], "less", 0.8),
    Figure(
        "start",
        "to the first request for a call, times a bare insert",
        lambda r: r["first_call"]["p50_ms"] / r["insert"]["p50_ms"],
        "less",
        0.8,
    ),
    Figure("import", "seconds of 100,000 leads", lambda r: r["seconds"], "less"),
    Figure("import", "times csv.reader and COPY alone", lambda r: r["seconds"] / r["bare_seconds"], "less", 0.3),
    Figure("import", "MB of the process that reads", lambda r: r["reader_mb"], "less", 0.1),
    Figure("screen", "outcome to a stream of events, p50 ms", lambda r: r["clients_late"]["p50_ms"], "less"),
    Figure("screen", "Stop to its answer, p99 ms", lambda r: r["stop"]["p99_ms"], "less"),
    Figure("screen", "streams of events lost", lambda r: r["over"], "less", 0.0),
    Figure("screen", "CPU of the web process, times the simulator's", lambda r: r["cpu"]["web"] / r["cpu"]["simulator"], "less", 0.3),
    Figure("visit", "first visit in English, kB", lambda r: r["en-US"]["first"]["kilobytes"], "less", 0.05),
    Figure("visit", "first visit in Hebrew, kB", lambda r: r["he-IL"]["first"]["kilobytes"], "less", 0.05),
    Figure("visit", "later visit in Hebrew, kB", lambda r: r["he-IL"]["later"]["kilobytes"], "less", 0.1),
    Figure(
        "upload", "until the columns are shown, times its bytes at 8 Mbit/s", lambda r: r["upload_seconds"] / r["megabytes"], "less", 0.3
    ),
    Figure("adoption", "seconds of the migration", lambda r: r["adoption"]["seconds"], "less"),
    Figure(
        "adoption",
        "queue on adopted tables, share of new ones",
        lambda r: r["queue_adopted"]["calls_a_second"] / r["queue_new"]["calls_a_second"],
        "more",
        0.2,
    ),
    Figure(
        "adoption",
        "WAL a call on adopted tables, times new ones",
        lambda r: r["queue_adopted"]["wal_bytes_a_call"] / r["queue_new"]["wal_bytes_a_call"],
        "less",
        0.1,
    ),
    Figure(
        "fairness", "Jain's index by permits alone", lambda r: min(one["jain"] for one in _kinds(r["workers"], "permits")), "more", 0.001
    ),
    Figure("fairness", "Jain's index by processes", lambda r: min(one["jain"] for one in _kinds(r["workers"], "processes")), "more", 0.01),
    Figure(
        "fairness",
        "share of the business that gets least beside a large neighbour",
        lambda r: r["neighbour"]["large"]["least_share"],
        "more",
        0.1,
    ),
    Figure("fairness", "Jain's index beside a large neighbour", lambda r: r["neighbour"]["large"]["jain"], "more", 0.01),
    Figure(
        "fairness",
        "claim with a large neighbour, times one with a small one",
        lambda r: r["claims"]["large"]["claim_p50_ms"] / r["claims"]["small"]["claim_p50_ms"],
        "less",
        0.2,
    ),
    Figure("lost", "end to free slot with 100 lines, p50 s", lambda r: r["100"]["freed"]["p50_ms"] / 1_000, "less", 0.4, "100"),
    Figure("lost", "lists a minute with 100 lines", lambda r: r["100"]["lists_a_minute"], "less", 0.2, "100"),
    Figure("peers", "calls a second with 1,000 keys", lambda r: r["1000"]["ringmaster"]["calls_a_second"], "more", size="1000"),
    Figure("peers", "1,000 keys, times the best peer that holds the limit", lambda r: _best_peer(r, "1000"), "more", 0.25, "1000"),
    Figure("peers", "100 keys, times the best peer that holds the limit", lambda r: _best_peer(r, "100"), "more", 0.25, "100"),
    Figure(
        "peers",
        "share of pgbench with the same statements",
        lambda r: r["1000"]["ringmaster"]["calls_a_second"] / r["pgbench"]["calls_a_second"],
        "more",
        0.2,
        "1000",
    ),
    Figure("growth", "a claim with most jobs, times one with fewest", lambda r: r["jobs"], "less", 0.2, "jobs"),
    Figure("growth", "a claim with most runs of a business, times one with one", lambda r: r["runs"], "less", 0.2, "runs"),
    Figure("growth", "a claim after calls of the past, times one without", lambda r: r["past"], "less", 0.2, "past"),
    Figure(
        "idle",
        "memory of the worker, times that with one business",
        lambda r: _many(r)[1]["worker_mb"] / _many(r)[0]["worker_mb"],
        "less",
        0.05,
    ),
    Figure("idle", "rows written a second with many businesses", lambda r: _many(r)[1]["rows_a_second"], "less", 1.0),
    Figure("take-over", "kill -9 to the next lead taken, p50 s", lambda r: r["after"]["p50_ms"] / 1_000, "less", 0.4),
)


def figures_of(results: Mapping[str, Results]) -> list[tuple[Figure, float]]:
    """The figures that these results have, by benchmark; one whose size was not run is left out."""
    return [(one, float(one.of(found))) for one in FIGURES if (found := results.get(one.benchmark)) and (not one.size or one.size in found)]
