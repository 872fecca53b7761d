"""Acts on the keys that people press during a call."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from sql.do_not_call.do_not_call import ListRequest

if TYPE_CHECKING:
    from dialer.model import Reference
    from sql.do_not_call.do_not_call import DoNotCall
    from sql.scripts.scripts import CallScript, Scripts

REASON: Final = "keypress"
DO_NOT_CALL: Final = "do_not_call"
# The field of a request that names the pressed keys.
DIGITS: Final = "Digits"


class KeyPresses:
    """Puts a number on the do-not-call list when the script of its call says so for a key."""

    def __init__(self, scripts: Scripts, do_not_call: DoNotCall) -> None:
        self._scripts = scripts
        self._do_not_call = do_not_call

    async def act(self, reference: Reference, digits: str) -> tuple[CallScript | None, bool]:
        """Act on the pressed key, once however often it is reported; return the script of the call, and whether its number was removed.

        Raises:
            DatabaseUnavailableError: when it failed; repeating it is harmless.
        """
        call = await self._scripts.of_attempt(reference.business_id, reference.attempt_id)
        keypress = ((call and call.script) or {}).get("keypress") or {}
        if call is None or keypress.get(digits) != DO_NOT_CALL:
            return call, False
        identity = f"{REASON}:{reference.attempt_id}"
        detail = {"attempt_id": reference.attempt_id, "run_id": call.run_id}
        request = ListRequest(reference.business_id, identity, hashlib.sha256(call.phone.encode()).digest(), REASON, detail)
        await self._do_not_call.add(request, [(call.phone, REASON)], {})
        return call, True
