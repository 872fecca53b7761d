"""Compares the clocks of PostgreSQL, Redis and the provider with that of this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ringmaster.doctor.finding import Finding, Status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dialer.clock import Clock

FAR_SECONDS: Final = 2.0
# Twilio's Date header has whole seconds.
WHOLE_SECOND: Final = 1.0


@dataclass(slots=True)
class Clocks:
    """How far the clocks of others are ahead of this machine's, in seconds, as far as the answers prove it."""

    clock: Clock
    ahead: dict[str, float] = field(default_factory=dict)

    async def ask(self, name: str, read: Callable[[], Awaitable[float]]) -> None:
        """Compare with a clock that `read` returns in seconds since 1970."""
        asked = self.clock.now().timestamp()
        at = await read()
        self.add(name, at, at, asked)

    def add(self, name: str, earliest: float, latest: float, asked: float) -> None:
        """A clock read something between `earliest` and `latest`, at a moment between `asked` and now."""
        answered = self.clock.now().timestamp()
        self.ahead[name] = earliest - answered if earliest > answered else min(latest - asked, 0.0)

    def finding(self) -> Finding:
        """One finding about all of them."""
        shown = ", ".join(f"{name} {ahead:+.1f} s" for name, ahead in self.ahead.items()) or "none could be asked"
        if any(abs(ahead) > FAR_SECONDS for ahead in self.ahead.values()):
            remedy = "let every machine keep its time by NTP (chrony, systemd-timesyncd), and look at the one that is off: timedatectl"
            return Finding("clocks", Status.WARN, f"clocks differ from this machine's: {shown}", remedy)
        return Finding("clocks", Status.OK, f"against this machine's clock: {shown}")
