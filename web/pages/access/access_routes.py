"""Which address shows which page of access."""

from __future__ import annotations

from typing import TYPE_CHECKING

from web.pages.access import audit_page, reset_page, session_pages, token_pages, user_pages

if TYPE_CHECKING:
    from aiohttp import web as http


def setup(router: http.UrlDispatcher) -> None:
    """Register the pages."""
    router.add_get("/reset/{secret}", reset_page.page)
    router.add_post("/reset/{secret}", reset_page.use)
    router.add_get("/settings/users", user_pages.list_page)
    router.add_post("/settings/users", user_pages.create)
    router.add_get("/settings/users/{user_id}", user_pages.page)
    router.add_post("/settings/users/{user_id}/role", user_pages.change)
    router.add_post("/settings/users/{user_id}/access", user_pages.disable)
    router.add_post("/settings/users/{user_id}/reset", user_pages.reset)
    router.add_get("/settings/users/{user_id}/delete", user_pages.deletion)
    router.add_post("/settings/users/{user_id}/delete", user_pages.delete)
    router.add_get("/settings/tokens", token_pages.list_page)
    router.add_post("/settings/tokens", token_pages.create)
    router.add_get("/settings/tokens/{token_id}/revoke", token_pages.revocation)
    router.add_post("/settings/tokens/{token_id}/revoke", token_pages.revoke)
    router.add_get("/settings/sessions", session_pages.all_sessions)
    router.add_post("/settings/sessions/{session_id}/end", session_pages.end)
    router.add_get("/settings/me", session_pages.account)
    router.add_post("/settings/me/password", session_pages.change_password)
    router.add_get("/settings/audit", audit_page.page)
