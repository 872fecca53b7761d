"""The variables that a script needs of each lead of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialer.scripts.texts import lead_values

if TYPE_CHECKING:
    from sql.runs.new_lead import NewLead


class RequiredVariables:
    """Tells which leads lack a variable, and which variables no lead has."""

    def __init__(self, keys: frozenset[str]) -> None:
        """`keys` are those of the variables."""
        self._keys = keys
        self._found: set[str] = set()
        self._has_leads = False

    def missing(self, lead: NewLead) -> list[str]:
        """The keys of the variables that this lead lacks."""
        if not self._keys:
            return []
        has = self._keys & lead_values(lead.name, lead.variables).keys()
        self._found |= has
        self._has_leads = True
        return sorted(self._keys - has)

    @property
    def unknown(self) -> frozenset[str]:
        """The keys of the variables that no lead had; empty when there was no lead."""
        return self._keys - self._found if self._has_leads else frozenset()
