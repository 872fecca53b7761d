"""The headers that keep a browser from doing what we never ask for.

On the road of a call: around every answer.
"""

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
# What may be kept by a browser: everything else shows one business's data.
CACHEABLE: Final = "/static/"


async def protect(request: http.Request, response: http.StreamResponse) -> None:
    """Add what the answer does not say itself."""
    for name, value in ALWAYS.items():
        response.headers.setdefault(name, value)
    if not request.path.startswith(CACHEABLE):
        response.headers.setdefault("Cache-Control", "no-store")
    if request.app[keys.SETTINGS].public_url.startswith("https:"):
        response.headers.setdefault("Strict-Transport-Security", STRICT_TRANSPORT)
