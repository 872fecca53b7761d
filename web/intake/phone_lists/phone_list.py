"""Checks the rows of a list of phone numbers, and keeps the numbers in little memory: an official register may have millions."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from dialer.phones.phone_numbers import RefusedPhoneError, read_phone
from web.intake.phone_sentences import sentence_of
from web.intake.rows import BadRowCellsError, BadRowError, RejectedRow, shown_text
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from web.intake.phone_lists.phone_rows import PhoneRow

# In one upload; the command line takes longer lists.
MAX_PHONES: Final = 2_000_000
# All rejected rows are counted; so many are reported.
MAX_REJECTED: Final = 10_000
MAX_REASON_CHARACTERS: Final = 255


class PhoneList:
    """Numbers that have been checked, each with its reason; the first `MAX_REJECTED` rows that were rejected, and how many were in all."""

    def __init__(self, reason: str | None = None) -> None:
        """`reason` is that of numbers without one of their own."""
        self._reason = reason
        # In E.164 without the plus.
        self._numbers = array("q")
        self._reasons: dict[int, str] = {}
        self.rejected: list[RejectedRow] = []
        self.rejected_count = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[tuple[str, str | None]]:
        return ((f"+{number}", self._reasons.get(number, self._reason)) for number in self._numbers)

    def __contains__(self, entry: object) -> bool:
        return any(entry == own for own in self)

    def accept(self, phone: str, reason: str) -> None:
        """Add a number in E.164."""
        number = int(phone[1:])
        self._numbers.append(number)
        if reason:
            self._reasons.setdefault(number, reason)

    def reject(self, row: int, phone: str | None, reason: str, text: Text) -> None:
        """Count a row, and report it if there are not too many."""
        self.rejected_count += 1
        if len(self.rejected) < MAX_REJECTED:
            self.rejected.append(RejectedRow(row, None, phone, reason, text))


def check_phones(rows: Iterable[PhoneRow], region: str, reason: str | None = None, most: int | None = MAX_PHONES) -> PhoneList:
    """Read each number with the region of the business; bad rows are reported, and the others are kept.

    Raises:
        ApiError: 413, when there are more than `most` rows.
    """
    checked = PhoneList(reason)
    for count, row in enumerate(rows, start=1):
        if most is not None and count > most:
            raise _too_many(most)
        try:
            checked.accept(_phone(row.phone, region), _reason(row.reason))
        except BadRowError as error:
            cells = error.cells if isinstance(error, BadRowCellsError) else {"phone": row.phone}
            checked.reject(row.number, shown_text(cells.get("phone")), error.reason, error.text)
    return checked


def _phone(cell: object, region: str) -> str:
    if isinstance(cell, BadRowError):
        raise cell
    try:
        return read_phone(cell, region).e164
    except RefusedPhoneError as error:
        raise BadRowError(error.reason, sentence_of(error)) from None


def _reason(text: str) -> str:
    """The reason in a cell; one that is too long is cut, so that its number is on the list all the same."""
    return text.strip()[:MAX_REASON_CHARACTERS]


def _too_many(most: int) -> ApiError:
    text = Text(msgid("At most {most} numbers are allowed in one upload; import a longer list at the command line."), {"most": most})
    return ApiError(413, "too_many_phones", text)
