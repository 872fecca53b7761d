"""`make bench`: runs the benchmarks, or those named in ARGS; prints a table for each, writes benchmarks/results/."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benchmarks import adoption, calls, imports, latency, machine, published, queue
from benchmarks.console import screen, uploads, visit
from benchmarks.machine import MissingError
from benchmarks.peers import report
from benchmarks.rounds import BATCH, SLOTS
from benchmarks.scale import fairness, growth, idle, lost, neighbour, take_over
from benchmarks.system import LINES
from benchmarks.whole import course
from benchmarks.whole.sizes import USUAL_SECONDS, add_flags, chosen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.whole.sizes import Form, Sizes

RULED_BUSINESSES = 1_000
CLAIM = f"{BATCH * SLOTS} leads"
WIDTH = 140  # of a file; a terminal has its own
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the benchmarks, each once in a process of its own; compare their figures with the published ones."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks")
    flags.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)} (default: all)")
    add_flags(flags)
    flags.add_argument("--publish", action="store_true", help="make the figures of this run the published ones (benchmarks/published.json)")
    flags.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = flags.parse_args()
    names = options.names or list(BENCHMARKS)
    if unknown := set(names) - BENCHMARKS.keys():
        flags.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    form, sizes = chosen(options)
    if options.publish and form == "own":
        flags.error("only figures of the usual sizes are published: leave the sizes out, or give --large")
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    # Also where Ctrl-C was to be ignored, as for a job of a shell script; SIGTERM does the same: all is stopped in order.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    if options.alone:
        _alone(console, names, sizes)
    else:
        flags.exit(_together(console, names, form, publish=options.publish))


def _alone(console: Console, names: Sequence[str], sizes: Sizes) -> None:
    """Run these in this process."""
    for name in names:
        on = machine.describe()
        try:
            figures = BENCHMARKS[name](console, sizes)
        except MissingError as error:
            sys.exit(f"{name}: {error}")
        except KeyboardInterrupt:
            sys.exit(course.INTERRUPTED_CODE)
        _write(name, figures, on)


def _together(console: Console, names: Sequence[str], form: Form, *, publish: bool) -> int:
    """Run these one after the other, each in a process of its own; return the exit code: 1 when one failed or a ratio is worse."""
    given = [one for one in sys.argv[1:] if one not in {*names, "--publish"}]
    usual = {name: USUAL_SECONDS[name] if form == "small" else 0 for name in dict.fromkeys(names)}

    def command(name: str) -> list[str]:
        return [sys.executable, "-m", "benchmarks", name, "--alone", *given]

    RESULTS.mkdir(exist_ok=True)
    longest = course.LONGEST_SECONDS if form == "small" else course.LONGEST_LARGE_SECONDS
    done = course.run(console, usual, command, RESULTS, longest)
    as_good = published.compare(console, done.results, form, seconds=done.seconds, failed=done.failed)
    if publish:
        published.publish(done.results, form)
    if done.failed:
        console.print(f"without results: {', '.join(f'{name} ({problem})' for name, problem in done.failed.items())}")
    return course.INTERRUPTED_CODE if done.interrupted else 1 if done.failed or not (as_good or publish) else 0


def run_queue(console: Console, options: Sizes) -> dict[str, Any]:
    """The queue alone, without and with the rules of calling."""
    console.print(f"the queue alone: 200 businesses with {options.queue_leads} leads each, fsync on ...")
    figures = asyncio.run(queue.measure(leads=options.queue_leads))
    table = Table("figure", "value", title="The queue alone")
    table.add_row("calls claimed and recorded a second", f"{figures.calls_a_second:,.0f}")
    table.add_row("WAL bytes a call", f"{figures.wal_bytes_a_call:,.0f}")
    table.add_row("most calls at once of one business", str(figures.most_at_once))
    table.add_row("a claim, p50 / p99", f"{figures.claim_p50_ms:.1f} / {figures.claim_p99_ms:.1f} ms")
    console.print(
        f"without rules, then with all rules of calling on: {RULED_BUSINESSES:,} businesses, {options.history:,} phones of history ..."
    )
    free, ruled = (asyncio.run(queue.measure(RULED_BUSINESSES, options.ruled_leads, history=n)) for n in (0, options.history))
    table.add_row("1,000 businesses, without rules, calls a second", f"{free.calls_a_second:,.0f}")
    table.add_row("the same with all rules", f"{ruled.calls_a_second:,.0f}, {ruled.calls_a_second / free.calls_a_second:.0%}")
    console.print(table)
    found = {"queue": figures, "without_rules": free, "with_rules": ruled}
    return {name: {**asdict(one), "calls_a_second": one.calls_a_second} for name, one in found.items()}


def run_calls(console: Console, options: Sizes) -> dict[str, Any]:
    """The whole path over HTTP, against a bare loop."""
    console.print(f"the whole path: {calls.BUSINESSES} businesses with {options.call_leads} leads each, over HTTP to the simulator ...")
    bare, product = asyncio.run(calls.bare(options.call_leads)), asyncio.run(calls.product(leads=options.call_leads))
    table = Table("figure", "bare loop", "product", title="Calls over HTTP")
    share = product.calls_a_second / bare.calls_a_second
    table.add_row("calls a second", f"{bare.calls_a_second:,.0f}", f"{product.calls_a_second:,.0f}, {share:.0%}")
    for kind in sorted({*bare.cpu_ms, *product.cpu_ms}):
        table.add_row(f"CPU a call, {kind}", *(f"{one.cpu_ms[kind]:.2f} ms" if kind in one.cpu_ms else "" for one in (bare, product)))
    console.print(table)
    return {name: {**asdict(one), "calls_a_second": one.calls_a_second} for name, one in {"bare": bare, "product": product}.items()}


def run_turnaround(console: Console, options: Sizes) -> dict[str, Any]:
    """How soon a freed slot is used again and requests are answered, with few and with many lines in use."""
    found, seconds = [], options.seconds or options.busy_seconds
    for businesses in options.busy:
        console.print(f"turnaround: {businesses:,} businesses with all {businesses * LINES:,} lines in use, calls of 9 s ...")
        found.append(asyncio.run(latency.turnaround(businesses, seconds)))
    table = Table("p50 / p99", *(f"{one.businesses:,} businesses" for one in found), title="While calls go on")
    table.add_row("calls a second", *(f"{one.calls_a_second:,.1f}" for one in found))
    table.add_row("freed slot to the next request", *(str(one.turnaround) for one in found))
    table.add_row("a callback answered", *(str(one.callback) for one in found))
    table.add_row("TwiML answered", *(str(one.twiml) for one in found))
    table.add_row("cancel answered", *(str(one.cancel) for one in found))
    table.add_row("a bare insert, for comparison", *(str(one.insert) for one in found))
    for kind in sorted(found[0].cpu):
        table.add_row(f"cores used, {kind}", *(f"{one.cpu[kind]:.2f}" for one in found))
    console.print(table)
    return {str(one.businesses): asdict(one) for one in found}


def run_start(console: Console, options: Sizes) -> dict[str, Any]:
    """From a start over HTTP to the first call."""
    console.print(f"start: a run of one lead on an idle system, {options.starts} times ...")
    answer, call, insert = asyncio.run(latency.first_call(options.starts))
    table = Table("p50 / p99", "", title="Start of a run")
    table.add_row("the start answered", str(answer))
    table.add_row("the first call requested", str(call))
    table.add_row("a bare insert, for comparison", str(insert))
    console.print(table)
    return {"answer": asdict(answer), "first_call": asdict(call), "insert": asdict(insert)}


def run_import(console: Console, _: Sizes) -> dict[str, Any]:
    """A large list over HTTP."""
    console.print(f"import: {imports.LEADS:,} leads as CSV ...")
    found = asyncio.run(imports.measure())
    table = Table("figure", "value", title=f"Import of {found.leads:,} leads, {found.megabytes:.1f} MB")
    table.add_row("seconds", f"{found.seconds:.1f}")
    table.add_row("csv.reader and COPY alone, for comparison", f"{found.bare_seconds:.1f}")
    table.add_row("memory of the web process beyond what it used", f"{found.memory_mb:.0f} MB")
    table.add_row("memory of the process that reads the list", f"{found.reader_mb:.0f} MB")
    table.add_row("another request, p50 / p99", str(found.others))
    table.add_row(f"seconds from the last byte, sent at {imports.MEGABITS:g} Mbit/s", f"{found.slow_seconds:.1f}")
    console.print(table)
    return asdict(found)


def run_screen(console: Console, options: Sizes) -> dict[str, Any]:
    """From a recorded outcome to the screens."""
    seconds = options.seconds or options.screen_seconds
    console.print(f"screen: {options.businesses:,} businesses dial, {options.clients:,} streams of events, {seconds:g} s ...")
    found = asyncio.run(screen.measure(options.businesses, options.clients, seconds, options.stops))
    table = Table("p50 / p99", "", title="From a recorded outcome to the screen")
    table.add_row("calls a second", f"{found.calls_a_second:,.1f}")
    table.add_row(f"{found.clients:,} clients of the event stream, {found.over} lost", str(found.clients_late))
    page = found.page_late
    table.add_row(f"the numbers of an open page: p50 / p99 / longest of {page.n}", f"{page} / {page.max_ms:,.0f} ms")
    table.add_row(
        f"Stop in the eighth window to its answer: p50 / p99 / longest of {found.stop.n}", f"{found.stop} / {found.stop.max_ms:,.0f} ms"
    )
    for kind in sorted(found.cpu):
        table.add_row(f"cores used, {kind}", f"{found.cpu[kind]:.2f}")
    console.print(table)
    return asdict(found)


def run_visit(console: Console, _: Sizes) -> dict[str, Any]:
    """The weight of the page of a run."""
    console.print(f"visit: the page of a run with {visit.LEADS} leads, in each language ...")
    found = asyncio.run(visit.measure())
    table = Table("figure", *found, title="The page of a run")
    for label, name in (("first visit", "first"), ("later visit", "later")):
        table.add_row(f"{label}, kB", *(f"{getattr(one, name).kilobytes:.1f}" for one in found.values()))
    for label, name in (("first visit", "slow_first"), ("later visit", "slow_later")):
        for part in ("seen", "usable", "live"):
            times = (getattr(getattr(one, name), part) for one in found.values())
            table.add_row(f"{label} over {visit.SLOW_KILOBITS} kbit/s, {part}, ms", *(f"{time:,.0f}" for time in times))
    for name, size in next(iter(found.values())).first.files.items():
        table.add_row(f"  {name}", *(f"{one.first.files.get(name, size):.1f}" for one in found.values()))
    console.print(table)
    return {locale: asdict(one) for locale, one in found.items()}


def run_upload(console: Console, options: Sizes) -> dict[str, Any]:
    """A large list through the page."""
    console.print(f"upload: {options.people:,} people through the page, at {uploads.MEGABITS:g} Mbit/s ...")
    found = asyncio.run(uploads.measure(options.people))
    table = Table("figure", "value", title=f"Upload of {found.people:,} people, {found.megabytes:.1f} MB")
    table.add_row("the columns are shown, s", f"{found.upload_seconds:.1f}")
    table.add_row("percentages seen meanwhile", str(found.progress_steps))
    table.add_row("they are checked, s", f"{found.check_seconds:.1f}")
    table.add_row("the campaign is made, s", f"{found.create_seconds:.1f}")
    console.print(table)
    return asdict(found)


def run_adoption(console: Console, options: Sizes) -> dict[str, Any]:
    """An old application's database, adopted while it is in use."""
    console.print(f"adoption: {options.old_jobs:,} jobs with every kind of dirt, while the old application goes on ...")
    found = asyncio.run(adoption.adopt(options.old_jobs))
    table = Table("figure", "value", title=f"Adoption of {found.jobs:,} jobs")
    table.add_row("seconds", f"{found.seconds:.1f}")
    table.add_row("statements of the old application meanwhile", f"{found.statements:,}")
    table.add_row("the longest of them", f"{found.longest_ms:.0f} ms")
    table.add_row("longest lock on a table", f"{found.table_lock_ms:.0f} ms ({found.table_lock_step})")
    table.add_row("longest lock on rows", f"{found.row_lock_ms:.0f} ms ({found.row_lock_step})")
    table.add_row(f"start of a run of {found.jobs // 2:,} leads", f"{found.start_seconds:.1f} s")
    table.add_row("a claim of 3 of them, p99", f"{found.claim_p99_ms:.1f} ms")
    console.print("the queue alone, on adopted tables and on new ones ...")
    adopted = asyncio.run(adoption.calls(options.queue_leads))
    new = asyncio.run(queue.measure(adoption.BUSINESSES, options.queue_leads))
    share = adopted.calls_a_second / new.calls_a_second
    table.add_row("calls a second, adopted / new", f"{adopted.calls_a_second:,.0f} / {new.calls_a_second:,.0f}, {share:.0%}")
    table.add_row("WAL bytes a call, adopted / new", f"{adopted.wal_bytes_a_call:,.0f} / {new.wal_bytes_a_call:,.0f}")
    console.print(table)
    queues = {"queue_adopted": adopted, "queue_new": new}
    return {"adoption": asdict(found)} | {name: asdict(one) | {"calls_a_second": one.calls_a_second} for name, one in queues.items()}


