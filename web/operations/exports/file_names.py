"""The name under which a browser saves a file: that of the campaign, as RFC 6266 and RFC 8187 spell it."""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import quote

MAX_CHARACTERS: Final = 80
# What Windows or a shell has another use for, and what cannot be seen.
NOT_IN_NAMES: Final = re.compile(r'[\\/:*?"<>|%;\x00-\x1f\x7f]+')
INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def file_name(name: str | None, otherwise: str) -> str:
    """A name for a file without its ending; `otherwise` where nothing of `name` can be used."""
    visible = "".join(letter for letter in name or "" if unicodedata.category(letter) not in INVISIBLE)
    text = " ".join(NOT_IN_NAMES.sub(" ", visible).split())[:MAX_CHARACTERS]
    return text.strip(" .") or otherwise


def attachment(name: str) -> str:
    """The header Content-Disposition for a file to be saved under `name`; one in plain letters for old programs too."""
    plain = "".join(letter if letter.isascii() else "_" for letter in name)
    header = f'attachment; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"
