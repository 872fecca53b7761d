"""The audit log in words: what was done, and what to know about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from web.pages.formatting import phone
from web.pages.labels import ROLE_LABELS
from web.server.errors import Text, counted
from web.server.i18n import msgid, msgids

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sql.audit.audit import AuditEntry

ACTIONS: Final[Mapping[str, str]] = {
    "run.create": msgid("Created a campaign"),
    "run.start": msgid("Started a campaign"),
    "run.pause": msgid("Paused a campaign"),
    "run.resume": msgid("Resumed a campaign"),
    "run.cancel": msgid("Ended a campaign"),
    "run.stop": msgid("Ended a campaign at once"),
    "run.change": msgid("Changed a campaign"),
    "run.add": msgid("Added people to a campaign"),
    "run.again": msgid("Created a campaign to call people again"),
    "job.cancel": msgid("Took one person off a campaign"),
    "job.resolve": msgid("Decided how a call ended"),
    "jobs.cancel": msgid("Took people off a campaign"),
    "jobs.again": msgid("Called people of a campaign again"),
    "jobs.do_not_call": msgid("Put people of a campaign on the do-not-call list"),
    "test_call": msgid("Made a test call"),
    "do_not_call.add": msgid("Added to the do-not-call list"),
    "do_not_call.remove": msgid("Removed from the do-not-call list"),
    "do_not_call.replace_register": msgid("Replaced an official register"),
    "business.create": msgid("Created the business"),
    "business.change": msgid("Changed settings of the business"),
    "business.stop": msgid("Stopped all calls"),
    "business.resume": msgid("Resumed all calls"),
    "business.erase": msgid("Erased a business"),
    "person.erase": msgid("Erased everything about one person"),
    "restored": msgid("Restored the database from a copy"),
    "user.create": msgid("Added a user"),
    "user.change": msgid("Changed a user"),
    "user.delete": msgid("Deleted a user"),
    "user.reset": msgid("Made a link to set a password"),
    "user.password": msgid("Set a password"),
    "session.begin": msgid("Signed in"),
    "session.end": msgid("Signed out"),
    "token.create": msgid("Added a token"),
    "token.revoke": msgid("Revoked a token"),
    "webhook.add": msgid("Added a webhook"),
    "webhook.delete": msgid("Deleted a webhook"),
    "webhook.redeliver": msgid("Sent a webhook's message again"),
}

SETTINGS: Final[Mapping[str, str]] = {
    "name": msgid("name"),
    "region": msgid("country"),
    "timezone": msgid("time zone"),
    "caller_ids": msgid("caller ids"),
    "max_calls": msgid("lines"),
    "calling_hours": msgid("calling hours"),
    "retries": msgid("retries"),
    "min_gap_hours": msgid("hours between calls"),
    "max_per_day": msgid("calls a day"),
    "allowed_countries": msgid("countries"),
    "required_registers": msgid("required registers"),
    "retention_days": msgid("days that data is kept"),
    "script": msgid("script"),
    "inbound_script": msgid("script for people who call back"),
    "provider_account": msgid("provider account"),
}
LEADS: Final = msgids("{n} person", "{n} people")
NUMBERS: Final = msgids("{n} number", "{n} numbers")
MORE: Final = msgid("and {n} more")
DISABLED: Final = msgid("disabled")
ENABLED: Final = msgid("enabled")
HANG_UP: Final = msgid("calls on the line were hung up")
SHOWN_NUMBERS: Final = 3


def details_of(entry: AuditEntry) -> list[Text | str]:
    """What there is to know about an entry besides the action, in words."""
    return list(_details(entry))


def _details(entry: AuditEntry) -> Iterator[Text | str]:
    detail = entry.detail
    if entry.action == "business.change":
        yield from (Text(label) for name, label in SETTINGS.items() if name in detail)
        return
    names = ("name", "register", "reason") if entry.actor == f"user:{detail.get('user_id')}" else ("email", "name", "register", "reason")
    yield from (str(detail[name]) for name in names if detail.get(name))
    if detail.get("role") in ROLE_LABELS:
        yield Text(ROLE_LABELS[detail["role"]])
    if "disabled" in detail:
        yield Text(DISABLED if detail["disabled"] else ENABLED)
    if detail.get("hang_up"):
        yield Text(HANG_UP)
    if "leads" in detail:
        yield counted(LEADS, detail["leads"], n=detail["leads"])
    yield from _numbers(detail)


def _numbers(detail: Mapping[str, Any]) -> Iterator[Text | str]:
    number = next((detail[name] for name in ("added", "numbers") if name in detail), None)
    if number is not None:
        yield counted(NUMBERS, number, n=number)
    phones = detail.get("phones", [])
    yield from (phone(text) for text in phones[:SHOWN_NUMBERS])
    if len(phones) > SHOWN_NUMBERS:
        yield Text(MORE, {"n": len(phones) - SHOWN_NUMBERS})
