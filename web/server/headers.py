"""The security headers of every response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from web.server import keys

if TYPE_CHECKING:
    from aiohttp import web as http

POLICY: Final = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
ALWAYS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# One year, as preload lists ask for at least.
STRICT_TRANSPORT: Final = "max-age=31536000"
# Browsers may cache only these files: everything else shows data of one business.
CACHEABLE: Final = "/static/"


async def protect(request: http.Request, response: http.StreamResponse) -> None:
    """Add the headers that the response does not set itself."""
    for name, value in ALWAYS.items():
        response.headers.setdefault(name, value)
    if not request.path.startswith(CACHEABLE):
        response.headers.setdefault("Cache-Control", "no-store")
    if request.app[keys.SETTINGS].public_url.startswith("https:"):
        response.headers.setdefault("Strict-Transport-Security", STRICT_TRANSPORT)
