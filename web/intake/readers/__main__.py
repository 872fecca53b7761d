"""The program that reads one file: it unpacks a workbook, or reads and checks leads; told what to do on its standard input."""

from __future__ import annotations

import errno
import gc
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from web.intake.readers.arrival import ArrivingFile, UnwantedError
from web.intake.readers.reader_limits import NICENESS, ReadResult, limit_this_process

if TYPE_CHECKING:
    from typing import BinaryIO


def main() -> ReadResult:
    """Carry out the order."""
    order = json.load(sys.stdin.buffer)
    limit_this_process()
    # Rows are no cycles.
    gc.disable()
    os.nice(NICENESS)
    source = ArrivingFile(order["file"], order["pipe"], order["start"])
    try:
        return _unpack(source, _outputs(order)["rows"]) if order["operation"] == "unpack" else _check(source, order)
    except UnwantedError:
        return ReadResult.UNWANTED
    except MemoryError:
        return ReadResult.TOO_LARGE
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        return ReadResult.TOO_LARGE


def _outputs(order: dict[str, Any]) -> dict[str, BinaryIO]:
    return {name: os.fdopen(file, "wb") for name, file in order["outputs"].items()}


# Starting takes most of the time that a small file takes: only what is needed is loaded.
def _unpack(source: ArrivingFile, rows: BinaryIO) -> ReadResult:
    from web.intake.tables.workbook_reader import RefusedArchiveError, write_rows  # noqa: PLC0415

    try:
        write_rows(b"".join(source()), rows)
    except RefusedArchiveError as error:
        return error.exit_code
    return ReadResult.READ


def _check(source: ArrivingFile, order: dict[str, Any]) -> ReadResult:
    from web.intake.readers.lead_reader import read_leads  # noqa: PLC0415

    read_leads(source, order, _outputs(order))
    return ReadResult.READ


if __name__ == "__main__":
    sys.exit(main())
