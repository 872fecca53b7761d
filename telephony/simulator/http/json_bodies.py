"""A call and a page of calls as Twilio's API describes them."""

from __future__ import annotations

from email.utils import format_datetime
from math import ceil
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from telephony.simulator.call_log import Call
    from telephony.simulator.http.listings import ListQuery

MINUTE_PRICE: Final = 0.014
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


def _price(call: Call) -> str | None:
    """What Twilio takes from the balance: begun minutes of an answered call, as soon as it has ended (Twilio needs some minutes)."""
    if call.ended_at is None:
        return None
    return f"{-ceil((call.duration_seconds or 0) / 60) * MINUTE_PRICE:.5f}"


def call_body(call: Call, ahead: timedelta) -> dict[str, object]:
    """The body for a call as it stands; the provider's clock is `ahead` of ours."""
    path = f"/{VERSION}/Accounts/{call.account}/Calls/{call.sid}"
    created = format_datetime(call.created_at + ahead)
    return {
        "sid": call.sid,
        "date_created": created,
        "date_updated": rfc2822(call.ended_at or call.answered_at, ahead) or created,
        "parent_call_sid": None,
        "account_sid": call.account,
        "to": call.to,
        "to_formatted": call.to,
        "from": call.from_,
        "from_formatted": call.from_,
        "phone_number_sid": None,
        "status": call.status,
        "start_time": rfc2822(call.started_at, ahead),
        "end_time": rfc2822(call.ended_at, ahead),
        "duration": None if call.ended_at is None else str(call.duration_seconds or 0),
        "price": _price(call),
        "price_unit": "USD",
        "direction": call.direction,
        "answered_by": call.answered_by,
        "api_version": VERSION,
        "forwarded_from": None,
        "group_sid": None,
        "caller_name": None,
        "queue_time": str(call.queue_milliseconds),
        "trunk_sid": None,
        "uri": f"{path}.json",
        "subresource_uris": {name: f"{path}/{part}.json" for name, part in PARTS.items()},
    }


def page_body(path: str, query: ListQuery, calls: Sequence[Call], ahead: timedelta, *, more: bool) -> dict[str, object]:
    """The body for a page of calls; `more` when another follows, `ahead` as in `call_body`."""
    page, size = query.page, query.size
    here = [*query.filters, ("PageSize", str(size))]
    token = [("PageToken", f"PA{calls[-1].sid}")] if more and calls else None
    return {"calls": [call_body(call, ahead) for call in calls], **page_links(path, here, page, size, len(calls), token)}


def page_links(
    path: str, query: Sequence[tuple[str, str]], page: int, size: int, count: int, token: Sequence[tuple[str, str]] | None
) -> dict[str, object]:
    """The links of a page of `count` items; `query` is repeated in each, `token` is added to the next; None: there is none."""
    start = page * size
    return {
        "page": page,
        "page_size": size,
        "start": start,
        "end": start + max(0, count - 1),
        "uri": _uri(path, [*query, ("Page", str(page))]),
        "first_page_uri": _uri(path, [*query, ("Page", "0")]),
        "previous_page_uri": _uri(path, [*query, ("Page", str(page - 1))]) if page else None,
        "next_page_uri": None if token is None else _uri(path, [*query, ("Page", str(page + 1)), *token]),
    }


def _uri(path: str, query: Sequence[tuple[str, str]]) -> str:
    return f"{path}?{urlencode(query)}"


def rfc2822(at: datetime | None, ahead: timedelta) -> str | None:
    """A time as Twilio writes it; None when there is none."""
    return format_datetime(at + ahead) if at else None
