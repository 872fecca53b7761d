"""The ratios that we have published, each with the commit it was measured at; a run is compared with them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import Console

PUBLISHED = Path(__file__).with_name("published.json")
ROOT = PUBLISHED.parents[1]
PRODUCT = ("actors", "dialer", "sql", "telephony", "web", "requirements.txt")
COMMITS_SHOWN = 15


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure of one benchmark that depends little on the machine; `tolerance` is the share by which runs of the same code differ."""

    name: str
    benchmark: str
    of: Callable[[Mapping[str, Any]], float]
    better: Literal["more", "less"]
    tolerance: float

    def is_worse(self, now: float, published: float) -> bool:
        """Whether it has become worse by more than runs differ."""
        if self.better == "more":
            return now < published * (1 - self.tolerance)
        return now > published * (1 + self.tolerance)


def _best_peer(results: Mapping[str, Any], keys: str) -> float:
    others = (one["calls_a_second"] for name, one in results[keys].items() if name != "ringmaster" and one["holds"])
    return float(results[keys]["ringmaster"]["calls_a_second"] / max(others))


RATIOS = (
    Ratio(
        "calls over HTTP, share of a bare loop",
        "calls",
        lambda r: r["product"]["calls_a_second"] / r["bare"]["calls_a_second"],
        "more",
        0.15,
    ),
    Ratio(
        "queue with all rules, share of it without",
        "queue",
        lambda r: r["with_rules"]["calls_a_second"] / r["without_rules"]["calls_a_second"],
        "more",
        0.25,
    ),
    Ratio("WAL bytes a call", "queue", lambda r: r["queue"]["wal_bytes_a_call"], "less", 0.03),
    Ratio(
        "queue on adopted tables, share of new ones",
        "adoption",
        lambda r: r["queue_adopted"]["calls_a_second"] / r["queue_new"]["calls_a_second"],
        "more",
        0.2,
    ),
    Ratio("queue with 1,000 keys, times the best peer that holds the limit", "peers", lambda r: _best_peer(r, "1000"), "more", 0.25),
    Ratio("queue with 100 keys, times the best peer that holds the limit", "peers", lambda r: _best_peer(r, "100"), "more", 0.25),
    Ratio(
        "queue, share of pgbench with the same statements",
        "peers",
        lambda r: r["1000"]["ringmaster"]["calls_a_second"] / r["pgbench"]["calls_a_second"],
        "more",
        0.2,
    ),
    Ratio(
        "a claim with most jobs, times one with fewest",
        "growth",
        lambda r: _most_jobs(r)["claim_p50_ms"] / r["stages"][0]["claim_p50_ms"],
        "less",
        0.2,
    ),
    Ratio(
        "fairness, Jain's index by permits alone",
        "fairness",
        lambda r: min(one["jain"] for name, one in r.items() if name.startswith("permits")),
        "more",
        0.001,
    ),
    Ratio("first visit in Hebrew, kB", "visit", lambda r: r["he-IL"]["first"]["kilobytes"], "less", 0.03),
)


def _most_jobs(results: Mapping[str, Any]) -> Mapping[str, Any]:
    return max((stage for stage in results["stages"] if not stage["past"]), key=lambda stage: int(stage["jobs"]))


def compare(console: Console, results: Mapping[str, Mapping[str, Any]]) -> bool:
    """Print the ratios of these results, by benchmark, beside the published ones; return whether none is worse.

    Of one that is worse, the commits of the product since it was published are printed.
    """
    published = json.loads(PUBLISHED.read_text(encoding="utf-8")) if PUBLISHED.exists() else {}
    table = Table("ratio", "published", "now", "", title="Against the published figures")
    worse: dict[str, str] = {}
    for ratio, now in _found(results):
        last = published.get(ratio.name)
        if not last:
            table.add_row(ratio.name, "not yet", f"{now:.3g}", "")
        elif ratio.is_worse(now, last["value"]):
            worse[ratio.name] = last["commit"]
            table.add_row(ratio.name, f"{last['value']:.3g} ({last['commit']})", f"{now:.3g}", "worse")
        else:
            table.add_row(ratio.name, f"{last['value']:.3g} ({last['commit']})", f"{now:.3g}", "")
    if table.row_count:
        console.print(table)
    for name, commit in worse.items():
        console.print(f"{name}: since {commit}\n{_commits_since(commit)}")
    return not worse


def publish(results: Mapping[str, Mapping[str, Any]]) -> None:
    """Make the ratios of these results the published ones, with the present commit."""
    published = json.loads(PUBLISHED.read_text(encoding="utf-8")) if PUBLISHED.exists() else {}
    commit = _git("rev-parse", "--short", "HEAD")
    published |= {ratio.name: {"value": round(now, 4), "commit": commit} for ratio, now in _found(results)}
    PUBLISHED.write_text(json.dumps(published, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _found(results: Mapping[str, Mapping[str, Any]]) -> list[tuple[Ratio, float]]:
    """The ratios that these results have; one that asks for a size which was not run is left out."""
    found = []
    for ratio in RATIOS:
        if ratio.benchmark in results:
            try:
                found.append((ratio, ratio.of(results[ratio.benchmark])))
            except KeyError:
                continue
    return found


def _commits_since(commit: str) -> str:
    return (
        _git("log", "--oneline", "--no-decorate", f"--max-count={COMMITS_SHOWN}", f"{commit}..HEAD", "--", *PRODUCT)
        or "  no commit of the product"
    )


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S607 found in PATH
