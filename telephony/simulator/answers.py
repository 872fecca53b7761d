"""A call and a page of calls as Twilio's API describes them.

On the road of a call: the 201 that names it, and what the reconciler reads later.
"""

from __future__ import annotations

from email.utils import format_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from telephony.simulator.ledger import Call

VERSION: Final = "2010-04-01"
PARTS: Final = {
    "notifications": "Notifications",
    "recordings": "Recordings",
    "payments": "Payments",
    "events": "Events",
    "siprec": "Siprec",
    "streams": "Streams",
    "transcriptions": "Transcriptions",
    "user_defined_message_subscriptions": "UserDefinedMessageSubscriptions",
    "user_defined_messages": "UserDefinedMessages",
}


def call_body(call: Call) -> dict[str, object]:
    """Describe a call as it stands."""
    path = f"/{VERSION}/Accounts/{call.account}/Calls/{call.sid}"
    created = format_datetime(call.created_at)
    return {
        "sid": call.sid,
        "date_created": created,
        "date_updated": _rfc2822(call.ended_at or call.answered_at) or created,
        "parent_call_sid": None,
        "account_sid": call.account,
        "to": call.to,
        "to_formatted": call.to,
        "from": call.from_,
        "from_formatted": call.from_,
        "phone_number_sid": None,
        "status": call.status,
        "start_time": _rfc2822(call.started_at),
        "end_time": _rfc2822(call.ended_at),
        "duration": None if call.ended_at is None else str(call.duration_seconds or 0),
        "price": None,
        "price_unit": "USD",
        "direction": "outbound-api",
        "answered_by": call.answered_by,
        "api_version": VERSION,
        "forwarded_from": None,
        "group_sid": None,
        "caller_name": None,
        "queue_time": "0",
        "trunk_sid": None,
        "uri": f"{path}.json",
        "subresource_uris": {name: f"{path}/{part}.json" for name, part in PARTS.items()},
    }


def page_body(path: str, filters: Sequence[tuple[str, str]], calls: Sequence[Call], page: int, size: int, more: bool) -> dict[str, object]:  # noqa: FBT001 - one caller
    """Describe a page of calls; `more` when another follows."""
    here = [*filters, ("PageSize", str(size))]
    start = page * size
    return {
        "calls": [call_body(call) for call in calls],
        "page": page,
        "page_size": size,
        "start": start,
        "end": start + max(0, len(calls) - 1),
        "uri": _uri(path, [*here, ("Page", str(page))]),
        "first_page_uri": _uri(path, [*here, ("Page", "0")]),
        "previous_page_uri": _uri(path, [*here, ("Page", str(page - 1))]) if page else None,
        "next_page_uri": _uri(path, [*here, ("Page", str(page + 1)), ("PageToken", f"PA{calls[-1].sid}")]) if more and calls else None,
    }


def _uri(path: str, query: Sequence[tuple[str, str]]) -> str:
    return f"{path}?{urlencode(query)}"


def _rfc2822(at: datetime | None) -> str | None:
    return format_datetime(at) if at else None