def run_fairness(console: Console, options: Sizes) -> dict[str, Any]:
    """The shares of two workers at unequal distance from Redis."""
    seconds = options.seconds or options.fairness_seconds
    further = f"one of two workers {options.distance:g} ms further from Redis, {seconds:g} s"
    console.print(f"fairness: {fairness.PACE:g} calls a second by worker processes, {further} ...")
    found = {f"processes, {one.near} and {one.far}": one for one in asyncio.run(fairness.processes(options.distance, seconds))}
    console.print(f"fairness: {fairness.PERMITS_PACE:g} permits a second and no calls, {further} ...")
    found |= {f"permits, {one.near} and {one.far}": one for one in asyncio.run(fairness.permits(options.distance, seconds))}
    table = Table("businesses, near and far", *found, title="Shares of an account's pace")
    table.add_row("pace a second", *(f"{one.pace:g}" for one in found.values()))
    table.add_row("taken a second", *(f"{one.a_second:,.1f}" for one in found.values()))
    for label, name in (("near", "near"), ("far", "far"), ("the furthest from fair", "furthest")):
        table.add_row(f"a business, {label}", *(f"{getattr(one, f'{name}_share'):.1%}" for one in found.values()))
    table.add_row("Jain's index", *(f"{one.jain:.5f}" for one in found.values()))
    console.print(table)
    return {"workers": {name: asdict(one) for name, one in found.items()}, **_run_neighbour(console, options.neighbour, seconds)}


