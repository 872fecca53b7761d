"""Reads a form of multipart/form-data (RFC 7578) that has been received: its fields as text, its files as places in the body.

On the road of a call: 1, when the leads come with a form.
"""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from web.intake.received import ReceivedBody

MAX_PARTS: Final = 20
MAX_HEADER_BYTES: Final = 8 * 1024
# A longer field is kept as a place, as a file is; what it should have been says its length.
MAX_FIELD_BYTES: Final = 4_000
BOUNDARY: Final = re.compile(r"""multipart/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))\s*(?:;.*)?""", re.IGNORECASE)
HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.DOTALL)
PARAMETER: Final = re.compile(r""";\s*(name|filename|filename\*)=("(?:[^"\\]|\\.)*"|[^;\s"]+)\s*(?=;|$)""", re.IGNORECASE)
# As browsers write these in a name (HTML, multipart form data).
ESCAPES: Final = {"%22": '"', "%0D": "\r", "%0A": "\n"}
PLAIN_ENCODINGS: Final = frozenset({b"7bit", b"8bit", b"binary"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the body a part stands, and the name of its file, empty when it is a field."""

    start: int
    end: int
    file_name: str = ""


@dataclass(slots=True)
class Form:
    """Small fields as `texts`, the others and the files as `places`."""

    texts: dict[str, str] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)


def read_form(body: ReceivedBody, content_type: str) -> Form:
    """The form in a body; `content_type` is the header, with the boundary.

    Raises:
        ApiError: 400, when it is none.
    """
    form = Form()
    try:
        for name, place, is_file in _parts(body, _boundary(content_type)):
            if name in form.texts or name in form.places:
                raise _malformed()
            if is_file or place.end - place.start > MAX_FIELD_BYTES:
                form.places[name] = place
            else:
                form.texts[name] = body.read(place.start, place.end).decode()
    except UnicodeDecodeError:
        raise _malformed() from None
    return form


def _boundary(content_type: str) -> bytes:
    found = BOUNDARY.fullmatch(content_type.strip())
    if found is None:
        raise _malformed()
    return b"--" + (found[1] or found[2]).encode("utf-8", "surrogateescape")


def _parts(body: ReceivedBody, boundary: bytes) -> Iterator[tuple[str, Place, bool]]:
    if not body.size:
        raise _malformed()
    with mmap.mmap(body.fileno(), body.size, access=mmap.ACCESS_READ) as found:
        at = 0 if found[: len(boundary)] == boundary else _find(found, b"\r\n" + boundary, 0) + 2
        for _ in range(MAX_PARTS + 1):
            at += len(boundary)
            if found[at : at + 2] == b"--":
                return
            headers = _find(found, b"\r\n", at, MAX_HEADER_BYTES)
            if found[at:headers].strip(b" \t"):
                raise _malformed()
            # Without headers the blank line comes at once.
            blank = _find(found, b"\r\n\r\n", headers, MAX_HEADER_BYTES)
            end = _find(found, b"\r\n" + boundary, blank + 2)
            name, file_name = _disposition(found[headers + 2 : blank])
            yield name, Place(min(blank + 4, end), end, file_name or ""), file_name is not None
            at = end + 2
    raise _malformed()


def _find(found: mmap.mmap, sought: bytes, start: int, within: int | None = None) -> int:
    at = found.find(sought, start) if within is None else found.find(sought, start, start + within)
    if at < 0:
        raise _malformed()
    return at


def _disposition(headers: bytes) -> tuple[str, str | None]:
    """The name of the part, and that of its file, None for a field."""
    found: dict[bytes, bytes] = {}
    for line in headers.split(b"\r\n"):
        header = HEADER.fullmatch(line)
        if header is None:
            raise _malformed()
        found[header[1].lower()] = header[2]
    encoding = found.get(b"content-transfer-encoding", b"binary").lower()
    disposition = found.get(b"content-disposition", b"").decode("utf-8", "replace")
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
    return ApiError(400, "malformed_form", Text(msgid("The form cannot be read.")))
