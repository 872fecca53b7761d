"""Who is asking, for which business, and what that one may do there.

A program shows a token, a browser a session; either belongs to one business, and no request can name another.

On the road of a call: 1, before the button is pressed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aiohttp import web as http

from dialer.model import Role
from dialer.sealing import BrokenSealError
from web.access.passwords import KnownSession, fingerprint
from web.server import keys
from web.server.addresses import client_address, local_path
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
from web.server.inputs import storable
from web.server.tenancy import belongs_to, share_of

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from sql.businesses.businesses import User

COOKIE: Final = "session"
SESSION_SECONDS: Final = 12 * 3600
KNOWN_SECONDS: Final = 30 * 24 * 3600
MAX_USER_AGENT_CHARACTERS: Final = 200
MAX_TOKEN_CHARACTERS: Final = 200
MAX_COOKIE_CHARACTERS: Final = 2_000
SCHEME: Final = "bearer"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# Whoever asks here is nobody in particular; the provider's requests are signed instead.
OPEN: Final = ("/callbacks/", "/twiml/", "/static/", "/healthz", "/readyz", "/metrics")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: `actor` is the name for the audit log, `user:7` or `token:3`; `user_id` and `email` are None for a program."""

    business_id: int
    role: Role
    actor: str
    user_id: int | None = None
    email: str | None = None


_PRINCIPAL: Final[http.RequestKey[Principal | None]] = http.RequestKey("principal")


@http.middleware
async def identify(request: http.Request, handler: Handler) -> http.StreamResponse:
    """Find out who asks, and refuse what another site has made a browser send."""
    with share_of(request):
        if not local_path(request).startswith(OPEN):
            if request.method not in SAFE and "Authorization" not in request.headers:
                _refuse_other_sites(request)
            request[_PRINCIPAL] = principal = await _find(request)
            if principal is not None:
                belongs_to(principal.business_id)
        return await handler(request)


def principal_of(request: http.Request) -> Principal | None:
    """Who asks, or None."""
    return request.get(_PRINCIPAL)


def require_principal(request: http.Request, needed: Role = Role.VIEWER) -> Principal:
    """Who asks, being at least `needed`.

    Raises:
        ApiError: 401 when nobody is signed in, 403 when the role does not allow it.
    """
    principal = principal_of(request)
    if principal is None:
        raise _unknown()
    if not principal.role.allows(needed):
        raise ApiError(403, "forbidden", Text(msgid("Your role does not allow this: it takes at least {role}."), {"role": needed}))
    return principal


async def check_password(request: http.Request, email: str, password: str) -> User | None:
    """The user with this address and password, after a delay when there were wrong ones before; None when there is none.

    Raises:
        ApiError: 429, when it had to wait and too many came after it.
    """
    metrics = request.app[keys.METRICS].sign_ins
    try:
        user = await request.app[keys.PASSWORDS].check(client_address(request), email, password, _open_session(request, KNOWN_SECONDS))
    except ApiError:
        metrics.labels("limited").inc()
        raise
    metrics.labels("signed_in" if user else "wrong").inc()
    return user


async def sign_in(request: http.Request, response: http.StreamResponse, user: User) -> None:
    """Begin a session of twelve hours, and give it to the browser; a new password or role ends or changes it at once."""
    user_agent = request.headers.get("User-Agent", "")[:MAX_USER_AGENT_CHARACTERS]
    session_id = await request.app[keys.SESSIONS].begin(
        user, seconds=SESSION_SECONDS, address=client_address(request), user_agent=user_agent if storable(user_agent) else ""
    )
    content = {"session_id": session_id, "user_id": user.user_id, "business_id": user.business_id, "fingerprint": fingerprint(user)}
    response.set_cookie(
        COOKIE,
        request.app[keys.SESSION_SEAL].close(json.dumps(content).encode()).decode(),
        # Longer than the session: a browser that comes back is known, and is not slowed down by strangers.
        max_age=KNOWN_SECONDS,
        httponly=True,
        secure=_secure(request),
        samesite="Lax",
        path="/",
    )


async def sign_out(request: http.Request, response: http.StreamResponse) -> None:
    """End the session, wherever its cookie may have been copied to, and take it away from the browser."""
    session = _open_session(request, SESSION_SECONDS)
    if session is not None:
        await request.app[keys.SESSIONS].end(session.business_id, session.session_id)
    response.del_cookie(COOKIE, path="/", httponly=True, secure=_secure(request), samesite="Lax")


async def _find(request: http.Request) -> Principal | None:
    if "Authorization" in request.headers:
        return await _by_token(request)
    if COOKIE in request.cookies:
        return await _by_session(request)
    return None


async def _by_token(request: http.Request) -> Principal:
    scheme, _, secret = request.headers["Authorization"].partition(" ")
    secret = secret.strip()
    if scheme.lower() != SCHEME or not 0 < len(secret) <= MAX_TOKEN_CHARACTERS:
        raise _unknown()
    # The secret has 256 random bits: nothing to guess, so a plain digest is enough.
    digest = hashlib.sha256(secret.encode(errors="replace")).digest()
    known = request.app[keys.KNOWN_TOKENS]
    hint = known.business_of(digest)
    if hint is not None:
        belongs_to(hint)
    found = await request.app[keys.BUSINESSES].token(digest)
    if found is None:
        raise _unknown()
    known.remember(digest, found.business_id)
    return Principal(found.business_id, found.role, f"token:{found.token_id}")


async def _by_session(request: http.Request) -> Principal | None:
    session = _open_session(request, SESSION_SECONDS)
    if session is None:
        return None
    belongs_to(session.business_id)
    user = await request.app[keys.SESSIONS].user_of(session.business_id, session.session_id, session.user_id)
    if user is None or not session.is_of(user):
        return None
    return Principal(user.business_id, user.role, f"user:{user.user_id}", user.user_id, user.email)


def _open_session(request: http.Request, max_age_seconds: int) -> KnownSession | None:
    """What the cookie says, if we gave it out at most so long ago; whether the session goes on is in PostgreSQL."""
    cookie = request.cookies.get(COOKIE, "")
    if not 0 < len(cookie) <= MAX_COOKIE_CHARACTERS:
        return None
    try:
        opened = request.app[keys.SESSION_SEAL].open(cookie.encode(errors="replace"), max_age_seconds=max_age_seconds)
        return KnownSession(**json.loads(opened))
    except (BrokenSealError, TypeError):
        # A TypeError: a cookie of an older version.
        return None


def _secure(request: http.Request) -> bool:
    return request.app[keys.SETTINGS].public_url.startswith("https:")


def _refuse_other_sites(request: http.Request) -> None:
    """A browser says where a request comes from: Sec-Fetch-Site, or Origin in older ones. Who has a cookie and says nothing is refused.

    `none` is what the person typed or a bookmark. Without a cookie there is nothing to borrow, except at the sign-in itself.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        ours = site in {"same-origin", "none"}
    elif origin is not None:
        ours = _host(origin) in {request.host, _host(request.app[keys.SETTINGS].public_url)}
    else:
        ours = COOKIE not in request.cookies
    if not ours:
        raise ApiError(403, "cross_site", Text(msgid("This request came from another site.")))


def _host(address: str) -> str:
    return urlsplit(address).netloc


def _unknown() -> ApiError:
    text = Text(msgid("Sign in first, or send a valid token."))
    return ApiError(401, "unauthorized", text, headers={"WWW-Authenticate": 'Bearer realm="ringmaster"'})
