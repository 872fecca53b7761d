"""`python -m dialer rejected list|requeue|discard`: commands of the stream that were rejected, kept for 30 days."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dialer.messages import MalformedError
from ringmaster.arguments import business_id
from ringmaster.errors import FAILED, OptionError
from ringmaster.output import print_result, printable
from ringmaster.streams import connected

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace
    from collections.abc import Awaitable, Callable

    from dialer.streams.client import Entry, Streams

MOST = 10_000
ENTRY = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
LINE = "{entry}  {at}  business {business_id}  run {run_id}  {type}  id {id}: {reason}"
SHOWN = ("business_id", "run_id", "job_id", "type", "id", "requested_by", "reason")
MISSING = "there is no such entry: it was requeued or discarded before, or is older than 30 days"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the three commands to argparse."""
    group = commands.add_parser("rejected", help="commands of the stream that were rejected").add_subparsers(
        required=True, metavar="list|requeue|discard"
    )
    about = "The newest first, each with the entry by which the other two commands name it, and the reason."
    listed = group.add_parser("list", help="show them", description=about)
    listed.add_argument("--business", type=business_id, metavar="ID", help="only those of this business")
    listed.add_argument("--json", action="store_true", help="print one JSON object")
    listed.set_defaults(run=run_list)
    about = "Send them again, each under the id <id>:r1 (after that r2, ...), and drop them from the list. Mend the cause first."
    _add(group, "requeue", "send them again", about, _requeue)
    _add(group, "discard", "drop them", "Drop them from the list. Nothing else changes.", _discard)


def _add(
    group: argparse._SubParsersAction[argparse.ArgumentParser], verb: str, line: str, about: str, step: Callable[..., Awaitable[str]]
) -> None:
    command = group.add_parser(verb, help=line, description=about)
    command.add_argument("entries", nargs="*", metavar="ENTRY", help="an entry as `list` shows it")
    command.add_argument("--all", action="store_true", help="all of them, with --business those of this business")
    command.add_argument("--business", type=business_id, metavar="ID", help="with --all: only those of this business")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run_change, step=step)


async def run_list(options: Namespace) -> int:
    """Run `rejected list`.

    Raises:
        CommandError: when Redis cannot be used.
    """
    async with connected() as streams:
        items = [_shown(entry) for entry in await _all(streams, options.business)]
    if options.json:
        print(json.dumps({"items": items}, ensure_ascii=False))
    else:
        for item in items:
            print(printable(LINE.format_map(item)))
    return 0


async def run_change(options: Namespace) -> int:
    """Run `rejected requeue` or `rejected discard`. Exit code 1 when one of them could not be changed.

    Raises:
        CommandError: naming a wrong option, or when Redis cannot be used.
    """
    if bool(options.entries) == options.all:
        raise OptionError(option="ENTRY", problem="name entries as `rejected list` shows them, or give --all")
    if wrong := [entry for entry in options.entries if not ENTRY.fullmatch(entry)]:
        raise OptionError(option="ENTRY", problem=f"{wrong[0]!r} is none; one looks like 1700000000000-0")
    results = []
    async with connected() as streams:
        chosen = await _all(streams, options.business) if options.all else await _named(streams, options.entries)
        # The oldest first: commands of one run take effect in their order.
        for entry, fields in sorted(chosen, key=lambda item: _place(item[0])):
            results.append({"entry": entry, **await _changed(streams, entry, fields, options.step)})
    failed = [result for result in results if "problem" in result]
    if not options.json:
        for result in failed:
            print("{entry}: {problem}".format_map(result))
    summary = {"changed": len(results) - len(failed), "unchanged": len(failed), "items": results}
    print_result(summary, "{changed} done, {unchanged} left as they were", as_json=options.json)
    return FAILED if failed else 0


async def _changed(streams: Streams, entry: str, fields: dict[str, str] | None, step: Callable[..., Awaitable[str]]) -> dict[str, str]:
    if fields is None:
        return {"problem": MISSING}
    try:
        return {"id": await step(streams, entry, fields)}
    except MalformedError as error:
        return {"problem": f"it is malformed, and would be rejected again: {error}; send it anew, then discard this one"}


async def _requeue(streams: Streams, entry: str, fields: dict[str, str]) -> str:
    return await streams.requeue(entry, fields)


async def _discard(streams: Streams, entry: str, fields: dict[str, str]) -> str:
    await streams.discard(entry)
    return fields.get("id", "")


async def _all(streams: Streams, business: int | None) -> list[Entry]:
    found = await streams.newest_rejections(MOST)
    return [(entry, fields) for entry, fields in found if business is None or fields.get("business_id") == str(business)]


async def _named(streams: Streams, entries: list[str]) -> list[tuple[str, dict[str, str] | None]]:
    found = await asyncio.gather(*(streams.rejection(entry) for entry in entries))
    return [(entry, before[1] if before else None) for entry, before in zip(entries, found, strict=True)]


def _place(entry: str) -> tuple[int, int]:
    """The order of an entry in its stream."""
    milliseconds, number = entry.split("-")
    return int(milliseconds), int(number)


def _shown(entry: Entry) -> dict[str, Any]:
    at = datetime.fromtimestamp(int(entry[0].partition("-")[0]) / 1000, UTC)
    return {"entry": entry[0], "at": at.isoformat(timespec="seconds"), **{name: entry[1].get(name, "") for name in SHOWN}}
