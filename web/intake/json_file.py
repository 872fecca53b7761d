"""Reads the leads of a JSON body one by one, and the settings beside them, without keeping the text in memory.

It accepts and rejects exactly what `json.loads` does, except that no value may be longer than `MAX_VALUE_CHARACTERS`, and a lead in which
a key is given twice is rejected: which phone belongs to which lead_id is not guessed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from web.intake.encoding import beginning, texts
from web.intake.rows import MAX_LEADS, MAX_SHOWN_CHARACTERS, REASONS, BadRowCellsError, too_many
from web.server import errors
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import NoReturn

    from web.intake.encoding import Source

Scan: TypeAlias = Callable[[str, int], tuple[Any, int]]

LEADS: Final = "leads"
# Of one lead, or of one setting.
MAX_VALUE_CHARACTERS: Final = 65_536
# More than any valid body has, and too few to fill the memory.
MAX_MEMBERS: Final = 100
# When a value is cut off at the end of the text, the parser's error is at most this far from it: the longest literal or escape.
CUT_CHARACTERS: Final = 16
IN_NUMBERS: Final = "0123456789.eE+-"
BLANK: Final = re.compile(r"[ \t\n\r]*")


def settings_of(source: Source) -> dict[str, Any]:
    """The members of the object; a list of `leads` is replaced by an empty one, any other value of `leads` is kept.

    The whole body is read, so that `leads_of` cannot meet an error in it.

    Raises:
        ApiError: 400 when it is not a JSON object, 413 when there are too many leads, 422 when one is too long.
    """
    members: dict[str, Any] = {}
    for name, value in _members(_Text(source)):
        if name not in members and len(members) >= MAX_MEMBERS:
            raise errors.wrong_field(name=name[:MAX_SHOWN_CHARACTERS], why=Text(msgid("is not a known field")))
        if name != LEADS or not isinstance(value, _Text):
            members[name] = value
        elif name in members:
            raise errors.wrong_field(name=LEADS, why=Text(msgid("is given twice")))
        else:
            members[name] = []
            for _ in _items(value):
                pass
    return members


def leads_of(source: Source) -> Iterator[tuple[int, object]]:
    """The leads of a body that `settings_of` has read, numbered from 1."""
    for name, value in _members(_Text(source)):
        if name == LEADS and isinstance(value, _Text):
            yield from _items(value)
            return


def _members(text: _Text) -> Iterator[tuple[str, Any]]:
    """The members of the object; for a list of `leads` the value is the text, positioned at the list, which must be read next."""
    if text.peek() != "{":
        raise _no_object() if text.is_value() else _malformed()
    text.take("{")
    while text.peek() != "}":
        name = text.value()
        if not isinstance(name, str):
            raise _malformed()
        text.take(":")
        yield name, text if name == LEADS and text.peek() == "[" else text.value()
        text.separate("}")
    text.take("}")
    if text.peek():
        raise _malformed()


def _items(text: _Text) -> Iterator[tuple[int, object]]:
    text.take("[")
    number = 0
    while text.peek() != "]":
        number += 1
        if number > MAX_LEADS:
            raise too_many()
        lead = text.value(number)
        yield number, _with_distinct_keys(lead, text.repeated)
        text.separate("]")
    text.take("]")


def _with_distinct_keys(lead: object, repeated: Mapping[str, None]) -> object:
    if not repeated:
        return lead
    shown = {name: value for name, value in lead.items() if name not in repeated} if isinstance(lead, dict) else {}
    return BadRowCellsError(shown, "repeated_key", key=next(iter(repeated))[:MAX_SHOWN_CHARACTERS])


class _Text:
    """The text of the body, a bounded part of it in memory, and the position of the reader."""

    def __init__(self, source: Source) -> None:
        self._pieces = texts(source, json.detect_encoding(beginning(source)), "surrogatepass")
        self._text = ""
        self._at = 0
        decoder = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=self._object)
        self._scan: Scan = decoder.scan_once  # type: ignore[attr-defined]
        # The keys that the last value has twice.
        self.repeated: dict[str, None] = {}

    def peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            self._at = _end_of_blank(self._text, self._at)
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, character: str) -> None:
        """Skip `character`, which must come next."""
        if self.peek() != character:
            raise _malformed()
        self._at += 1

    def separate(self, end: str) -> None:
        """Skip the comma between two values; after the last one `end` must come."""
        if self.peek() == end:
            return
        self.take(",")
        if self.peek() == end:
            raise _malformed()

    def value(self, row: int | None = None) -> Any:  # noqa: ANN401 - any JSON
        """Read the next value; `row` is its number if it is a lead.

        Raises:
            ApiError: 400 when it is not valid, 422 when it is too long.
        """
        self.peek()
        while True:
            self.repeated.clear()
            try:
                value, end = self._scan(self._text, self._at)
            except (StopIteration, ValueError, RecursionError) as error:
                if len(self._text) - self._at <= MAX_VALUE_CHARACTERS and self._more():
                    continue
                raise (_too_long(row) if self._is_cut(error) else _malformed()) from None
            if self._may_go_on(end) and end - self._at <= MAX_VALUE_CHARACTERS and self._more():
                continue
            if end - self._at > MAX_VALUE_CHARACTERS:
                raise _too_long(row)
            self._at = end
            return value

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            # In time that grows with their number: a lead may have thousands.
            counts = Counter(name for name, _ in pairs)
            self.repeated.update(dict.fromkeys(name for name, count in counts.items() if count > 1))
        return members

    def is_value(self) -> bool:
        """Whether the next character begins a value."""
        return self.peek() in {*'["tfn-', *"0123456789"}

    def _may_go_on(self, end: int) -> bool:
        """Whether a number that ends here may continue beyond the text in memory: in `1e` the number is 1 until more arrives."""
        return end > len(self._text) - CUT_CHARACTERS and not self._text[end:].strip(IN_NUMBERS)

    def _is_cut(self, error: Exception) -> bool:
        if len(self._text) - self._at <= MAX_VALUE_CHARACTERS:
            return False
        if isinstance(error, json.JSONDecodeError):
            return error.msg.startswith("Unterminated string") or error.pos > len(self._text) - CUT_CHARACTERS
        return isinstance(error, StopIteration) and error.value > len(self._text) - CUT_CHARACTERS

    def _more(self) -> bool:
        try:
            piece = next(self._pieces, None)
        except UnicodeDecodeError:
            raise _malformed() from None
        if piece is None:
            return False
        self._text, self._at = self._text[self._at :] + piece, 0
        return True


def _end_of_blank(text: str, at: int) -> int:
    match = BLANK.match(text, at)
    return match.end() if match else at


def _no_constant(name: str) -> NoReturn:
    """NaN and Infinity are not JSON (RFC 8259, section 6), although Python's parser accepts them."""
    raise ValueError(name)


def _malformed() -> ApiError:
    return ApiError(400, "malformed_json", Text(msgid("The body is not valid JSON.")))


def _no_object() -> ApiError:
    return ApiError(400, "malformed_json", Text(msgid("The body must be a JSON object.")))


def _too_long(row: int | None) -> ApiError:
    if row is None:
        return errors.wrong_field(name="body", why=Text(msgid("is too large")))
    detail = {"row": row, "lead_id": None, "phone": None, "reason": "row_too_long", "message": Text(REASONS["row_too_long"])}
    return ApiError(422, "row_too_long", Text(msgid("Row {row} is too long."), {"row": row}), details=[detail])
