"""Keys and signatures of webhooks, by the Standard Webhooks specification (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any, Literal, get_args

from standardwebhooks import Webhook

from dialer.sealing import Seal

if TYPE_CHECKING:
    from datetime import datetime

    from dialer.messages import Event

# The specification asks for 24 to 64 bytes.
KEY_BYTES = 32
PREFIX = "whsec_"
# The events that are published at least once: a best-effort one is never in the outbox.
EventType = Literal[
    "command.accepted",
    "command.rejected",
    "run.started",
    "run.paused",
    "run.resumed",
    "run.finished",
    "run.drained",
    "job.changed",
    "call.excess",
]
EVENT_TYPES: tuple[str, ...] = get_args(EventType)


class WebhookKeys:
    """Makes the keys of signatures, and seals and opens them with SECRET_KEY."""

    def __init__(self, secret_key: str) -> None:
        """`secret_key` is the setting SECRET_KEY."""
        self._seal = Seal(secret_key, "webhook")

    def new(self) -> str:
        """A sealed key."""
        return self._seal.close((PREFIX + base64.b64encode(os.urandom(KEY_BYTES)).decode()).encode()).decode()

    def open(self, sealed: str) -> str:
        """A key as its receiver enters it, `whsec_...`.

        Raises:
            BrokenSealError: when no key of SECRET_KEY opens it.
        """
        return self._seal.open(sealed.encode()).decode()

    def renew(self, sealed: str) -> str:
        """The same key, sealed with the first key of SECRET_KEY.

        Raises:
            BrokenSealError: when no key of SECRET_KEY opens it.
        """
        return self._seal.renew(sealed.encode()).decode()


def body_fields(event: Event) -> dict[str, Any]:
    """The fields of a delivery: those of the event as in dialer:events, and `timestamp`, as the specification calls its time."""
    at = event.at.isoformat()
    known = {"run_id": event.run_id, "job_id": event.job_id, "command_id": event.command_id}
    identity = {"id": event.id, "type": event.type, "timestamp": at, "at": at, "business_id": event.business_id}
    return {**identity, **{name: value for name, value in known.items() if value is not None}, "data": event.data}


def body_of(event: Event) -> str:
    """The body of a delivery, JSON."""
    return json.dumps(body_fields(event), ensure_ascii=False)


def signed_headers(key: str, event_id: str, body: str, now: datetime) -> dict[str, str]:
    """The headers that prove where a body comes from and when it was sent; `now` in UTC."""
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(key).sign(event_id, now, body),
    }
