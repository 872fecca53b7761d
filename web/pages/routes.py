"""Which address shows which page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialer.sealing import Seal
from web.pages import assets, errors, frame, notices, runs, session
from web.pages.access import access_routes
from web.pages.dialling import stop_page
from web.pages.do_not_call import import_page, list_page
from web.pages.installation import health_page, rejected_page
from web.pages.job import job_actions, job_page
from web.pages.lists import list_pages
from web.pages.new_run import new_run_page
from web.pages.overview import overview_page
from web.pages.run import bulk_actions, call_back, chart, run_actions, run_edit, run_page
from web.pages.settings import business_pages, script_page
from web.pages.webhooks import delivery_page, webhook_pages
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
    app[notices.SEAL] = Seal(app[keys.SETTINGS].secret_key.get_secret_value(), "notice")
    frame.setup(app)
    app[keys.ERROR_PAGE] = errors.error_page
    router = app.router
    router.add_get("/static/{name:.+}", assets.serve)
    router.add_get("/login", session.sign_in_page)
    router.add_post("/login", session.sign_in)
    router.add_post("/logout", session.sign_out)
    router.add_post("/language", session.choose_language)
    access_routes.setup(router)
    router.add_get("/", overview_page.page)
    router.add_get("/overview/fragment", overview_page.fragment)
    router.add_get("/runs", runs.page)
    router.add_get("/runs/fragment", runs.fragment)
    _of_draft(router)
    _of_run(router)
    _of_webhooks(router)
    router.add_get("/health", health_page.page)
    router.add_get("/health/fragment", health_page.fragment)
    router.add_get("/rejected", rejected_page.page)
    router.add_get("/settings/rejected", rejected_page.page)
    router.add_get("/dialling", stop_page.page)
    router.add_post("/dialling/{verb:stop|resume}", stop_page.change)
    router.add_get("/do-not-call", list_page.page)
    router.add_post("/do-not-call", list_page.add)
    router.add_post("/do-not-call/remove", list_page.remove)
    router.add_get("/do-not-call/import", import_page.form)
    router.add_post("/do-not-call/import", import_page.perform)
    router.add_get("/do-not-call/import/{import_id}/refused.csv", import_page.download)
    router.add_get("/settings", business_pages.first)
    router.add_get("/settings/{page:script|inbound-script}", script_page.page)
    router.add_post("/settings/{page:script|inbound-script}", script_page.change)
    router.add_get("/settings/{page:business|hours|rules|account}", business_pages.show)
    router.add_post("/settings/{page:business|hours|rules|account}", business_pages.change)
    router.add_post("/settings/account/check", business_pages.check_account)
    router.add_get("/runs/{run_id}/jobs/{job_id}", job_page.page)
    router.add_get("/runs/{run_id}/jobs/{job_id}/fragment", job_page.fragment)
    router.add_get("/runs/{run_id}/jobs/{job_id}/end", job_actions.form)
    router.add_post("/runs/{run_id}/jobs/{job_id}/end", job_actions.end)
    router.add_post("/runs/{run_id}/jobs/{job_id}/price", job_actions.ask_price)


def _of_draft(router: http.UrlDispatcher) -> None:
    router.add_get("/runs/new", new_run_page.new_form)
    router.add_post("/runs/new", new_run_page.upload_list)
    router.add_get("/runs/new/template.csv", new_run_page.template)
    router.add_get("/runs/new/{draft_id}", new_run_page.page)
    router.add_post("/runs/new/{draft_id}/people", new_run_page.upload_list)
    router.add_post("/runs/new/{draft_id}/columns", new_run_page.keep_columns)
    router.add_post("/runs/new/{draft_id}/check", new_run_page.keep_check)
    router.add_post("/runs/new/{draft_id}/calling", new_run_page.keep_calling)
    router.add_post("/runs/new/{draft_id}/discard", new_run_page.discard)


def _of_webhooks(router: http.UrlDispatcher) -> None:
    router.add_get("/settings/webhooks", webhook_pages.list_page)
    router.add_post("/settings/webhooks", webhook_pages.create)
    router.add_get("/settings/webhooks/{webhook_id}", delivery_page.page)
    router.add_get("/settings/webhooks/{webhook_id}/delete", webhook_pages.deletion)
    router.add_post("/settings/webhooks/{webhook_id}/delete", webhook_pages.delete)
    router.add_post("/settings/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", delivery_page.send_again)


def _of_run(router: http.UrlDispatcher) -> None:
    router.add_get("/runs/{run_id}", run_page.page)
    router.add_get("/runs/{run_id}/fragment", run_page.state_fragment)
    router.add_get("/runs/{run_id}/results", run_page.results_fragment)
    router.add_get("/runs/{run_id}/closer", chart.closer)
    router.add_get("/runs/{run_id}/feed", run_page.feed_fragment)
    router.add_get("/runs/{run_id}/load-report", list_pages.report)
    router.add_get("/runs/{run_id}/leads", run_page.leads_fragment)
    router.add_post("/runs/{run_id}/leads/{verb:again|do-not-call|cancel}", bulk_actions.perform)
    router.add_post("/runs/{run_id}/leads/export", bulk_actions.export)
    router.add_get("/runs/{run_id}/operations/{operation_id}", bulk_actions.progress)
    router.add_get("/runs/{run_id}/operations/{operation_id}/fragment", bulk_actions.progress)
    router.add_get("/runs/{run_id}/end", run_actions.end_form)
    router.add_post("/runs/{run_id}/end", run_actions.end)
    router.add_post("/runs/{run_id}/call-back", call_back.call_back)
    router.add_get("/runs/{run_id}/edit", run_edit.form)
    router.add_post("/runs/{run_id}/edit", run_edit.change)
    router.add_post("/runs/{run_id}/{action:start|pause|resume}", run_actions.perform)
