"""`python -m dialer dnc import` and `export`: the do-not-call list of a business, and the official registers it has imported."""

from __future__ import annotations

import asyncio
import csv
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dialer.clock import SystemIds
from dialer.policy.registers import MAX_NAME
from ringmaster.arguments import business_id
from ringmaster.database import address, connected
from ringmaster.errors import CommandError, OptionError
from ringmaster.output import print_result
from sql.businesses.businesses import Businesses
from sql.do_not_call.do_not_call import OWN_LIST, DoNotCall, LaterRegisterError, ListRequest, may_replace_register
from web.intake.encoding import PIECE_BYTES
from web.intake.phone_lists.phone_list import MAX_REASON_CHARACTERS, check_phones
from web.intake.phone_lists.phone_rows import phone_rows
from web.operations.csv_cells import LIST_COLUMNS, cells_of_number
from web.server.errors import ApiError

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace
    from collections.abc import Iterator

    from sql.pool import Pool
    from web.intake.encoding import Source
    from web.intake.phone_lists.phone_list import PhoneList
    from web.server.errors import Text

# All rejected rows are in the output of --json.
SHOWN_ROWS = 20
IMPORTED = (
    "{added} numbers added, {already} on the list already, {rejected_count} rows rejected; {in_progress} calls to them are in progress"
)


