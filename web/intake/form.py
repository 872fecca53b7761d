"""Reads a received form of multipart/form-data (RFC 7578): its fields as text, its files as spans of the body."""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from web.intake.encoding import pieces
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from web.intake.encoding import Source
    from web.intake.received import ReceivedBody

MAX_PARTS: Final = 20
MAX_HEADER_BYTES: Final = 8 * 1024
# A longer field is kept as a span of the body, like a file.
MAX_FIELD_BYTES: Final = 4_000
# 4,096 letters of any script, as JSON too, which may write one in 12 bytes.
LONG_FIELDS: Final = {"script": 64 * 1024, "machine_message": 64 * 1024, "mapping": 64 * 1024}
BOUNDARY: Final = re.compile(r"""multipart/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))\s*(?:;.*)?""", re.IGNORECASE)
HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.DOTALL)
PARAMETER: Final = re.compile(r""";\s*(name|filename|filename\*)=("(?:[^"\\]|\\.)*"|[^;\s"]+)\s*(?=;|$)""", re.IGNORECASE)
# As browsers write these in a name (HTML, multipart form data).
ESCAPES: Final = {"%22": '"', "%0D": "\r", "%0A": "\n"}
PLAIN_ENCODINGS: Final = frozenset({b"7bit", b"8bit", b"binary"})


@dataclass(frozen=True, slots=True)
class Span:
    """Where in the body a part is, and the name of its file, empty for a field."""

    start: int
    end: int
    file_name: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A file or a field to be read piece by piece: its `size` in bytes, and the name of the file, empty for a field."""

    source: Source
    size: int
    file_name: str = ""

    @classmethod
    def of_text(cls, text: str) -> Part:
        """A field that is in memory."""
        body = text.encode(errors="replace")
        return cls(pieces(body), len(body))


@dataclass(slots=True)
class Form:
    """Small fields as `texts`, larger ones and files as `spans` of `body`."""

    body: ReceivedBody
    texts: dict[str, str] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)

    def part(self, name: str) -> Part | None:
        """The file or field of this name; None when there is none."""
        if name in self.texts:
            return Part.of_text(self.texts[name])
        span = self.spans.get(name)
        return Part(self.body.source(span.start, span.end), span.end - span.start, span.file_name) if span else None


def read_form(body: ReceivedBody, content_type: str) -> Form:
    """The form in a body; `content_type` is the header, with the boundary.

    Raises:
        ApiError: 400, when it is not a form.
    """
    form = Form(body)
    try:
        for name, span, is_file in _spans(body, _boundary(content_type)):
            if name in form.texts or name in form.spans:
                raise _malformed()
            if is_file or span.end - span.start > LONG_FIELDS.get(name, MAX_FIELD_BYTES):
                form.spans[name] = span
            else:
                form.texts[name] = body.read(span.start, span.end).decode()
    except UnicodeDecodeError:
        raise _malformed() from None
    return form


def _boundary(content_type: str) -> bytes:
    match = BOUNDARY.fullmatch(content_type.strip())
    if match is None:
        raise _malformed()
    return b"--" + (match[1] or match[2]).encode("utf-8", "surrogateescape")


def _spans(body: ReceivedBody, boundary: bytes) -> Iterator[tuple[str, Span, bool]]:
    if not body.size:
        raise _malformed()
    with mmap.mmap(body.fileno(), body.size, access=mmap.ACCESS_READ) as data:
        at = 0 if data[: len(boundary)] == boundary else _find(data, b"\r\n" + boundary, 0) + 2
        for _ in range(MAX_PARTS + 1):
            at += len(boundary)
            if data[at : at + 2] == b"--":
                return
            headers = _find(data, b"\r\n", at, MAX_HEADER_BYTES)
            if data[at:headers].strip(b" \t"):
                raise _malformed()
            # A part without headers begins with the blank line.
            blank = _find(data, b"\r\n\r\n", headers, MAX_HEADER_BYTES)
            end = _find(data, b"\r\n" + boundary, blank + 2)
            name, file_name = _disposition(data[headers + 2 : blank])
            yield name, Span(min(blank + 4, end), end, file_name or ""), file_name is not None
            at = end + 2
    raise _malformed()


def _find(data: mmap.mmap, marker: bytes, start: int, within: int | None = None) -> int:
    at = data.find(marker, start) if within is None else data.find(marker, start, start + within)
    if at < 0:
        raise _malformed()
    return at


def _disposition(headers: bytes) -> tuple[str, str | None]:
    """The name of the part, and that of its file, None for a field."""
    values: dict[bytes, bytes] = {}
    for line in headers.split(b"\r\n"):
        header = HEADER.fullmatch(line)
        if header is None:
            raise _malformed()
        values[header[1].lower()] = header[2]
    encoding = values.get(b"content-transfer-encoding", b"binary").lower()
    disposition = values.get(b"content-disposition", b"").decode("utf-8", "replace")
    kind, _, _ = disposition.partition(";")
    if encoding not in PLAIN_ENCODINGS or kind.strip().lower() != "form-data":
        raise _malformed()
    parameters = {name.lower(): _unquoted(value) for name, value in PARAMETER.findall(disposition)}
    if "name" not in parameters:
        raise _malformed()
    if "filename*" in parameters:
        return parameters["name"], unquote(parameters["filename*"].rpartition("'")[2])
    return parameters["name"], parameters.get("filename")


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    text = re.sub(r'\\(["\\])', r"\1", value[1:-1])
    for escape, letter in ESCAPES.items():
        text = text.replace(escape, letter)
    return text


def _malformed() -> ApiError:
    return ApiError(400, "malformed_form", Text(msgid("This form could not be read.")))
