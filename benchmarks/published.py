"""The figures that we have published, each with the commit it was measured at; a run is shown beside them, and its ratios are compared."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from benchmarks.whole.figures import figures_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from benchmarks.whole.sizes import Form

PUBLISHED = Path(__file__).with_name("published.json")
ROOT = PUBLISHED.parents[1]
PRODUCT = ("actors", "dialer", "sql", "telephony", "web", "requirements.txt")
COMMITS_SHOWN = 15


def compare(
    console: Console,
    results: Mapping[str, Mapping[str, Any]],
    form: Form,
    *,
    seconds: Mapping[str, float] | None = None,
    failed: Mapping[str, str] | None = None,
) -> bool:
    """Print the figures of these results, by benchmark, beside the published ones of this form; return whether no ratio is worse.

    `seconds` is how long each benchmark took, `failed` what became of those without results. Of a ratio that is worse, the commits of the
    product since it was published are printed.
    """
    published, took = _read().get(form, {}), seconds or {}
    whole = sum(took.values())
    table = Table("benchmark", "took", "figure", "now", "published", "", title=f"All figures: sizes {form}, {whole:.0f} s")
    worse: dict[str, str] = {}
    shown = ""
    for figure, now in figures_of(results):
        name = f"{figure.benchmark}: {figure.name}"
        last = published.get(name)
        if last and figure.is_worse(now, last["value"]):
            worse[name] = last["commit"]
        first = figure.benchmark != shown
        shown = figure.benchmark
        time = f"{took[shown]:.0f} s, {took[shown] / whole:.0%}" if first and shown in took else ""
        before = f"{_number(last['value'])} ({last['commit']})" if last else "not yet"
        mark = "worse" if name in worse else "" if figure.tolerance is not None else "not compared"
        table.add_row(shown if first else "", time, figure.name, _number(now), before, mark, style="bold" if name in worse else "")
    for name, problem in (failed or {}).items():
        table.add_row(name, f"{took.get(name, 0):.0f} s", problem, "", "", "failed", style="bold")
    if table.row_count:
        console.print(table)
    for name, commit in worse.items():
        console.print(f"{name}: worse than published; since {commit}\n{_commits_since(commit)}")
    return not worse


def publish(results: Mapping[str, Mapping[str, Any]], form: Form) -> None:
    """Make the figures of these results the published ones of this form, with the present commit."""
    published = _read()
    commit = _git("rev-parse", "--short", "HEAD")
    now = {f"{one.benchmark}: {one.name}": {"value": round(value, 4), "commit": commit} for one, value in figures_of(results)}
    published[form] = published.get(form, {}) | now
    PUBLISHED.write_text(json.dumps(published, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _read() -> dict[str, dict[str, Any]]:
    return dict(json.loads(PUBLISHED.read_text(encoding="utf-8"))) if PUBLISHED.exists() else {}


def _number(value: float) -> str:
    """Four digits of it."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"  # noqa: PLR2004 beyond that, whole numbers


def _commits_since(commit: str) -> str:
    """The commits of the product since, the newest first; a clone without its history cannot tell."""
    try:
        found = _git("log", "--oneline", "--no-decorate", f"{commit}..HEAD", "--", *PRODUCT).splitlines()
    except subprocess.CalledProcessError:
        return "  this clone has no such commit: fetch the whole history"
    more = [f"  and {len(found) - COMMITS_SHOWN} more"] if len(found) > COMMITS_SHOWN else []
    return "\n".join([*found[:COMMITS_SHOWN], *more]) or "  no commit of the product"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S607 found in PATH
