"""The sections of the console, and the pages of its settings, each for readers with a role that may use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dialer.model import Role
from web.server.i18n import msgid


@dataclass(frozen=True, slots=True)
class Section:
    """An entry of a menu: its address and its msgid; readers below `role` do not see it.

    `of_installation` entries are for users of the installation, others for those of a business; with None for both.
    """

    path: str
    label: str
    role: Role = Role.VIEWER
    of_installation: bool | None = False

    def holds(self, path: str) -> bool:
        """True when the page at `path` is this one, or below it."""
        return path == self.path or (self.path != "/" and path.startswith(f"{self.path}/"))


SECTIONS: Final = (
    Section("/", msgid("Overview")),
    Section("/runs", msgid("Campaigns")),
    Section("/do-not-call", msgid("Do not call")),
    Section("/settings", msgid("Settings")),
    Section("/dialling", msgid("Stop dialling"), Role.OPERATOR),
    Section("/health", msgid("Health"), of_installation=True),
    Section("/rejected", msgid("Rejected commands"), of_installation=True),
)

SETTINGS: Final[tuple[Section, ...]] = (
    Section("/settings/business", msgid("Business")),
    Section("/settings/hours", msgid("Calling hours")),
    Section("/settings/rules", msgid("Calling rules")),
    Section("/settings/script", msgid("What calls say")),
    Section("/settings/inbound-script", msgid("When people call back")),
    Section("/settings/account", msgid("Twilio account"), Role.ADMIN),
    Section("/settings/users", msgid("Users and roles"), Role.ADMIN),
    Section("/settings/tokens", msgid("API tokens"), Role.ADMIN),
    Section("/settings/sessions", msgid("Sessions"), Role.ADMIN),
    Section("/settings/webhooks", msgid("Webhooks"), Role.ADMIN),
    Section("/settings/rejected", msgid("Rejected commands"), Role.OPERATOR),
    Section("/settings/audit", msgid("Audit log"), Role.ADMIN),
    Section("/settings/me", msgid("My account"), of_installation=None),
)


def visible(sections: tuple[Section, ...], role: Role, *, of_installation: bool = False) -> list[Section]:
    """The entries that a reader with this role sees."""
    return [section for section in sections if role.allows(section.role) and section.of_installation in {None, of_installation}]
