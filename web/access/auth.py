"""Authenticates each request, and authorizes it for one business and a role.

A program sends a token, a browser a session cookie; either belongs to one business, and no request can act for another.
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
from sql.audit.audit import CURRENT_ADDRESS
from sql.stored_text import storable
from sql.users.users import INSTALLATION
from web.access.passwords import KnownSession, fingerprint
from web.server import keys
from web.server.addresses import client_address, local_path
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
from web.server.tenancy import belongs_to, share_of

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from sql.users.users import User

COOKIE: Final = "session"
SESSION_SECONDS: Final = 12 * 3600
KNOWN_SECONDS: Final = 30 * 24 * 3600
MAX_USER_AGENT_CHARACTERS: Final = 200
MAX_TOKEN_CHARACTERS: Final = 200
MAX_COOKIE_CHARACTERS: Final = 2_000
SCHEME: Final = "bearer"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# Paths without authentication; the provider's requests are signed instead.
OPEN: Final = ("/callbacks/", "/twiml/", "/static/", "/healthz", "/readyz", "/metrics")
# The code of the answer to a user of the installation who asks for something of a business.
OF_NO_BUSINESS: Final = "of_no_business"
TOO_LOW: Final = msgid("Your role does not allow this: it requires at least {role}.")
ROLES: Final = {Role.VIEWER: msgid("viewer"), Role.OPERATOR: msgid("operator"), Role.ADMIN: msgid("admin")}


@dataclass(frozen=True, slots=True)
class Principal:
    """The user or program behind a request; `actor` is its name in the audit log, `user:7` or `token:3`.

    `user_id`, `email` and `session_id` are None for a program. A user of the installation has business 0, which has no rows.
    """

    business_id: int
    role: Role
    actor: str
    user_id: int | None = None
    email: str | None = None
    session_id: int | None = None

    @property
    def of_installation(self) -> bool:
        """True for a user of no business, who operates all of them."""
        return self.business_id == INSTALLATION


_PRINCIPAL: Final[http.RequestKey[Principal | None]] = http.RequestKey("principal")


@http.middleware
async def identify(request: http.Request, handler: Handler) -> http.StreamResponse:
    """Authenticate the request, and reject one that another site has made a browser send."""
    CURRENT_ADDRESS.set(client_address(request))
    with share_of(request):
        if not local_path(request).startswith(OPEN):
            if request.method not in SAFE and "Authorization" not in request.headers:
                _reject_other_sites(request)
            request[_PRINCIPAL] = principal = await _find(request)
            if principal is not None:
                belongs_to(principal.business_id)
        return await handler(request)


def principal_of(request: http.Request) -> Principal | None:
    """The principal of the request, or None without a valid session."""
    return request.get(_PRINCIPAL)


def require_principal(request: http.Request, needed: Role = Role.VIEWER) -> Principal:
    """The principal of the request, who belongs to a business, with at least the role `needed`.

    Raises:
        ApiError: 401 without a valid session or token, 403 when the role is not sufficient, or for a user of no business.
    """
    principal = require_any(request)
    if principal.of_installation:
        raise ApiError(403, OF_NO_BUSINESS, Text(msgid("You operate the installation, and belong to no business.")))
    if not principal.role.allows(needed):
        raise ApiError(403, "forbidden", Text(TOO_LOW, {"role": Text(ROLES[needed])}))
    return principal


def require_any(request: http.Request) -> Principal:
    """The principal of the request, of a business or of none, with any role.

    Raises:
        ApiError: 401 without a valid session or token.
    """
    principal = principal_of(request)
    if principal is None:
        raise _unauthorized()
    return principal


def require_installation(request: http.Request) -> Principal:
    """The principal of the request, a user of the installation.

    Raises:
        ApiError: 401 without a valid session or token, 403 for everyone who belongs to a business.
    """
    principal = require_any(request)
    if not principal.of_installation:
        raise ApiError(403, "forbidden", Text(msgid("This is for people who operate the whole installation.")))
    return principal


def require_person(request: http.Request) -> Principal:
    """The principal of the request, a person who has signed in, whatever the business and the role.

    Raises:
        ApiError: 401 without a valid session or token, 403 for a program.
    """
    principal = require_any(request)
    if principal.user_id is None:
        raise ApiError(403, "forbidden", Text(msgid("Only a person who has signed in can do this, not a program with a token.")))
    return principal


async def check_password(request: http.Request, email: str, password: str) -> User | None:
    """The user with this address and password, after a delay if there were wrong ones before; None when they do not match.

    Raises:
        ApiError: 429, when this try was dropped from a full queue; 403, when the user is disabled.
    """
    metrics = request.app[keys.METRICS].sign_ins
    try:
        user = await request.app[keys.PASSWORDS].check(client_address(request), email, password, _open_session(request, KNOWN_SECONDS))
    except ApiError:
        metrics.labels("limited").inc()
        raise
    metrics.labels("signed_in" if user else "wrong").inc()
    if user is not None and user.disabled:
        raise ApiError(403, "disabled", Text(msgid("This user is disabled. Ask an administrator of your business.")))
    return user


async def sign_in(request: http.Request, response: http.StreamResponse, user: User) -> None:
    """Start a session of twelve hours and set its cookie; a new password ends it at once, a new role applies at once."""
    before = _open_session(request, SESSION_SECONDS)
    if before is not None:
        # One browser, one session: the cookie of the other would be valid for hours, and nobody would know.
        await _end(request, before)
    user_agent = request.headers.get("User-Agent", "")[:MAX_USER_AGENT_CHARACTERS]
    session_id = await request.app[keys.SESSIONS].begin(
        user, seconds=SESSION_SECONDS, address=client_address(request), user_agent=user_agent if storable(user_agent) else ""
    )
    set_cookie(request, response, user, session_id)


def set_cookie(request: http.Request, response: http.StreamResponse, user: User, session_id: int) -> None:
    """Set the cookie of a session, which is void once the password of `user` is another one."""
    content = {"session_id": session_id, "user_id": user.user_id, "business_id": user.business_id, "fingerprint": fingerprint(user)}
    response.set_cookie(
        COOKIE,
        request.app[keys.SESSION_SEAL].close(json.dumps(content).encode()).decode(),
        # Longer than the session: a browser that returns is recognized, and tries from elsewhere do not slow it down.
        max_age=KNOWN_SECONDS,
        httponly=True,
        secure=_secure(request),
        samesite="Lax",
        path="/",
    )


async def sign_out(request: http.Request, response: http.StreamResponse) -> None:
    """End the session, for every copy of its cookie, and delete the cookie."""
    session = _open_session(request, SESSION_SECONDS)
    if session is not None:
        await _end(request, session)
    response.del_cookie(COOKIE, path="/", httponly=True, secure=_secure(request), samesite="Lax")


async def _end(request: http.Request, session: KnownSession) -> None:
    await request.app[keys.SESSIONS].end(session.business_id, session.session_id, f"user:{session.user_id}", user_id=session.user_id)


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
        raise _unauthorized()
    # The secret has 256 random bits and cannot be guessed, so a plain digest is enough.
    digest = hashlib.sha256(secret.encode(errors="replace")).digest()
    known = request.app[keys.KNOWN_TOKENS]
    last_business = known.business_of(digest)
    if last_business is not None:
        belongs_to(last_business)
    token = await request.app[keys.TOKENS].find(digest)
    if token is None:
        raise _unauthorized()
    known.remember(digest, token.business_id)
    if token.is_stale:
        request.app[keys.TOKEN_USES].note(token.business_id, token.token_id)
    return Principal(token.business_id, token.role, f"token:{token.token_id}")


async def _by_session(request: http.Request) -> Principal | None:
    session = _open_session(request, SESSION_SECONDS)
    if session is None:
        return None
    belongs_to(session.business_id)
    user = await request.app[keys.SESSIONS].user_of(session.business_id, session.session_id, session.user_id)
    if user is None or not session.is_of(user):
        return None
    return Principal(user.business_id, user.role, f"user:{user.user_id}", user.user_id, user.email, session.session_id)


def _open_session(request: http.Request, max_age_seconds: int) -> KnownSession | None:
    """The session in the cookie, if it was issued at most `max_age_seconds` ago; whether it is still valid is in PostgreSQL."""
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


def _reject_other_sites(request: http.Request) -> None:
    """Browsers report the origin of a request in Sec-Fetch-Site, older ones in Origin.

    A request with a session cookie and neither header is rejected. `none` is an address typed or bookmarked. Without a cookie another
    site can borrow no session; the sign-in itself, which has none yet, is covered by the headers.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        own = site in {"same-origin", "none"}
    elif origin is not None:
        own = _host(origin) in {request.host, _host(request.app[keys.SETTINGS].public_url)}
    else:
        own = COOKIE not in request.cookies
    if not own:
        raise ApiError(403, "cross_site", Text(msgid("This request came from another site.")))


def _host(address: str) -> str:
    return urlsplit(address).netloc


def _unauthorized() -> ApiError:
    text = Text(msgid("Sign in, or send a valid token."))
    return ApiError(401, "unauthorized", text, headers={"WWW-Authenticate": 'Bearer realm="ringmaster"'})
