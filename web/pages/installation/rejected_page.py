"""The commands of the stream that were rejected: of the business among its settings, of all for whoever operates them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialer.streams.client import RedisUnavailableError
from web.access.auth import require_any
from web.operations.installation.rejected_commands import MOST, REASON_LABELS, rejected_commands
from web.pages import frame

if TYPE_CHECKING:
    from aiohttp import web as http


async def page(request: http.Request) -> http.Response:
    """The newest of them, the newest first; without Redis, which keeps them, the page says so."""
    of_all = require_any(request).of_installation
    try:
        found, is_away = await rejected_commands(request), False
    except RedisUnavailableError:
        found, is_away = [], True
    template = "installation/all_rejected.html" if of_all else "installation/rejected.html"
    return await frame.render(request, template, commands=found, is_away=is_away, reasons=REASON_LABELS, most=MOST, of_all=of_all)
