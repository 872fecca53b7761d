"""What one check has found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Status(StrEnum):
    """`fail`: calls are not made, or wrongly made. `warn`: they may soon be, or somebody should know."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `remedy` says what to do, and is empty when nothing is wrong."""

    name: str
    status: Status
    detail: str
    remedy: str = ""

    def public(self) -> dict[str, str]:
        """As `--json` prints it."""
        return asdict(self)


def judged(name: str, status: Status, detail: str, remedy: str) -> Finding:
    """A finding whose remedy is left out when nothing is wrong."""
    return Finding(name, status, detail, "" if status is Status.OK else remedy)


Findings: TypeAlias = "AsyncIterator[Finding]"
