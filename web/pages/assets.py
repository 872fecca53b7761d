"""The static files: read and compressed once at startup, served by name, cached by browsers until their content changes."""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import web as http

if TYPE_CHECKING:
    from collections.abc import Mapping

STATIC: Final = Path(__file__).parent.parent / "static"
TEXTS: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}
TYPES: Final = {**TEXTS, ".woff2": "font/woff2"}
# The name of a file in it has its version.
VENDORED: Final = "vendor/"
VERSION_CHARACTERS: Final = 12
# RFC 8246: an address that names its content never changes.
FOREVER: Final = "public, max-age=31536000, immutable"
SHORTLY: Final = "public, max-age=60"
# Comments are a sixth of our own files and are not sent. In a script a comment with a line of its own; the ends of lines stay, so that the
# errors of a browser name the line of the file.
COMMENTS: Final = {".css": re.compile(rb"/\*.*?\*/", re.DOTALL), ".js": re.compile(rb"^[ \t]*//.*$", re.MULTILINE)}


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file; `version` is a digest of its content, and part of its address; `compressed` is None when that saves nothing."""

    body: bytes
    compressed: bytes | None
    content_type: str
    version: str


ASSETS: Final[http.AppKey[Mapping[str, Asset]]] = http.AppKey("assets")


def read() -> dict[str, Asset]:
    """Every static file by its path below the folder."""
    paths = sorted(path for path in STATIC.rglob("*") if path.suffix in TYPES)
    return {path.relative_to(STATIC).as_posix(): _asset(path) for path in paths}


def address(assets: Mapping[str, Asset], name: str) -> str:
    """The address of this file.

    Raises:
        KeyError: when there is no such file.
    """
    return f"/static/{name}?v={assets[name].version}"


async def serve(request: http.Request) -> http.Response:
    """One static file; 404 for any other name."""
    name = request.match_info["name"]
    asset = request.app[ASSETS].get(name)
    if asset is None:
        raise http.HTTPNotFound
    is_versioned = name.startswith(VENDORED) or request.query.get("v") == asset.version
    headers = {"Cache-Control": FOREVER if is_versioned else SHORTLY, "Vary": "Accept-Encoding"}
    body = asset.body
    if asset.compressed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
        body, headers["Content-Encoding"] = asset.compressed, "gzip"
    charset = "utf-8" if asset.content_type in TEXTS.values() else None
    return http.Response(body=body, content_type=asset.content_type, charset=charset, headers=headers)


def _asset(path: Path) -> Asset:
    body = path.read_bytes()
    if path.parent == STATIC and path.suffix in COMMENTS:
        body = COMMENTS[path.suffix].sub(lambda found: b"\n" * found[0].count(b"\n"), body)
    compressed = gzip.compress(body, mtime=0) if path.suffix in TEXTS else body
    return Asset(
        body, compressed if len(compressed) < len(body) else None, TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:VERSION_CHARACTERS]
    )
