"""Checks the leads of a file: of a small one in a thread, of any other in a process of its own; either way by `LeadFile.check`."""

from __future__ import annotations

import asyncio
from typing import IO, TYPE_CHECKING

from sql.runs.lead_rows import LeadRows
from web.intake.encoding import FileSource
from web.intake.readers.checked_file import read_checked
from web.intake.readers.lead_file import order_of
from web.intake.readers.reader_limits import ReadResult
from web.intake.readers.reader_process import ReaderProcess
from web.intake.received import SMALL_BYTES, temporary_file
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextlib import ExitStack

    from web.intake.encoding import Source
    from web.intake.readers.lead_file import LeadFile, RowRules
    from web.intake.received import ArrivingBody
    from web.intake.rows import CheckedRows


async def checked_rows(file: LeadFile, source: Source, rules: RowRules, closing: ExitStack, *, loadable: bool = False) -> CheckedRows:
    """The rows of a file, each of them checked.

    `loadable`: only to be loaded, so the good leads of a file that is not small stay in files, which `closing` removes.

    Raises:
        ApiError: 413 or 422, when they cannot be read.
    """
    if not isinstance(source, FileSource) or source.size <= SMALL_BYTES:
        return await asyncio.to_thread(file.check, source, rules)

    async def tell(reader: ReaderProcess) -> None:
        reader.tell(source.size, whole=True)

    return await _read(file, source, rules, closing, tell, loadable=loadable)


async def checked_while_arriving(
    file: LeadFile, body: ArrivingBody, rules: RowRules, closing: ExitStack, *, loadable: bool = False
) -> CheckedRows:
    """The rows of a file that is read while it arrives, as `checked_rows`; all of it has arrived then, whatever is wrong with it.

    Raises:
        ApiError: 400, 408, 413 or 422.
    """

    async def tell(reader: ReaderProcess) -> None:
        await body.receive_rest(lambda size: reader.tell(size, whole=body.is_whole))

    return await _read(file, body.source(), rules, closing, tell, loadable=loadable)


async def _read(
    file: LeadFile,
    source: FileSource,
    rules: RowRules,
    closing: ExitStack,
    tell: Callable[[ReaderProcess], Coroutine[None, None, None]],
    *,
    loadable: bool,
) -> CheckedRows:
    outputs = {name: closing.enter_context(temporary_file()) for name in ("checked", *(("jobs", "variables") if loadable else ()))}
    reader = ReaderProcess("check", source, {name: output.fileno() for name, output in outputs.items()}, order_of(file, rules))

    async def told() -> None:
        try:
            await tell(reader)
        except BaseException:
            reader.stop()
            raise

    try:
        # Both come to their end: no answer goes out while the process is there.
        ended, telling = await asyncio.gather(asyncio.to_thread(reader.run), told(), return_exceptions=True)
    finally:
        reader.stop()
    for result in (telling, ended):
        if isinstance(result, BaseException):
            raise result
    if ended != ReadResult.READ:
        raise _too_large()
    return await asyncio.to_thread(_checked, outputs)


def _checked(outputs: dict[str, IO[bytes]]) -> CheckedRows:
    outputs["checked"].seek(0)
    checked, zones, external_ids = read_checked(outputs["checked"])
    if zones is not None:
        jobs, variables = (FileSource(file.fileno(), 0, file.seek(0, 2)) for file in (outputs["jobs"], outputs["variables"]))
        checked.loadable = LeadRows(checked.count, zones, lambda: iter(jobs()), lambda: iter(variables()), external_ids)
    return checked


def _too_large() -> ApiError:
    """The process was killed at a limit of memory or time, or by somebody."""
    text = Text(msgid("Reading this list takes too much memory or time. Split it into several files."))
    return ApiError(413, "too_large", text, details=[{"field": "leads", "message": text}])