def _run_neighbour(console: Console, leads: int, seconds: float) -> dict[str, Any]:
    """The same beside a business with many leads."""
    at = f"{neighbour.PACE:g} calls a second, {seconds:g} s each"
    console.print(f"fairness: {neighbour.SMALL} businesses with few leads beside one with {leads:,}, {at} ...")
    found = asyncio.run(neighbour.beside(leads, seconds))
    table = Table("a business with few leads", *(one.label for one in found.values()), title="Beside a large neighbour")
    table.add_row("calls a second of the account", *(f"{one.a_second:.1f}" for one in found.values()))
    table.add_row("its share, as a multiple of fair, the mean", *(f"{one.share:.1%}" for one in found.values()))
    table.add_row("that of the one that gets least", *(f"{one.least_share:.1%}" for one in found.values()))
    table.add_row("Jain's index over all that dial", *(f"{one.jain:.5f}" for one in found.values()))
    table.add_row("from one call to its next, p50 / p99", *(str(one.gap) for one in found.values()))
    table.add_row("the longest", *(f"{one.gap.max_ms:,.0f} ms" for one in found.values()))
    console.print(table)
    console.print(f"fairness: claims for {BATCH} businesses of the queue alone, one of them with {leads:,} leads ...")
    claims = asyncio.run(neighbour.claims(leads))
    table = Table("the queue alone", *(one.label for one in claims.values()), title="Claims beside a large neighbour")
    table.add_row(f"a claim of {CLAIM}, p50 / p99", *(f"{one.claim_p50_ms:.1f} / {one.claim_p99_ms:.1f} ms" for one in claims.values()))
    table.add_row("calls a second", *(f"{one.calls_a_second:,.0f}" for one in claims.values()))
    table.add_row("the least share of a business", *(f"{one.least_share:.1%}" for one in claims.values()))
    table.add_row("Jain's index", *(f"{one.jain:.5f}" for one in claims.values()))
    console.print(table)
    return {"neighbour": {k: asdict(one) for k, one in found.items()}, "claims": {k: asdict(one) for k, one in claims.items()}}


