"""Reads what a person enters about a business: its caller ids in any spelling, and the numbers in its scripts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dialer.phones.phone_numbers import RefusedPhoneError, read_phone
from dialer.scripts.script import Script
from web.intake.imports.script_numbers import check_script
from web.intake.phone_sentences import sentence_of
from web.server import errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sql.businesses.businesses import Business
    from web.operations.settings.business import BusinessChanges

# What calls say, and what those hear who call back.
SCRIPTS: Final = ("script", "inbound_script")


def read_changes(business: Business, changes: BusinessChanges) -> BusinessChanges:
    """The changes with caller ids in E.164.

    Raises:
        ApiError: 422, naming those that are not numbers, or the number in a script that the business may not call.
    """
    if changes.caller_ids:
        changes = changes.model_copy(update={"caller_ids": _numbers(changes.caller_ids, changes.region or business.region)})
    _check_scripts(business, changes)
    return changes


def _numbers(caller_ids: Sequence[str], region: str) -> list[str]:
    """The caller ids in E.164.

    Raises:
        ApiError: 422, naming those that are not numbers.
    """
    numbers, wrong = [], []
    for place, text in enumerate(caller_ids):
        try:
            numbers.append(read_phone(text, region).e164)
        except RefusedPhoneError as error:
            wrong.append({"field": f"caller_ids.{place}", "message": sentence_of(error)})
    if wrong:
        raise errors.invalid(wrong)
    return numbers


def _check_scripts(business: Business, changes: BusinessChanges) -> None:
    """Hold the scripts that the business will have against the caller ids and countries that it will have, when one of these changes.

    Raises:
        ApiError: 422, naming the number in the script.
    """
    given = changes.model_fields_set & {"caller_ids", "allowed_countries"}
    after = replace(business, **{name: getattr(changes, name) for name in given})
    for name in SCRIPTS:
        if name in changes.model_fields_set:
            check_script(after, getattr(changes, name), name)
        elif given and (stored := getattr(business, name)):
            check_script(after, Script.model_validate(stored), name)
