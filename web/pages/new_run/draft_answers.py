"""The answers of a draft as they were typed, and the settings of the run that they ask for."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from dialer.policy.calling_hours import WEEKDAYS, CallingHours
from dialer.policy.time_zones import time_zone
from web.intake.tables.headings import Role
from web.server import errors
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sql.businesses.businesses import Business
    from web.intake.drafts.table_preview import TablePreview

MAX_ANSWER_CHARACTERS: Final = 5_000
HEBREW: Final = "he-IL"
LANGUAGES: Final[Mapping[str, str]] = {
    HEBREW: msgid("Hebrew"),
    "en-US": msgid("English (United States)"),
    "en-GB": msgid("English (Britain)"),
    "ar-XA": msgid("Arabic"),
    "ru-RU": msgid("Russian"),
    "fr-FR": msgid("French"),
}
# Columns that a list has once; the phone it must have.
ONCE: Final[Mapping[str, str]] = {
    Role.PHONE: msgid("Choose the one column that has the phone numbers."),
    Role.LEAD_ID: msgid("Only one column can be the ID."),
    Role.TIMEZONE: msgid("Only one column can be the time zone."),
}
OWN_HOURS: Final = "own"
NOW, SAVED, SCHEDULED = "now", "saved", "scheduled"


@dataclass(frozen=True, slots=True)
class DraftAnswers:
    """What was typed in the steps: `roles` are those of the columns, separated by commas; empty: not answered yet."""

    roles: str = ""
    recently: str = "wait"
    name: str = ""
    say: str = ""
    language: str = HEBREW
    caller_id: str = ""
    hours: str = "business"
    opens: str = "09:00"
    closes: str = "20:00"
    lines: str = ""
    retry_times: str = ""
    retry_minutes: str = "60"
    at: str = ""
    phone: str = ""

    @classmethod
    def stored(cls, answers: Mapping[str, Any]) -> DraftAnswers:
        """Those that a draft keeps."""
        return cls(**{each.name: str(answers[each.name]) for each in fields(cls) if each.name in answers})

    @classmethod
    def first(cls, business: Business, file_name: str) -> DraftAnswers:
        """Those of a new draft."""
        language = (business.script or {}).get("language") or (HEBREW if business.region == "IL" else "en-US")
        return cls(name=PurePath(file_name).stem[:200], language=language, lines=str(business.max_calls))

    def with_form(self, form: Mapping[str, str]) -> DraftAnswers:
        """The answers with those of a form, as they were typed."""
        known = {each.name for each in fields(self)}
        return replace(self, **{name: text[:MAX_ANSWER_CHARACTERS].replace("\x00", "") for name, text in form.items() if name in known})

    def with_roles(self, form: Mapping[str, str]) -> DraftAnswers:
        """The answers with the roles that a form has for the columns, `column-0` and so on."""
        known = {str(role) for role in Role}
        roles: list[str] = []
        while (role := form.get(f"column-{len(roles)}", "")) in known:
            roles.append(role)
        return replace(self, roles=",".join(roles))

    def with_columns(self, form: Mapping[str, str]) -> DraftAnswers:
        """The same, after a check that there is one phone.

        Raises:
            ApiError: 422.
        """
        answers = self.with_roles(form)
        roles = answers.roles.split(",")
        for role, sentence in ONCE.items():
            if roles.count(role) > 1 or (role == Role.PHONE and role not in roles):
                raise ApiError(422, "columns", Text(sentence))
        return answers

    def roles_of(self, preview: TablePreview) -> tuple[Role, ...]:
        """What the columns of a table are: as answered, else as they seem to be."""
        roles = tuple(Role(role) for role in self.roles.split(",")) if self.roles else ()
        return roles if len(roles) == len(preview.roles) else preview.roles

    def as_json(self) -> dict[str, str]:
        """The answers as a draft keeps them."""
        return asdict(self)

    def texts(self, business: Business, when: str) -> dict[str, str]:
        """The settings as a form of the API has them; `when` is one of now, saved and scheduled.

        Raises:
            ApiError: 422, naming the answer that is wrong.
        """
        texts = {"name": self.name.strip(), "concurrency": self.lines.strip(), "recently_called": self.recently}
        if self.say.strip():
            texts["script"] = json.dumps({"say": self.say.strip(), "language": self.language})
        if self.caller_id:
            texts["caller_ids"] = json.dumps([self.caller_id])
        if self.hours == OWN_HOURS:
            texts["calling_hours"] = json.dumps(self._hours(business))
        if self.retry_times.strip() not in {"", "0"}:
            texts["retries"] = json.dumps(self._retries())
        if when == SCHEDULED:
            texts["schedule_at"] = self._moment(business)
        return {**texts, "start": str(when == NOW).lower()}

    def _retries(self) -> dict[str, Any]:
        try:
            again = {"times": int(self.retry_times), "after_minutes": [float(self.retry_minutes)]}
        except ValueError:
            raise errors.wrong_field(name="retry_minutes", why=Text(msgid("must be a number"))) from None
        return {"no-answer": again, "busy": again}

    def _moment(self, business: Business) -> str:
        try:
            local = datetime.fromisoformat(self.at)
        except ValueError:
            raise errors.wrong_field(name="at", why=Text(msgid("is missing"))) from None
        return local.replace(tzinfo=time_zone(business.timezone)).isoformat()

    def _hours(self, business: Business) -> dict[str, Any]:
        """Those of the business from `opens` to `closes`: never looser than hers."""
        if business.calling_hours is None:
            return {day: [[self.opens, self.closes]] for day in WEEKDAYS} | {"holidays": "open"}
        hours = CallingHours.model_validate(business.calling_hours).model_dump(mode="json")
        found = {day: self._within(hours[day]) for day in WEEKDAYS}
        eves = None if hours["holiday_eves"] is None else self._within(hours["holiday_eves"])
        dates = {day: self._within(intervals) for day, intervals in hours["dates"].items()}
        return {**found, "holidays": hours["holidays"], "holiday_eves": eves, "dates": dates}

    def _within(self, intervals: Sequence[Sequence[str]]) -> list[list[str]]:
        cut = [[max(begin, self.opens), min(end, self.closes)] for begin, end in intervals]
        return [[begin, end] for begin, end in cut if begin < end]
