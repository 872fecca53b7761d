"""What all pages share: the reader, the language, the header, and the filters that format figures and times."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import aiohttp_jinja2
import jinja2
from jinja2 import pass_context

from dialer.model import Role
from sql.users.users import INSTALLATION
from web.access import auth
from web.operations.explanations.outcome_labels import OUTCOME_LABELS
from web.operations.explanations.principal_labels import name_of
from web.pages import assets, formatting, labels, navigation, notices
from web.pages.run.call_back import times_of
from web.pages.run.results import sentence
from web.server import i18n, keys
from web.server.error_responses import translated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web as http
    from jinja2.runtime import Context

    from sql.businesses.businesses import Business
    from web.access.auth import Principal
    from web.pages.navigation import Section
    from web.server.i18n import Language

TEMPLATES: Final = assets.STATIC.parent / "templates"
MAX_PATH_CHARACTERS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Stop:
    """Since when no lead is called, who stopped it, and why; `of_installation`: for all businesses, by whoever operates them."""

    since: datetime
    by: str | None
    reason: str | None
    of_installation: bool


@dataclass(frozen=True, slots=True)
class Reader:
    """The person the page is made for; `actor` is the name in the audit log, `name` the e-mail address, or `actor` for a program."""

    business_id: int
    business_name: str
    zone: str
    region: str
    actor: str
    name: str
    role: Role
    stop: Stop | None = None

    @property
    def of_installation(self) -> bool:
        """True for a user of no business."""
        return self.business_id == INSTALLATION

    @property
    def role_label(self) -> str:
        """The msgid of the role."""
        return labels.ROLE_LABELS[self.role]

    @property
    def may_administer(self) -> bool:
        """True when this reader may change the business, its users and its tokens."""
        return self.role.allows(Role.ADMIN)

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
    environment.filters.update(figure=_figure, moment=_moment, clock=_clock, exact=_exact, phone=_phone)
    environment.filters.update(hour=_hour, day_and_hour=_day_and_hour, length_of_call=formatting.length_of_call, money=_money)
    environment.globals.update(
        static=lambda name: assets.address(app[assets.ASSETS], name),
        parts=formatting.parts,
        share_called=formatting.share_called,
        elapsed=lambda since: formatting.elapsed(app[keys.CLOCK].now() - since),
        name_of=_name_of,
        results_sentence=_results_sentence,
        span_until=_span_until,
        call_back_times=lambda zone: times_of(app[keys.CLOCK].now(), zone),
        progress_text=_progress_text,
        run_label=labels.run_label,
        label_of=labels.label_of,
        run_labels=labels.RUN_LABELS,
        bar_fills=labels.BAR_FILLS,
        weekday=_weekday,
        week_order=formatting.week_order,
        weekday_names=formatting.WEEKDAY_NAMES,
        job_labels=labels.JOB_LABELS,
        outcome_labels=OUTCOME_LABELS,
        state_labels=labels.STATE_LABELS,
        verdict_labels=labels.VERDICT_LABELS,
        button_labels=labels.BUTTON_LABELS,
        counts=labels.COUNTS,
        languages=i18n.languages,
        own_name=i18n.own_name,
        direction_of=i18n.direction,
    )


async def reader(request: http.Request, principal: Principal) -> Reader:
    """The reader a principal is, with the name and time zone of the business."""
    business = await request.app[keys.BUSINESSES].get(principal.business_id)
    name, zone, region = (business.name, business.timezone, business.region) if business else ("", "UTC", "")
    stop = await _stop(request, business) if business and business.stop else None
    return Reader(principal.business_id, name, zone, region, principal.actor, principal.email or principal.actor, principal.role, stop)


async def _stop(request: http.Request, business: Business) -> Stop:
    found = dict(business.stop or {})
    by = translated(request, await name_of(request, business.business_id, found["by"])) if found["by"] else None
    return Stop(datetime.fromisoformat(found["since"]), by, found["reason"], found["of_installation"])


async def render(request: http.Request, template: str, *, status: int = 200, **values: object) -> http.Response:
    """A page or a fragment for the signed-in reader, if there is one."""
    principal = auth.principal_of(request)
    return render_for(request, template, await reader(request, principal) if principal else None, status=status, **values)


def render_for(request: http.Request, template: str, known: Reader | None, *, status: int = 200, **values: object) -> http.Response:
    """A page or a fragment for a reader already known, or for none."""
    language, pending = i18n.language(request), notices.Pending(request)
    context: Mapping[str, Any] = {
        "request": request,
        "reader": known,
        "language": language,
        "direction": i18n.direction(language),
        "back": safe_path(str(request.rel_url) if request.method == "GET" else request.path),
        "sections": _visible(navigation.SECTIONS, known),
        "settings_pages": _visible(navigation.SETTINGS, known),
        "take_notice": pending.take,
        **values,
    }
    response = aiohttp_jinja2.render_template(template, request, context, status=status)
    response.headers["Content-Language"] = language
    if known is not None:
        # With this a page notices that a fragment was made for another user, who has signed in since it was opened.
        response.headers["X-Reader"] = known.actor
    response.headers["Vary"] = "Cookie, Accept-Language, Accept-Encoding"
    response.enable_compression()
    pending.forget(response)
    return response


def _visible(sections: tuple[Section, ...], known: Reader | None) -> list[Section]:
    return navigation.visible(sections, known.role, of_installation=known.of_installation) if known else []


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


def _now(context: Context) -> datetime:
    now: datetime = context["request"].app[keys.CLOCK].now()
    return now


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
def _money(context: Context, amount: Any, currency: str) -> str:  # noqa: ANN401 - a decimal number
    return formatting.money(_language(context), amount, currency)


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
def _phone(context: Context, text: Any) -> str:  # noqa: ANN401 - text or nothing
    return formatting.phone(text, context["reader"].region if context["reader"] else "")


@pass_context
def _hour(context: Context, at: Any) -> object:  # noqa: ANN401 - a datetime
    return formatting.hour(_language(context), _zone(context), at, _now(context))


@pass_context
def _day_and_hour(context: Context, at: Any) -> object:  # noqa: ANN401 - a datetime or nothing
    return formatting.day_and_hour(_language(context), _zone(context), at, _now(context))


@pass_context
def _weekday(context: Context, number: int, *, short: bool = False) -> str:
    return formatting.weekday(_language(context), number, short=short)


@pass_context
def _span_until(context: Context, at: Any) -> str:  # noqa: ANN401 - a datetime
    return formatting.span(_language(context), (at - _now(context)).total_seconds())


@pass_context
def _results_sentence(context: Context, results: Any) -> str:  # noqa: ANN401 - web.pages.run.results.Results
    return sentence(_language(context), results)


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
