"""What all pages share: the reader, the language, the header, and the filters that format figures and times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp_jinja2
import jinja2
from jinja2 import pass_context

from dialer.model import Role
from web.access import auth
from web.pages import assets, formatting, labels
from web.server import i18n, keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web as http
    from jinja2.runtime import Context

    from web.access.auth import Principal
    from web.server.i18n import Language

TEMPLATES: Final = assets.STATIC.parent / "templates"
MAX_PATH_CHARACTERS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Reader:
    """The person the page is made for; `actor` is the name in the audit log, `name` the e-mail address, or `actor` for a program."""

    business_id: int
    business_name: str
    zone: str
    actor: str
    name: str
    role: Role

    @property
    def role_label(self) -> str:
        """The msgid of the role."""
        return labels.ROLE_LABELS[self.role]

    @property
    def may_operate(self) -> bool:
        """True when this reader may load, start and cancel runs."""
        return self.role.allows(Role.OPERATOR)


def setup(app: http.Application) -> None:
    """Prepare the templates; an undefined name in a template is an error, not an empty string."""
    environment = aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(TEMPLATES),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.install_gettext_callables(_gettext, _ngettext, newstyle=True)  # type: ignore[attr-defined] # added by the extension
    environment.filters.update(figure=_figure, moment=_moment, clock=_clock, exact=_exact, phone=formatting.phone)
    environment.globals.update(
        static=lambda name: assets.address(app[assets.ASSETS], name),
        percent=formatting.percent,
        parts=formatting.parts,
        done=formatting.done,
        elapsed=lambda since: formatting.elapsed(app[keys.CLOCK].now() - since),
        name_of=_name_of,
        progress_text=_progress_text,
        run_label=labels.run_label,
        label_of=labels.label_of,
        run_labels=labels.RUN_LABELS,
        count_labels=labels.COUNT_LABELS,
        job_labels=labels.JOB_LABELS,
        outcome_labels=labels.OUTCOME_LABELS,
        state_labels=labels.STATE_LABELS,
        verdict_labels=labels.VERDICT_LABELS,
        button_labels=labels.BUTTON_LABELS,
        counts=labels.COUNTS,
    )


async def reader(request: http.Request, principal: Principal) -> Reader:
    """The reader a principal is, with the name and time zone of the business."""
    business = await request.app[keys.BUSINESSES].get(principal.business_id)
    name, zone = (business.name, business.timezone) if business else ("", "UTC")
    return Reader(principal.business_id, name, zone, principal.actor, principal.email or principal.actor, principal.role)


async def render(request: http.Request, template: str, *, status: int = 200, **values: object) -> http.Response:
    """A page or a fragment for the signed-in reader, if there is one."""
    principal = auth.principal_of(request)
    return render_for(request, template, await reader(request, principal) if principal else None, status=status, **values)


def render_for(request: http.Request, template: str, known: Reader | None, *, status: int = 200, **values: object) -> http.Response:
    """A page or a fragment for a reader already known, or for none."""
    language = i18n.language(request)
    context: Mapping[str, Any] = {
        "request": request,
        "reader": known,
        "language": language,
        "direction": i18n.direction(language),
        "back": safe_path(str(request.rel_url) if request.method == "GET" else request.path),
        **values,
    }
    response = aiohttp_jinja2.render_template(template, request, context, status=status)
    response.headers["Content-Language"] = language
    if known is not None:
        # With this a page notices that a fragment was made for another user, who has signed in since it was opened.
        response.headers["X-Reader"] = known.actor
    response.headers["Vary"] = "Cookie, Accept-Language"
    return response


def safe_path(text: str) -> str:
    """`text` if it is a path on this site, safe to redirect to, else the path of the list of runs."""
    # Browsers read `//host` and `/\host` as another site, and drop tabs and line ends before parsing.
    local = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() and len(text) <= MAX_PATH_CHARACTERS
    return text if local else "/"


def _language(context: Context) -> Language:
    language: Language = context["language"]
    return language


def _zone(context: Context) -> str:
    return context["reader"].zone if context["reader"] else "UTC"


@pass_context
def _gettext(context: Context, text: str) -> str:
    return i18n.singular(_language(context), text)


@pass_context
def _ngettext(context: Context, one: str, many: str, count: int) -> str:
    return i18n.plural(_language(context), one, many, count)


@pass_context
def _figure(context: Context, number: int) -> str:
    return formatting.figure(_language(context), number)


@pass_context
def _moment(context: Context, at: Any) -> object:  # noqa: ANN401 - a datetime or nothing
    return formatting.moment(_language(context), _zone(context), at)


@pass_context
def _clock(context: Context, at: Any) -> object:  # noqa: ANN401 - a datetime or nothing
    return formatting.clock(_language(context), _zone(context), at)


@pass_context
def _exact(context: Context, at: Any) -> object:  # noqa: ANN401 - a datetime or nothing
    return formatting.exact(_language(context), _zone(context), at)


@pass_context
def _name_of(context: Context, run: Any) -> str:  # noqa: ANN401 - sql.runs.runs.Run
    return run.name or i18n.translate(_language(context), i18n.msgid("Campaign {id}"), id=run.run_id)


@pass_context
def _progress_text(context: Context, run: Any) -> str:  # noqa: ANN401 - sql.runs.runs.Run
    """The bar as text: every count that is not zero."""
    language = _language(context)
    counts = [
        f"{i18n.translate(language, labels.COUNT_LABELS[key])}: {formatting.figure(language, getattr(run, key))}"
        for key in labels.COUNTS
        if getattr(run, key)
    ]
    return ", ".join(counts) or i18n.translate(language, i18n.msgid("No leads"))