def run_lost(console: Console, options: Sizes) -> dict[str, Any]:
    """From the end of a call whose callbacks are lost to its slot free again."""
    seconds = options.seconds or options.lost_seconds
    found = []
    for count in options.calls:
        console.print(f"lost: lines in use: {count:,}; every callback lost for {seconds:g} s ...")
        found.append(asyncio.run(lost.measure(count, seconds)))
    table = Table("figure", *(f"lines: {one.calls:,}" for one in found), title="Every callback lost")
    table.add_row("calls in progress", *(f"{one.in_progress:,}" for one in found))
    table.add_row("calls that ended", *(f"{one.freed.n:,}" for one in found))
    table.add_row("end to free slot, p50 / longest", *(f"{one.freed.p50_ms / 1000:.1f} / {one.freed.max_ms / 1000:.1f} s" for one in found))
    table.add_row("lists a minute", *(f"{one.lists_a_minute:.1f}" for one in found))
    table.add_row("queries of single calls a minute", *(f"{one.fetches_a_minute:.1f}" for one in found))
    console.print(table)
    return {str(one.calls): asdict(one) for one in found}


def run_peers(console: Console, options: Sizes) -> dict[str, Any]:
    """Our queue beside other job queues."""
    return report.run_peers(console, options.keys, options.jobs, options.seconds or options.peer_seconds, options.pgbench_seconds)


