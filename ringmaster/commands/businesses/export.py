"""`python -m dialer business export`: everything about a business, or about one person in it, in a ZIP file."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections import Counter
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from dialer.clock import SystemClock
from ringmaster.arguments import business_id
from ringmaster.database import address, connected
from ringmaster.errors import OptionError
from ringmaster.output import print_result
from sql.erasure.erasure import described
from sql.erasure.export import Export

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace

    from sql.pool import Pool

E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
ABOUT = (
    "Write a ZIP file: a file of JSON lines for each table, and manifest.json with the counts. All rows are of one moment. Passwords, keys "
    "and other secrets are left out; sound stays with the provider, whose address of each recording is in the file."
)


def add_to(group: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command to argparse."""
    command = group.add_parser("export", help="write everything about a business to a file", description=ABOUT)
    command.add_argument("--business", required=True, type=business_id, metavar="ID", help="the business_id")
    command.add_argument("--file", required=True, type=Path, metavar="F", help="the file to write, such as business-7.zip; it must be new")
    command.add_argument("--phone", metavar="+E164", help="only what is about the person with this number")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run)


async def run(options: Namespace) -> int:
    """Run the command.

    Raises:
        CommandError: naming the wrong option, or the reason why the database cannot be used.
    """
    phone = options.phone and phone_option(options.phone)
    async with connected(address()) as pool:
        if await described(pool, options.business) is None:
            raise OptionError(option="--business", problem=f"there is no business {options.business}")
        with _new_file(options.file) as file:
            counts = await _write(pool, options.business, phone, file)
    result = {"business_id": options.business, "file": str(options.file), "rows": counts, "total": sum(counts.values())}
    print_result(result, "{total} rows are in {file}", as_json=options.json)
    return 0


def phone_option(text: str) -> str:
    """The number in --phone, as E.164.

    Raises:
        OptionError: when it is none.
    """
    if not E164.fullmatch(text):
        raise OptionError(option="--phone", problem=f"{text!r} is no phone number such as +12125550100")
    return text


def _new_file(path: Path) -> IO[bytes]:
    """Open a file that only its owner may read: it has people's names and numbers."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except OSError as error:
        raise OptionError(option="--file", problem=f"{path}: {error.strerror}") from error


async def _write(pool: Pool, business: int, phone: str | None, file: IO[bytes]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        present, lines = "", None
        async for name, rows in Export(pool).rows(business, phone):
            if name != present or lines is None:
                if lines is not None:
                    lines.close()
                present, lines = name, archive.open(f"{name}.jsonl", "w", force_zip64=True)
            lines.write("".join(f"{row}\n" for row in rows).encode())
            counts[name] += len(rows)
        if lines is not None:
            lines.close()
        manifest = {"business_id": business, "phone": phone, "written_at": SystemClock().now().isoformat(), "rows": dict(counts)}
        archive.writestr("manifest.json", json.dumps(manifest, indent=2))
    return dict(counts)
