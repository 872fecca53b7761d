"""What a lead would hear of a run that has not been loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sql.scripts.scripts import CallScript
from web.server import errors
from web.server.errors import Text
from web.server.i18n import msgid
from web.twilio.conversation import opening

if TYPE_CHECKING:
    from sql.businesses.businesses import Business
    from sql.runs.new_lead import NewLead
    from web.intake.rows import CheckedRows
    from web.operations.settings.run_fields import PreviewSettings


def lead_to_hear(settings: PreviewSettings, rows: CheckedRows) -> NewLead:
    """The lead in the row that `settings` name.

    Raises:
        ApiError: 422, when it has no lead that can be called.
    """
    leads = dict(zip(rows.numbers, rows.accepted, strict=True))
    row = settings.row or min(leads, default=0)
    if row not in leads:
        raise errors.wrong_field(name="row", why=_why_not(rows, settings.row))
    return leads[row]


def _why_not(rows: CheckedRows, row: int | None) -> Text:
    """Why a row, None for the first one, has no lead to hear."""
    rejected = next((each for each in rows.rejected if row in {None, each.row}), None)
    if rejected:
        return Text(msgid("row {row}: {reason}"), {"row": rejected.row, "reason": rejected.text})
    return Text(msgid("must be a row with a lead that can be called; in a CSV file the header is row 1"))


def call_of(business: Business, settings: PreviewSettings, lead: NewLead) -> CallScript:
    """What the call of this lead would say."""
    own = settings.script.given() if settings.script else None
    return CallScript(
        run_id=0,
        phone=lead.phone,
        from_number=(settings.caller_ids or business.caller_ids)[0],
        name=lead.name,
        variables=lead.variables,
        region=business.region,
        script=own if "script" in settings.model_fields_set else business.script,
        on_machine=settings.on_machine,
        machine_message=settings.machine_message,
        machine_detection=settings.machine_detection,
    )


def previewed(business: Business, settings: PreviewSettings, rows: CheckedRows, address: str) -> str:
    """The TwiML for the lead in the row that `settings` name; `address` stands for that of the call's TwiML.

    Raises:
        ApiError: 422, when it has no lead that can be called.
    """
    return opening(call_of(business, settings, lead_to_hear(settings, rows)), None, address)