@dataclass(frozen=True, slots=True)
class _ListChoice:
    """The list of a business, or with `register` an official register of it."""

    business_id: int
    register: str | None


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe both commands to argparse."""
    group = commands.add_parser("dnc", help="do-not-call lists").add_subparsers(required=True, metavar="import|export")
    about = (
        "Add the numbers of a table (CSV, TSV, XLSX) to the list of a business, or replace a register. "
        "From the end of the command on none is called."
    )
    imported = _add(group, "import", "add numbers, or replace a register", about)
    imported.add_argument("--file", type=Path, metavar="F", help="a column of phones, perhaps one of reasons (default: standard input)")
    imported.add_argument("--reason", metavar="TEXT", help="why, for numbers without a reason of their own")
    imported.add_argument("--by", metavar="NAME", help="your name, for the audit log")
    imported.set_defaults(run=run_import)
    exported = _add(group, "export", "write the list", "Write the list of a business, or a register, as CSV that can be imported again.")
    exported.add_argument("--file", type=Path, metavar="F", help="where to (default: standard output)")
    exported.set_defaults(run=run_export)


def _add(group: argparse._SubParsersAction[argparse.ArgumentParser], verb: str, line: str, about: str) -> argparse.ArgumentParser:
    command = group.add_parser(verb, help=line, description=about)
    command.add_argument("--business", required=True, type=business_id, metavar="ID", help="the business_id")
    command.add_argument("--register", metavar="NAME", help="an official register (default: the list of the business itself)")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    return command


async def run_import(options: Namespace) -> int:
    """Run `dnc import`.

    Raises:
        CommandError: naming the wrong option or what is wrong with the file.
    """
    wanted, reason = _list_name(options), options.reason[:MAX_REASON_CHARACTERS] if options.reason else None
    async with connected(address()) as pool:
        region = await _region(pool, wanted.business_id)
        with _source(options.file) as source:
            phones = await asyncio.to_thread(_read, source, region, reason)
        requested_by = f"cli:{options.by}" if options.by else "cli"
        result = await _change(pool, wanted, phones, requested_by)
    if not options.json:
        _show_rejected(result["rejected"])
    print_result(result, IMPORTED, as_json=options.json)
    return 0


async def run_export(options: Namespace) -> int:
    """Run `dnc export`.

    Raises:
        CommandError: when there is no such business or register, or the file cannot be written.
    """
    wanted = _list_name(options)
    if options.json and options.file is None:
        raise OptionError(option="--json", problem="give a --file: without it standard output has the list")
    async with connected(address()) as pool:
        await _region(pool, wanted.business_id)
        register_id = await _register_id(pool, wanted)
        with _target(options.file) as file:
            numbers = await _write(DoNotCall(pool), wanted.business_id, register_id, file)
    if options.file is not None:
        print_result(
            {"business_id": wanted.business_id, "register": wanted.register, "numbers": numbers}, "{numbers} numbers", as_json=options.json
        )
    return 0


def _list_name(options: Namespace) -> _ListChoice:
    register = options.register
    if register is not None and not (0 < len(register) <= MAX_NAME and register.isprintable()):
        raise OptionError(option="--register", problem=f"1 to {MAX_NAME} printable characters")
    return _ListChoice(options.business, register)


async def _region(pool: Pool, business: int) -> str:
    found = await Businesses(pool).get(business)
    if found is None:
        raise OptionError(option="--business", problem=f"there is no business {business}")
    return found.region


async def _register_id(pool: Pool, wanted: _ListChoice) -> int:
    if wanted.register is None:
        return OWN_LIST
    for register in await DoNotCall(pool).registers(wanted.business_id):
        if register.name == wanted.register:
            return register.register_id
    raise OptionError(option="--register", problem=f"business {wanted.business_id} has imported no register {wanted.register!r}")


async def _change(pool: Pool, wanted: _ListChoice, phones: PhoneList, requested_by: str) -> dict[str, Any]:
    detail = {"rejected": phones.rejected_count}
    request = ListRequest(wanted.business_id, f"cli:{SystemIds().uuid()}", b"", requested_by, detail)
    report = {"business_id": wanted.business_id, "register": wanted.register, **_report(phones)}
    if wanted.register is None:
        return await DoNotCall(pool).add(request, phones, report)
    if not may_replace_register(len(phones), phones.rejected_count):
        rows = len(phones) + phones.rejected_count
        message = f"{phones.rejected_count} of these {rows} rows have no readable phone number; the register stays as it was"
        raise CommandError(message)
    try:
        return await DoNotCall(pool).replace_register(request, wanted.register, phones, report)
    except LaterRegisterError as error:
        message = "a later import of this register finished first, and is in force"
        raise CommandError(message) from error


def _report(phones: PhoneList) -> dict[str, Any]:
    rejected = [{"row": row.row, "phone": row.phone, "reason": row.reason, "message": _english(row.text)} for row in phones.rejected]
    return {"rejected": rejected, "rejected_count": phones.rejected_count}


def _read(source: Source, region: str, reason: str | None) -> PhoneList:
    try:
        return check_phones(phone_rows(source, region), region, reason, most=None)
    except ApiError as error:
        raise CommandError(_english(error.text)) from error


@contextmanager
def _source(path: Path | None) -> Iterator[Source]:
    """The bytes of a file or of standard input, to be read as often as needed."""
    with tempfile.TemporaryFile() if path is None else _opened(path, "rb") as file:
        if path is None:
            shutil.copyfileobj(sys.stdin.buffer, file)

        def pieces() -> Iterator[bytes]:
            file.seek(0)
            return iter(lambda: file.read(PIECE_BYTES), b"")

        yield pieces


@contextmanager
def _target(path: Path | None) -> Iterator[IO[str]]:
    if path is None:
        yield sys.stdout
        return
    with _opened(path, "w") as file:
        yield file


def _opened(path: Path, mode: str) -> IO[Any]:
    try:
        return path.open(mode) if "b" in mode else path.open(mode, encoding="utf-8", newline="")
    except OSError as error:
        raise OptionError(option="--file", problem=f"{path}: {error.strerror}") from error


async def _write(lists: DoNotCall, business: int, register_id: int, file: IO[str]) -> int:
    writer, numbers = csv.writer(file, lineterminator="\n"), 0
    writer.writerow(LIST_COLUMNS)
    async for entry in lists.export(business, register_id):
        writer.writerow(cells_of_number(entry))
        numbers += 1
    return numbers


def _show_rejected(rejected: list[dict[str, Any]]) -> None:
    for row in rejected[:SHOWN_ROWS]:
        print(f"row {row['row']}: {row['message']}", file=sys.stderr)
    if len(rejected) > SHOWN_ROWS:
        print("and more: --json shows them", file=sys.stderr)


def _english(text: Text) -> str:
    return text.text.format_map(dict(text.values))
