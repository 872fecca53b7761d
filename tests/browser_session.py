"""A browser without scripts: it keeps cookies and posts forms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.web_site import Response

if TYPE_CHECKING:
    from tests.web_site import Site

EMAIL = "dana@example.com"
PASSWORD = "correct horse"
SAME = {"Sec-Fetch-Site": "same-origin"}


class BrowserSession:
    """Sends requests like a browser; `language` is its Accept-Language."""

    def __init__(self, site: Site, language: str = "en") -> None:
        self.site = site
        self.language = language
        self.cookies: dict[str, str] = {}

    async def get(self, path: str, **headers: str) -> Response:
        return await self._request("GET", path, headers)

    async def post(self, path: str, form: object = None, **headers: str) -> Response:
        return await self._request("POST", path, {**SAME, **headers}, data=form or {})

    async def sign_in(self, email: str = EMAIL, password: str = PASSWORD, there: str = "") -> Response:
        return await self.post("/login", {"email": email, "password": password, "next": there})

    async def _request(self, method: str, path: str, headers: dict[str, str], **more: Any) -> Response:  # noqa: ANN401 - whatever aiohttp's client takes
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {"Accept-Language": self.language, **({"Cookie": cookie} if cookie else {}), **headers}
        async with self.site.client.request(method, path, headers=sent, allow_redirects=False, **more) as answer:
            response = Response(answer.status, await answer.read(), answer.headers)
            for name, morsel in answer.cookies.items():
                self.cookies[name] = morsel.value
                if not morsel.value:
                    del self.cookies[name]
        return response


def text_of(response: Response) -> str:
    """The text of a page without tags, runs of white space collapsed."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.body.decode()))
