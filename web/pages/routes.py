"""Which address shows which page.

On the road of a call: before 1 (the button that starts a run is here) and after 7 (where its calls are seen).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from web.pages import assets, errors, frame, job, new_run, run, runs, session
from web.server import i18n, keys

if TYPE_CHECKING:
    from aiohttp import web as http


def setup(app: http.Application) -> None:
    """Register the pages, their static files and the drawing of errors.

    Raises:
        OSError: when a template, a static file or a catalog cannot be read.
    """
    i18n.load()
    app[assets.ASSETS] = assets.read()
    frame.setup(app)
    app[keys.ERROR_PAGE] = errors.draw
    router = app.router
    router.add_get("/static/{name:.+}", assets.serve)
    router.add_get("/login", session.ask)
    router.add_post("/login", session.enter)
    router.add_post("/logout", session.leave)
    router.add_post("/language", session.speak)
    router.add_get("/", runs.show)
    router.add_get("/runs", runs.show)
    router.add_get("/runs/fragment", runs.fragment)
    router.add_get("/runs/new", new_run.ask)
    router.add_post("/runs/new", new_run.take)
    router.add_get("/runs/{run_id}", run.show)
    router.add_get("/runs/{run_id}/fragment", run.fragment)
    router.add_get("/runs/{run_id}/leads", run.leads)
    router.add_get("/runs/{run_id}/{action:cancel|stop}", run.ask)
    router.add_post("/runs/{run_id}/{action:start|pause|resume|cancel|stop}", run.act)
    router.add_get("/runs/{run_id}/jobs/{job_id}", job.show)
    router.add_get("/runs/{run_id}/jobs/{job_id}/fragment", job.fragment)
    router.add_post("/runs/{run_id}/jobs/{job_id}/cancel", job.cancel)
