"""Acts on the keys that people press during a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dialer.model import Reference
    from sql.do_not_call.do_not_call import DoNotCall
    from sql.scripts.scripts import Scripts

REASON: Final = "keypress"
# The field of a request that names the pressed keys.
DIGITS: Final = "Digits"


class KeyPresses:
    """Puts the numbers of calls on the do-not-call list of their businesses."""

    def __init__(self, scripts: Scripts, do_not_call: DoNotCall) -> None:
        self._scripts = scripts
        self._do_not_call = do_not_call

    async def remove(self, reference: Reference) -> None:
        """The person wants no more calls; repeating it changes nothing.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is unavailable.
        """
        call = await self._scripts.of_attempt(reference.business_id, reference.attempt_id)
        if call is not None:
            detail = {"attempt_id": reference.attempt_id, "run_id": call.run_id}
            await self._do_not_call.refuse(reference.business_id, call.phone, REASON, detail)
