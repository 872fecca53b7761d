"""Commands of the stream that were rejected, with their reasons: of a business, or of all for whoever operates them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from dialer.model import Role
from web.access.auth import require_any, require_principal
from web.server import keys
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web as http

MOST: Final = 100
# Those of one business are looked for among the newest of all.
MAX_READ: Final = 5_000
MAX_SHOWN_CHARACTERS: Final = 200
# The codes of dialer.apply_command_v1 and of receiving; any other text is the reason itself.
REASON_LABELS: Final[Mapping[str, str]] = {
    "not_found": msgid("There is no such campaign or lead in this business"),
    "invalid_state": msgid("The campaign's state does not allow it"),
    "id_reused": msgid("Its id was used before for another command"),
    "in_progress": msgid("The lead is on the line"),
    "already_ended": msgid("The campaign has ended"),
}


@dataclass(frozen=True, slots=True)
class RejectedCommand:
    """A command as it was sent, when it was rejected, and why."""

    at: datetime
    business_id: str
    type: str
    id: str
    run_id: str
    requested_by: str
    reason: str


async def rejected_commands(request: http.Request) -> list[RejectedCommand]:
    """The newest rejected commands of the reader's business, or of all businesses for a user of the installation.

    Raises:
        ApiError: 401 or 403.
        RedisUnavailableError: when Redis, which keeps them, does not answer.
    """
    principal = require_any(request)
    business_id = None if principal.of_installation else str(require_principal(request, Role.OPERATOR).business_id)
    entries = await request.app[keys.STREAMS].newest_rejections(MOST if business_id is None else MAX_READ)
    found = [_read(entry, fields) for entry, fields in entries if business_id is None or fields.get("business_id") == business_id]
    return found[:MOST]


def _read(entry: str, fields: Mapping[str, str]) -> RejectedCommand:
    at = datetime.fromtimestamp(int(entry.partition("-")[0]) / 1000, UTC)
    shown = {
        name: fields.get(name, "")[:MAX_SHOWN_CHARACTERS] for name in ("business_id", "type", "id", "run_id", "requested_by", "reason")
    }
    return RejectedCommand(at, **shown)
