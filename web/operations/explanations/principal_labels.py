"""Names whoever asked for something, for people: a token by its name, a user by the e-mail address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from web.server import keys
from web.server.errors import Text
from web.server.i18n import msgid
from web.server.inputs import optional_id

if TYPE_CHECKING:
    from collections.abc import Collection

    from aiohttp import web as http

TOKEN: Final = msgid("API token {id}")
COMMAND_LINE: Final = msgid("The command line")
AT_COMMAND_LINE: Final = msgid("{name} at the command line")
SCHEDULE: Final = msgid("The schedule")


async def name_of(request: http.Request, business_id: int, requested_by: str) -> Text | str:
    """The e-mail address of a user or the name of a token; anybody else as the audit log has it.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    return (await names_of(request, business_id, [requested_by]))[requested_by]


async def names_of(request: http.Request, business_id: int, actors: Collection[str]) -> dict[str, Text | str]:
    """The same for many, by what the audit log calls them: two queries, however many they are.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    users, tokens = _numbers("user", actors), _numbers("token", actors)
    emails = await request.app[keys.USERS].emails(business_id, list(users.values())) if users else {}
    names = await request.app[keys.TOKENS].names(business_id, list(tokens.values())) if tokens else {}
    known: dict[str, Text | str] = {actor: label_of(actor) for actor in actors}
    known |= {actor: emails[number] for actor, number in users.items() if number in emails}
    return known | {actor: names[number] for actor, number in tokens.items() if names.get(number)}


def _numbers(kind: str, actors: Collection[str]) -> dict[str, int]:
    """The ids of those `actors` that are of this kind."""
    found = {actor: optional_id(actor.removeprefix(f"{kind}:")) for actor in actors if actor.startswith(f"{kind}:")}
    return {actor: number for actor, number in found.items() if number is not None}


def label_of(actor: str) -> Text | str:
    """What can be said of an actor without asking the database: a token by its number, a person at the command line by the name."""
    if actor == "schedule":
        return Text(SCHEDULE)
    kind, _, name = actor.partition(":")
    if kind == "token" and (number := optional_id(name)) is not None:
        return Text(TOKEN, {"id": number})
    if kind != "cli":
        return actor
    return Text(AT_COMMAND_LINE, {"name": name}) if name else Text(COMMAND_LINE)
