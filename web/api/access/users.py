"""The users of a business over HTTP, and everybody's own password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from aiohttp import web as http
from pydantic import Field

from dialer.messages import SERIAL_MAX
from dialer.model import Role
from web.access.auth import require_person, require_principal
from web.api.pagination import DEFAULT_PAGE, MAX_PAGE, page_response
from web.api.replies import canonical_json
from web.api.serializers import moment
from web.operations.access.own_password import PasswordChange, change_own_password
from web.operations.access.users import (
    NewUserInput,
    UserChange,
    change_user,
    create_user,
    delete_user,
    list_users,
    make_link,
    start_of_previous_users,
)
from web.server.inputs import Input, body_of, id_of, query_of

if TYPE_CHECKING:
    from sql.users.users import ListedUser
    from web.operations.access.users import UserAnswer

routes = http.RouteTableDef()


class PageQuery(Input):
    """A page of a list that is ordered by id; `cursor` is that of a page beside it."""

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: Annotated[int, Field(ge=0, le=SERIAL_MAX)] = 0


class Nothing(Input):
    """An empty object."""


@routes.get("/api/users")
async def index(request: http.Request) -> http.Response:
    """List the users of the business."""
    principal = require_principal(request, Role.ADMIN)
    query = query_of(request, PageQuery)
    users, more = await list_users(request, principal, after=query.cursor, limit=query.limit)
    previous = await start_of_previous_users(request, principal, after=query.cursor, limit=query.limit)
    return page_response([_user_json(user) for user in users], following=users[-1].user_id if more else None, previous=previous)


@routes.post("/api/users")
async def create(request: http.Request) -> http.Response:
    """Add a user, with a password or with a link to set one."""
    require_principal(request, Role.ADMIN)
    answer = await create_user(request, await body_of(request, NewUserInput))
    return canonical_json(_answer_json(answer), status=201)


@routes.post("/api/users/me/password")
async def change_password(request: http.Request) -> http.Response:
    """Change the password of the signed-in person; the other sessions end."""
    require_person(request)
    response = http.Response(status=204)
    await change_own_password(request, response, await body_of(request, PasswordChange))
    return response


@routes.patch("/api/users/{user_id}")
async def change(request: http.Request) -> http.Response:
    """Change the role of a user, or disable or enable one."""
    require_principal(request, Role.ADMIN)
    wanted = await body_of(request, UserChange)
    return canonical_json(_user_json(await change_user(request, id_of(request, "user_id"), wanted)))


@routes.delete("/api/users/{user_id}")
async def delete(request: http.Request) -> http.Response:
    """Delete a user."""
    require_principal(request, Role.ADMIN)
    await delete_user(request, id_of(request, "user_id"))
    return http.Response(status=204)


@routes.post("/api/users/{user_id}/reset")
async def reset(request: http.Request) -> http.Response:
    """Make a link with which the user sets a password once."""
    require_principal(request, Role.ADMIN)
    await body_of(request, Nothing)
    return canonical_json(_answer_json(await make_link(request, id_of(request, "user_id"))))


def _user_json(user: ListedUser) -> dict[str, Any]:
    return {
        "user_id": user.user_id,
        "email": user.email,
        "role": user.role,
        "disabled": user.disabled,
        "has_password": user.has_password,
        "created_at": moment(user.created_at),
        "last_seen_at": moment(user.last_seen_at),
        "link_expires_at": moment(user.link_expires_at),
    }


def _answer_json(answer: UserAnswer) -> dict[str, Any]:
    return {**_user_json(answer.user), **({"link": answer.link} if answer.link else {})}
