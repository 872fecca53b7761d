"""Where the next script of a call comes from: an address to ask, or a document in the request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urljoin

from telephony.simulator.deliveries import fields
from telephony.simulator.voice.documents import ScriptError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telephony.simulator.call_log import Call
    from telephony.simulator.voice.documents import Verb
    from telephony.simulator.webhooks import Webhooks

NO_ANSWER: Final = 11200
NO_CONNECTION: Final = 11205
NO_ADDRESS: Final = 11100
NOT_A_SCRIPT: Final = 12300
SCRIPT_TYPES: Final = frozenset({"text/xml", "application/xml", "text/html", "application/xhtml+xml", ""})


@dataclass(frozen=True, slots=True)
class Source:
    """An `address` with the fields that are posted besides those of the call, or a document; without either: no further script."""

    address: str | None = None
    document: str = ""
    method: str = "POST"
    form: Mapping[str, str] = field(default_factory=dict)
    # What the request calls the status of the call: an inbound call is answered by its script.
    status: str = "in-progress"

    @classmethod
    def action(cls, verb: Verb, base: str | None, form: Mapping[str, str], name: str = "action") -> Self:
        """The address of an attribute, by default that of the document it stands in.

        Raises:
            ScriptError: when it is relative and the document has no address.
        """
        return cls.at(verb.attributes.get(name, ""), base, verb.attributes.get("method", "POST"), form)

    @classmethod
    def at(cls, text: str, base: str | None, method: str = "POST", form: Mapping[str, str] | None = None) -> Self:
        """An address as a document writes it, relative to that of the document.

        Raises:
            ScriptError: when the result is no address.
        """
        try:
            address = urljoin(base or "", text)
        except ValueError:
            address = ""
        if not address.startswith(("http://", "https://")) or not address.isascii() or not address.isprintable() or " " in address:
            raise ScriptError(NO_ADDRESS, "an address of the script is neither complete nor relative to one")
        return cls(address, method=method.upper(), form=form or {})

    async def read(self, call: Call, webhooks: Webhooks) -> bytes:
        """The document.

        Raises:
            ScriptError: when it cannot be fetched.
        """
        if self.address is None:
            return self.document.encode()
        answer = await webhooks.send(self.method, self.address, {**fields(call, self.status), **self.form}, call.account)
        call.script_seconds.append(answer.seconds)
        if answer.failure is not None:
            raise ScriptError(NO_CONNECTION if answer.failure == "ct" else NO_ANSWER, "the script could not be fetched")
        if answer.content_type not in SCRIPT_TYPES:
            raise ScriptError(NOT_A_SCRIPT, f"the content type {answer.content_type[:40]} is not one of a script")
        return answer.body
