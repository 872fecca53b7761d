"""Workbooks (XLSX): unpacked by a process of their own into rows in a temporary file, which are read as those of any other table."""

from __future__ import annotations

from contextlib import ExitStack
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Final

from web.intake.encoding import OLD_EXCEL, ZIP, beginning
from web.intake.readers.reader_limits import ReadResult
from web.intake.readers.reader_process import ReaderProcess
from web.intake.received import ReceivedBody, in_a_file, temporary_file
from web.intake.tables.file_kinds import OLD_WORD, refuse_other_archives
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from web.intake.encoding import Source

# Each may take the memory that the reader is limited to.
_at_once: Final = BoundedSemaphore(2)


def is_workbook(source: Source) -> bool:
    """Whether a file is to be read as a workbook.

    Raises:
        ApiError: 422, when it is one of a kind that is not read.
    """
    mark = beginning(source)
    if mark.startswith(OLD_EXCEL):
        refuse_other_archives(source, tuple(OLD_WORD.items()))
        raise _unreadable(
            msgid("This is an old Excel file (.xls), or one with a password. Save it as .xlsx without a password, or as “CSV UTF-8”.")
        )
    return mark.startswith(ZIP)


def is_packed(source: Source) -> bool:
    """Whether a file begins as a workbook does, of this or an old kind: it cannot be read before all of it is there."""
    return beginning(source).startswith((ZIP, OLD_EXCEL))


def unpacked(source: Source, closing: ExitStack) -> ReceivedBody:
    """The rows of a workbook, as `unpacked_rows` reads them, in a file that `closing` removes; takes a process and seconds.

    Raises:
        ApiError: 413 when it unpacks to too much, 422 when it cannot be read.
    """
    with ExitStack() as unpacking:
        rows = unpacking.enter_context(temporary_file())
        with ExitStack() as packing:
            packed = in_a_file(source, packing)
            with _at_once:
                reader = ReaderProcess("unpack", packed, {"rows": rows.fileno()}, {})
                reader.tell(packed.size, whole=True)
                ended = reader.run()
        if ended == ReadResult.UNREADABLE:
            refuse_other_archives(source)
        _refuse(ended)
        closing.enter_context(unpacking.pop_all())
        return ReceivedBody(rows, rows.seek(0, 2))


def _refuse(ended: int) -> None:
    if ended == ReadResult.READ:
        return
    if ended == ReadResult.UNREADABLE:
        raise _unreadable(msgid("This is no Excel workbook (.xlsx) that can be read. Save it again in Excel, or as “CSV UTF-8”."))
    if ended == ReadResult.PASSWORD:
        raise _unreadable(msgid("This workbook has a password. Save it without one."))
    text = Text(msgid("This workbook is too large once it is unpacked. Keep only the sheet with the leads, or save it as “CSV UTF-8”."))
    raise ApiError(413, "too_large", text, details=[{"field": "file", "message": text}])


def _unreadable(sentence: str) -> ApiError:
    text = Text(sentence)
    return ApiError(422, "unreadable_file", text, details=[{"field": "file", "message": text}])
