"""`python -m dialer prices import`: the price table for budgets in money."""

from __future__ import annotations

import csv
import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from dialer.policy.call_prices import LONGEST_PREFIX
from dialer.policy.run_settings import CURRENCY
from ringmaster.database import address, connected
from ringmaster.errors import CommandError, OptionError
from ringmaster.output import print_result
from sql.prices.price_table import Prices

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace
    from collections.abc import Iterable, Mapping

# The names of the two columns; the second of each is from Twilio's own list.
PREFIXES = ("prefix", "destination prefixes")
PRICES = ("price", "price / min")
PREFIX = re.compile(rf"\+?([1-9][0-9]{{0,{LONGEST_PREFIX - 1}}})")
PRICE = re.compile(r"[0-9]{1,4}(\.[0-9]{1,12})?", re.ASCII)
HIGHEST_PRICE = 1_000
IMPORTED = "{prefixes} prefixes with prices in {currency}"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command to argparse."""
    group = commands.add_parser("prices", help="the price table for budgets in money").add_subparsers(required=True, metavar="import")
    about = "Replace the price table of the installation. Calls that are claimed from then on use it."
    command = group.add_parser("import", help="replace the table", description=about)
    columns = "a CSV file: a column `prefix` (+9725, or several, separated by commas) and a column `price` (per minute)"
    command.add_argument("--file", type=Path, required=True, metavar="F", help=f"{columns}; Twilio's own list works too")
    command.add_argument("--currency", required=True, metavar="CODE", help="the currency of the prices, such as USD")
    command.add_argument("--by", metavar="NAME", help="your name, for the audit log")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run_import)


async def run_import(options: Namespace) -> int:
    """Run `prices import`.

    Raises:
        CommandError: naming the wrong option or row; the table is not changed.
    """
    if not CURRENCY.fullmatch(options.currency):
        raise OptionError(option="--currency", problem="three capital letters, such as USD")
    try:
        with options.file.open(encoding="utf-8-sig", newline="") as file:
            prices = prices_of(rows_of(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OptionError(option="--file", problem=f"{options.file}: {error}") from error
    async with connected(address()) as pool:
        await Prices(pool).replace(prices, options.currency, f"cli:{options.by}" if options.by else "cli")
    print_result({"prefixes": len(prices), "currency": options.currency}, IMPORTED, as_json=options.json)
    return 0


def rows_of(file: TextIO) -> csv.DictReader[str]:
    """The rows of a CSV file, whose cells are separated by commas or, as some spreadsheets write it, by semicolons.

    Raises:
        CommandError: naming a column that is missing.
    """
    header = file.readline()
    file.seek(0)
    rows = csv.DictReader(file, delimiter=";" if header.count(";") > header.count(",") else ",")
    present = [(name or "").strip() for name in rows.fieldnames or ()]
    for names in (PREFIXES, PRICES):
        found = [name for name in present if name.lower() in names]
        if len(found) != 1:
            count = "no" if not found else "more than one"
            message = f"the file has {count} column {names[0]} (or {names[1]}); its columns are: {', '.join(present) or 'none'}"
            raise CommandError(message)
    return rows


def prices_of(rows: Iterable[Mapping[str | None, str | None]]) -> dict[str, Decimal]:
    """The price per minute by prefix, in digits without a plus; if a prefix has two prices, the higher one.

    Raises:
        CommandError: naming the row; the first one below the header is row 2.
    """
    found: dict[str, Decimal] = {}
    for n, row in enumerate(rows, start=2):
        if not any(_cell(row, names) for names in (PREFIXES, PRICES)):
            continue  # spreadsheets write empty rows at the end
        prefixes, price = _cell(row, PREFIXES), _price(_cell(row, PRICES), n)
        for text in filter(None, re.split(r"[,;\s]+", prefixes)):
            prefix = PREFIX.fullmatch(text)
            if prefix is None:
                message = f"row {n}: {text} is not a prefix such as +9725"
                raise CommandError(message)
            found[prefix[1]] = max(price, found.get(prefix[1], price))
    if not found:
        message = f"the file has no row with a column {PREFIXES[0]} and a column {PRICES[0]}"
        raise CommandError(message)
    return found


def _cell(row: Mapping[str | None, str | None], names: tuple[str, ...]) -> str:
    cells = {(name or "").strip().lower(): cell or "" for name, cell in row.items() if isinstance(cell, str)}
    return next((cells[name].strip() for name in names if name in cells), "")


def _price(text: str, row: int) -> Decimal:
    price = Decimal(text) if PRICE.fullmatch(text) else Decimal(-1)
    if not 0 <= price <= HIGHEST_PRICE:
        message = f"row {row}: {text or 'nothing'} is not a price per minute such as 0.0135"
        raise CommandError(message)
    return price