def run_growth(console: Console, options: Sizes) -> dict[str, Any]:
    """The cost of a claim as jobs, runs and calls of the past grow in number, each beside a control in turns."""
    table = Table("", f"a claim of {CLAIM}, p50 / p99", "calls a second", "a claim, times the control's", title="Growth")
    stages = []

    async def grow() -> None:
        async for one in growth.measure(options.sizes, options.runs, options.past, options.rounds):
            times = f"{one.times:.2f} ({', '.join(f'{each:.2f}' for each in one.each_times)})" if one.each_times else "control"
            claim = f"{one.claim_p50_ms:.1f} / {one.claim_p99_ms:.1f} ms"
            console.print(f"growth: {one.label}: {claim}, {times}; filled in {one.fill_seconds:.0f} s")
            table.add_row(one.label, claim, f"{one.calls_a_second:,.0f}", times)
            stages.append(asdict(one))

    asyncio.run(grow())
    console.print(table)
    return {"stages": stages, **{one["kind"]: one["times"] for one in stages}}


def run_idle(console: Console, options: Sizes) -> dict[str, Any]:
    """The cost of businesses that do nothing."""
    seconds = options.seconds or options.idle_seconds
    console.print(f"idle: one business, then {options.idle:,}, {seconds:g} s each ...")
    found = asyncio.run(idle.measure(options.idle, seconds))
    table = Table("businesses", *(f"{one.businesses:,}" for one in found), title="Businesses that do nothing")
    table.add_row("memory of the worker, MB", *(f"{one.worker_mb:.1f}" for one in found))
    table.add_row("memory of the web process, MB", *(f"{one.web_mb:.1f}" for one in found))
    table.add_row("rows written a second", *(f"{one.rows_a_second:.1f}" for one in found))
    table.add_row("WAL bytes a second", *(f"{one.wal_a_second:,.0f}" for one in found))
    console.print(table)
    return {"stages": [asdict(one) for one in found]}


def run_take_over(console: Console, _: Sizes) -> dict[str, Any]:
    """From the kill of a worker to the next calls of its businesses."""
    console.print(f"take-over: {take_over.BUSINESSES} businesses dial, one of two workers is killed ...")
    found = asyncio.run(take_over.measure())
    console.print(f"kill -9 to the next lead taken, {found.businesses} businesses: {found.after}, at most {found.after.max_ms:,.0f} ms")
    return asdict(found)


BENCHMARKS: dict[str, Callable[[Console, Sizes], dict[str, Any]]] = {
    "queue": run_queue,
    "calls": run_calls,
    "turnaround": run_turnaround,
    "start": run_start,
    "import": run_import,
    "screen": run_screen,
    "visit": run_visit,
    "upload": run_upload,
    "adoption": run_adoption,
    "fairness": run_fairness,
    "lost": run_lost,
    "peers": run_peers,
    "growth": run_growth,
    "idle": run_idle,
    "take-over": run_take_over,
}


def _write(name: str, figures: dict[str, Any], on: dict[str, Any]) -> None:
    content = {"at": datetime.now(UTC).isoformat(), "machine": on, **figures}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
