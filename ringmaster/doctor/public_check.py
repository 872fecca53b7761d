"""Checks PUBLIC_URL, as far as that can be told from inside: the provider may still be kept out by a firewall."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import aiohttp

from dialer.addresses import is_twilio
from ringmaster.doctor.finding import Finding, Status

if TYPE_CHECKING:
    from dialer.config import Settings

ANSWER_SECONDS: Final = 5.0
MAX_BYTES: Final = 1_000
HTTP_OK: Final = 200
REMEDY: Final = "start the web process, and let PUBLIC_URL and every proxy in front of it lead there"


async def check_public(settings: Settings) -> Finding:
    """Whether the web process answers at PUBLIC_URL; that the address is public is checked with the settings."""
    name, url = "public_url", settings.public_url
    if url.startswith("http:") and is_twilio(settings.twilio_api_url):
        remedy = "let PUBLIC_URL begin with https://: callbacks name the people who are called"
        return Finding(name, Status.WARN, "the provider calls back over http://, which everybody on the way can read", remedy)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as session,
            session.get(f"{url}/healthz", allow_redirects=False) as response,
        ):
            status, body = response.status, await response.content.read(MAX_BYTES)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        detail = f"{url}/healthz does not answer from here: {str(error) or type(error).__name__}"
        return Finding(name, Status.WARN, detail, f"{REMEDY}; if only this machine cannot reach it, ask from another one")
    if status != HTTP_OK or not _is_ours(body):
        return Finding(name, Status.FAIL, f"{url}/healthz answers {status}, not as our web process does", REMEDY)
    return Finding(name, Status.OK, f"the web process answers at {url}")


def _is_ours(body: bytes) -> bool:
    try:
        return bool(json.loads(body) == {"status": "ok"})
    except ValueError:
        return False
