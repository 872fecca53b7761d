"""Reads and checks leads within the process that does nothing else, and writes what the web process wants of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sql.runs.lead_rows import ZonedLeads
from web.intake.readers.checked_file import LeadLines, write_checked, write_error
from web.intake.readers.lead_file import lead_file_of, rules_of
from web.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    from web.intake.encoding import Source
    from web.intake.rows import CheckedRows


def read_leads(source: Source, order: Mapping[str, Any], outputs: Mapping[str, BinaryIO]) -> None:
    """Check the leads of a file; write them into `jobs` and `variables`, to be loaded, or else as they are, and the rest into `checked`."""
    try:
        try:
            checked = _read(source, order, outputs, hasty=True)
        except UnicodeDecodeError:
            # It is no UTF-8. Which of the other encodings it is, its last piece may tell.
            checked = _read(source, order, outputs, hasty=False)
        write_checked(checked, outputs["checked"])
    except ApiError as error:
        write_error(error, outputs["checked"])
    for output in outputs.values():
        output.flush()


def _read(source: Source, order: Mapping[str, Any], outputs: Mapping[str, BinaryIO], *, hasty: bool) -> CheckedRows:
    file, rules = lead_file_of(order["lead_file"]), rules_of(order["rules"])
    if "jobs" in outputs:
        zoned = ZonedLeads()
        checked = file.check(source, rules, lambda _, lead: zoned.add(lead), hasty=hasty)
        checked.loadable = zoned.rows()
        for part in checked.loadable.jobs():
            outputs["jobs"].write(part)
        for part in checked.loadable.variables():
            outputs["variables"].write(part)
        return checked
    outputs["checked"].seek(0)
    outputs["checked"].truncate()
    lines = LeadLines(outputs["checked"])
    checked = file.check(source, rules, lines.keep, hasty=hasty)
    lines.finish()
    return checked
