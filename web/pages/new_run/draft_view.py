"""What the steps of a draft show: the first rows, the check, what the call says, and the button that says what it does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from babel.dates import format_date, get_day_names

from dialer.policy.time_zones import time_zone
from dialer.scripts.texts import BadTextError, filled, lead_values
from web.intake.drafts.table_preview import EMPTY_LIST, previewed_table
from web.intake.tables.headings import Role
from web.operations.settings.run_fields import PreviewSettings, settings_of_texts
from web.pages.new_run.draft_answers import LANGUAGES, NOW, SAVED
from web.pages.new_run.draft_check import ROWS_SHOWN, checked_draft, import_of, summary
from web.pages.settings import hours_form
from web.server import i18n, keys
from web.server.error_responses import said
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
from web.server.inputs import optional_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from aiohttp import web as http

    from sql.businesses.businesses import Business
    from sql.drafts.drafts import Draft
    from web.access.auth import Principal
    from web.intake.drafts.draft_list import DraftList
    from web.intake.drafts.table_preview import TablePreview
    from web.pages.new_run.draft_answers import DraftAnswers
    from web.pages.new_run.draft_check import DraftCheck, GroupRow, Omission

ROLE_LABELS: Final[Mapping[str, str]] = {
    Role.PHONE: msgid("Phone number"),
    Role.NAME: msgid("Name"),
    Role.LEAD_ID: msgid("ID"),
    Role.TIMEZONE: msgid("Time zone"),
    Role.VARIABLE: msgid("Keep as a detail"),
    Role.IGNORE: msgid("Do not keep"),
}
REASONS_SHOWN: Final = 12
CLIENT_ERROR: Final = range(400, 500)
SOON: Final = timedelta(minutes=2)
WEEK: Final = timedelta(days=6)
DAY_SECONDS: Final = 86_400


def settings_of(answers: DraftAnswers, business: Business, when: str) -> PreviewSettings:
    """The settings of the run that the answers ask for.

    Raises:
        ApiError: 422, naming the answer that is wrong.
    """
    settings = settings_of_texts(answers.texts(business, when), PreviewSettings)
    return settings if isinstance(settings, PreviewSettings) else PreviewSettings()


@dataclass
class DraftView:
    """A draft as the page shows it; `error` is what is wrong with its answers."""

    request: http.Request
    business: Business
    draft: Draft
    answers: DraftAnswers
    step: str
    preview: TablePreview | None = None
    check: DraftCheck | None = None
    error: ApiError | None = None
    groups: Sequence[Mapping[str, Any]] = field(default_factory=list)

    @classmethod
    async def made(
        cls,
        request: http.Request,
        principal: Principal,
        business: Business,
        draft: Draft,
        leads: DraftList,
        answers: DraftAnswers,
        step: str,
    ) -> DraftView:
        """Read as much of the list as the step needs."""
        view = cls(request, business, draft, answers, step)
        view.preview = await asyncio.to_thread(lambda: previewed_table(leads.records(), business.region))
        if view.preview is None:
            view.error, view.step = ApiError(422, "no_leads", Text(EMPTY_LIST)), "columns"
            return view
        if step in {"check", "calling"}:
            await view._check(principal, leads)
        return view

    async def _check(self, principal: Principal, leads: DraftList) -> None:
        """Check the list by the answers; where these are wrong, without them."""
        assert self.preview  # noqa: S101 - for mypy
        layout = self.preview.layout(self.answers.roles_of(self.preview))
        try:
            settings = settings_of(self.answers, self.business, NOW)
            self.check = await checked_draft(
                self.request, principal, self.business, import_of(principal, self.draft, leads, layout, settings)
            )
        except ApiError as error:
            if error.status not in CLIENT_ERROR:
                raise
            self.error = error
            plain = PreviewSettings(recently_called="skip" if self.answers.recently == "skip" else "wait")
            self.check = await checked_draft(self.request, principal, self.business, import_of(principal, self.draft, leads, layout, plain))
        self.groups = summary(self.check)

    @property
    def roles(self) -> Sequence[Role]:
        """What the columns are: as answered, else as they seem to be."""
        return self.answers.roles_of(self.preview) if self.preview else ()

    @property
    def column_summary(self) -> str:
        """The headings of the phone and the name."""
        if not self.preview:
            return ""
        named = [
            heading.strip() for heading, role in zip(self.preview.headings, self.roles, strict=True) if role in {Role.PHONE, Role.NAME}
        ]
        return ", ".join(named)

    @property
    def role_labels(self) -> Mapping[str, str]:
        """The choices above a column, by their msgid."""
        return ROLE_LABELS

    @property
    def languages(self) -> Mapping[str, str]:
        """The languages of a script that are offered, by their msgid."""
        return LANGUAGES

    @property
    def listed(self) -> str:
        """The group whose rows are shown; empty for none."""
        chosen = self.request.query.get("rows", "")
        return chosen if any(group["key"] == chosen for group in self.groups) else ""

    @property
    def offset(self) -> int:
        """How many rows of the group come before those that are shown."""
        return optional_id(self.request.query.get("after", "")) or 0

    @property
    def listed_rows(self) -> list[tuple[GroupRow, str]]:
        """The rows of the group, each with why it is in it."""
        if not self.check or not self.listed:
            return []
        return [(row, said(self.request, row.why) if row.why else "") for row in self.check.page(self.listed, self.offset)]

    @property
    def left_out(self) -> list[tuple[Omission, str]]:
        """Who is left out, by reason, each with its sentence; the most frequent reasons."""
        return [(one, said(self.request, one.why)) for one in self.check.left_out()[:REASONS_SHOWN]] if self.check else []

    @property
    def more(self) -> int:
        """Where the next rows of the group begin; 0: there are none."""
        following = self.offset + ROWS_SHOWN
        return following if self.check and self.listed and self.check.count(self.listed) > following else 0

    @property
    def people(self) -> int:
        """How many will be called."""
        return self.check.count("call") if self.check else 0

    @property
    def variables(self) -> list[str]:
        """What a script may say of a lead."""
        if not self.preview:
            return []
        layout = self.preview.layout(self.roles)
        named = ["name"] if Role.NAME in self.roles else []
        return [*named, *(layout.headings[n].strip() if layout.headings else layout.names[n] for n in layout.variables)]

    @property
    def spoken(self) -> tuple[int, str] | None:
        """What the first person would hear, and the row; None where nothing is typed, or nobody can be called."""
        first = self.check.first_lead if self.check else None
        if first is None or not self.answers.say.strip():
            return None
        row, lead = first
        try:
            return row, filled(self.answers.say, lead_values(lead.name, lead.variables))
        except BadTextError:
            return None

    @property
    def when(self) -> str:
        """When the first is called, and how long it takes, in the words of the button; empty when it is not known."""
        forecast = self.check.forecast if self.check else None
        if not forecast or not forecast.first_call_at:
            return ""
        now = _now(self.request)
        soon = forecast.first_call_at - now <= SOON
        begins = (
            i18n.sentence(self.request, msgid("now"))
            if soon
            else i18n.sentence(self.request, msgid("from {time}"), time=self._time(forecast.first_call_at))
        )
        if not forecast.ends_at:
            return begins
        values = {
            "begins": begins,
            "duration": self._duration(forecast.ends_at - forecast.first_call_at),
            "time": self._time(forecast.ends_at),
        }
        return i18n.sentence(self.request, msgid("{begins}; about {duration}, ends {time}"), **values)

    def _duration(self, span: timedelta) -> str:
        minutes = max(round(span.total_seconds() / 60), 1)
        days, hours = divmod(minutes // 60, 24)
        values = {"days": days, "hours": hours, "minutes": minutes % 60}
        if days:
            return i18n.sentence(self.request, msgid("{days} d {hours} h"), **values)
        sentence = msgid("{hours} h {minutes} min") if hours else msgid("{minutes} min")
        return i18n.sentence(self.request, sentence, **values)

    def _time(self, at: datetime) -> str:
        local = at.astimezone(time_zone(self.business.timezone))
        language = i18n.language(self.request)
        today = _now(self.request).astimezone(time_zone(self.business.timezone)).date()
        if local.date() == today:
            return f"{local:%H:%M}"
        near = local.date() - today <= WEEK
        day = get_day_names("wide", locale=language)[local.weekday()] if near else format_date(local, "d MMM", locale=language)
        return f"{day} {local:%H:%M}"

    @property
    def warnings(self) -> list[str]:
        """What to know before the start."""
        return [said(self.request, warning.text) for warning in self.check.forecast.warnings] if self.check else []

    @property
    def hours(self) -> list[tuple[str, str]]:
        """The calling hours of the business: days with the same hours together, each with its times; none: always open."""
        return hours_form.summary(self.request, self.business.calling_hours)

    @property
    def no_script(self) -> bool:
        """Whether neither the answers nor the business say what is said."""
        return not self.answers.say.strip() and not self.business.script

    @property
    def saved(self) -> str:
        """The action that does not call."""
        return SAVED


def _now(request: http.Request) -> datetime:
    return request.app[keys.CLOCK].now()
