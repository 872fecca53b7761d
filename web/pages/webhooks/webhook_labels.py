"""What people read for the types of events, for what became of a delivery, and for why a try failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENT_LABELS: Final[Mapping[str, str]] = {
    "run.started": msgid("A campaign has started"),
    "run.paused": msgid("A campaign was paused"),
    "run.resumed": msgid("A campaign has resumed"),
    "run.finished": msgid("A campaign has ended"),
    "run.drained": msgid("The last call of an ended campaign is over"),
    "job.changed": msgid("A lead has its final result"),
    "call.excess": msgid("A surplus call is being hung up"),
    "command.accepted": msgid("A command was accepted"),
    "command.rejected": msgid("A command was rejected"),
}
# What a form suggests: answers to commands are for programs that send some.
SUGGESTED: Final = tuple(name for name in EVENT_LABELS if not name.startswith("command."))

STATUS_LABELS: Final[Mapping[str, str]] = {
    "pending": msgid("Waiting"),
    "delivered": msgid("Delivered"),
    "failed": msgid("Given up"),
}
# The tone and the icon of a status: templates/icons.html. One that has failed is shown as a warning: the fault is the receiver's.
STATUS_KEYS: Final[Mapping[str, str]] = {"pending": "pending", "delivered": "completed"}

ERROR_LABELS: Final[Mapping[str, str]] = {
    "private": msgid("Not sent: its name leads into a private network"),
    "not_https": msgid("Not sent: the address is not https"),
    "not_an_address": msgid("Not sent: this is no address"),
    "unknown_host": msgid("The name of the host is not known"),
    "certificate": msgid("Its certificate is not valid"),
    "tls": msgid("No secure connection could be made"),
    "time_out": msgid("No answer within 15 seconds"),
    "refused": msgid("No connection: nobody accepts one there"),
    "broken_response": msgid("The answer could not be read"),
    "disconnected": msgid("The connection broke off"),
    "key": msgid("Its key cannot be opened: ask whoever operates this installation"),
    "held_back": msgid("The event before it failed for 24 hours"),
    "too_many": msgid("Too many were waiting"),
    "disabled": msgid("The webhook was disabled"),
}
