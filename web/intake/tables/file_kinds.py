"""Recognizes files that are no lists of people, such as a PDF or a picture, so that whoever chose one reads what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Collection

    from web.intake.encoding import Source

PICTURE: Final = msgid("This is a picture.")
WORD: Final = msgid("This is a Word document.")
WEB_PAGE: Final = msgid("This is a web page, whatever its name says.")
PACKED: Final = msgid("This is a packed archive.")
ACCEPTED: Final = msgid("Lists can be Excel workbooks (.xlsx), CSV and TSV files.")
# How such a file begins; four bytes at most.
SIGNATURES: Final = {
    b"%PDF": msgid("This is a PDF file."),
    b"\x89PNG": PICTURE,
    b"\xff\xd8\xff": PICTURE,
    b"GIF8": PICTURE,
    b"{\\rt": WORD,
    b"<!do": WEB_PAGE,
    b"<htm": WEB_PAGE,
    b"\x1f\x8b": PACKED,
    b"Rar!": PACKED,
    b"7z\xbc\xaf": PACKED,
}
# What a packed file of a kind has in its table of contents.
CONTENTS: Final = {
    b"word/document.xml": WORD,
    b"ppt/presentation.xml": msgid("This is a PowerPoint presentation."),
    b"Index/Document.iwa": msgid("This is a file of Numbers, Pages or Keynote."),
    b"vnd.oasis.opendocument.text": WORD,
}
# The old files of Word and Excel look the same from outside; this is the name of the part that only Word has.
OLD_WORD: Final = {"WordDocument".encode("utf-16-le"): WORD}


def refuse_other_kinds(mark: bytes) -> None:
    """Refuse a file that begins with `mark`, if that is how a file of another kind begins.

    Raises:
        ApiError: 422, naming the kind.
    """
    for signature, sentence in SIGNATURES.items():
        if mark.lower().startswith(signature.lower()):
            raise _refused(sentence)


def refuse_other_archives(source: Source, kinds: Collection[tuple[bytes, str]] = tuple(CONTENTS.items())) -> None:
    """Refuse a packed file, which is no workbook, by what it holds; one that holds nothing known is not refused.

    Raises:
        ApiError: 422, naming the kind.
    """
    longest = max(len(name) for name, _ in kinds)
    last = b""
    for piece in source():
        # A name may begin in the piece before.
        joined = last + piece
        for name, sentence in kinds:
            if name in joined:
                raise _refused(sentence)
        last = joined[-longest:]


def _refused(sentence: str) -> ApiError:
    text = Text(sentence, then=(Text(ACCEPTED),))
    return ApiError(422, "unreadable_file", text, details=[{"field": "file", "message": text}])
