"""Who is asking, for which business, and what that one may do there.

A program shows a token, a browser a session; either belongs to one business, and no request can name another.

On the road of a call: 1, before the button is pressed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from aiohttp import web as http

from dialer.model import Role
from dialer.sealing import BrokenSealError
from web import keys
from web.addresses import local_path
from web.faults import ApiError, Text
from web.i18n import msgid
from web.tenancy import belongs_to, share_of

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from sql.businesses import User

COOKIE: Final = "session"
SESSION_SECONDS: Final = 12 * 3600
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
            request[_PRINCIPAL] = who = await _find(request)
            if who is not None:
                belongs_to(who.business_id)
        return await handler(request)


def signed_in(request: http.Request) -> Principal | None:
    """Who asks, or None."""
    return request.get(_PRINCIPAL)


def principal(request: http.Request, needed: Role = Role.VIEWER) -> Principal:
    """Who asks, being at least `needed`.

    Raises:
        ApiError: 401 when nobody is signed in, 403 when the role does not allow it.
    """
    who = signed_in(request)
    if who is None:
        raise _unknown()
    if not who.role.allows(needed):
        raise ApiError(403, "forbidden", Text(msgid("Your role does not allow this: it takes at least {role}."), {"role": needed}))
    return who


async def check_password(request: http.Request, email: str, password: str) -> User | None:
    """The user with this address and password; None when there is none.

    Raises:
        ApiError: 429, after too many failures.
    """
    metrics = request.app[keys.METRICS].sign_ins
    try:
        user = await request.app[keys.PASSWORDS].check(request.remote or "", email, password)
    except ApiError:
        metrics.labels("limited").inc()
        raise
    metrics.labels("signed_in" if user else "wrong").inc()
    return user


def sign_in(request: http.Request, response: http.StreamResponse, user: User) -> None:
    """Give the browser a session of twelve hours; a new password or role ends or changes it at once."""
    content = {"user_id": user.user_id, "business_id": user.business_id, "key": _key(user)}
    response.set_cookie(
        COOKIE,
        request.app[keys.SESSION_SEAL].close(json.dumps(content).encode()).decode(),
        max_age=SESSION_SECONDS,
        httponly=True,
        secure=_secure(request),
        samesite="Lax",
        path="/",
    )


def sign_out(request: http.Request, response: http.StreamResponse) -> None:
    """Take the session away from the browser."""
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
    content = _open_session(request)
    if content is None:
        return None
    user = await request.app[keys.BUSINESSES].user(content["business_id"], content["user_id"])
    if user is None or not hmac.compare_digest(content["key"], _key(user)):
        return None
    return Principal(user.business_id, user.role, f"user:{user.user_id}", user.user_id, user.email)


def _open_session(request: http.Request) -> dict[str, Any] | None:
    cookie = request.cookies[COOKIE]
    if len(cookie) > MAX_COOKIE_CHARACTERS:
        return None
    try:
        opened = request.app[keys.SESSION_SEAL].open(cookie.encode(errors="replace"), max_age_seconds=SESSION_SECONDS)
    except BrokenSealError:
        return None
    content: dict[str, Any] = json.loads(opened)
    return content


def _key(user: User) -> str:
    """Changes with the password, and says nothing of it."""
    return hashlib.sha256(user.password_hash.encode()).hexdigest()[:16]


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
