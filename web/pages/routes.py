"""Which address shows which page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from web.pages import assets, errors, frame, runs, session
from web.pages.job import job_page
from web.pages.new_run import new_run_page
from web.pages.run import run_actions, run_page
from web.server import i18n, keys

if TYPE_CHECKING:
    from aiohttp import web as http


def setup(app: http.Application) -> None:
    """Register the pages, their static files and the error page.

    Raises:
        OSError: when a template, a static file or a catalog cannot be read.
    """
    i18n.load()
    app[assets.ASSETS] = assets.read()
    frame.setup(app)
    app[keys.ERROR_PAGE] = errors.error_page
    router = app.router
    router.add_get("/static/{name:.+}", assets.serve)
    router.add_get("/login", session.sign_in_page)
    router.add_post("/login", session.sign_in)
    router.add_post("/logout", session.sign_out)
    router.add_post("/language", session.choose_language)
    router.add_get("/", runs.page)
    router.add_get("/runs", runs.page)
    router.add_get("/runs/fragment", runs.fragment)
    router.add_get("/runs/new", new_run_page.new_form)
    router.add_post("/runs/new", new_run_page.create)
    router.add_get("/runs/{run_id}", run_page.page)
    router.add_get("/runs/{run_id}/fragment", run_page.state_fragment)
    router.add_get("/runs/{run_id}/leads", run_page.leads_fragment)
    router.add_get("/runs/{run_id}/{action:cancel|stop}", run_actions.confirmation)
    router.add_post("/runs/{run_id}/{action:start|pause|resume|cancel|stop}", run_actions.perform)
    router.add_get("/runs/{run_id}/jobs/{job_id}", job_page.page)
    router.add_get("/runs/{run_id}/jobs/{job_id}/fragment", job_page.fragment)
    router.add_post("/runs/{run_id}/jobs/{job_id}/cancel", job_page.cancel)
