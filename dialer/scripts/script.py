"""`script` of contract section 7: what a person hears who answers, checked when it is given.

Only texts and the parameters of a stream take variables of the lead: no address can be changed by the contents of a list.

Pure: no I/O.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from dialer.policy.field_errors import refuse
from dialer.scripts.texts import BadTextError, is_blank, variables_in

# Twilio reads at most this much text in one <Say>.
MAX_TEXT_CHARACTERS: Final = 4_096
MAX_ADDRESS_CHARACTERS: Final = 2_000
# Twilio sends at most 500 characters of name and value of a <Parameter>.
MAX_PARAMETER_CHARACTERS: Final = 400
MAX_PARAMETERS: Final = 50
LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z]{2}|-[0-9]{3})?")
# They cannot be stored, or not be written in XML.
CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
VOICE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,79}")
E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
# Of RFC 3261 what Twilio documents for <Sip>: a user, a host, perhaps a port and parameters such as ;transport=tls; no headers.
SIP: Final = re.compile(
    r"sips?:[A-Za-z0-9+_.!~*'()-]{1,100}@[A-Za-z0-9.-]{1,200}(:[0-9]{1,5})?"
    r"(;[A-Za-z0-9-]{1,30}(=[A-Za-z0-9._-]{1,60})?){0,5}"
)
PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")
PARAMETER: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")
KINDS: Final = ("say", "play", "dial", "stream", "twiml")
# The fields that go with a kind.
SIDE_FIELDS: Final = {
    "say": {"language", "voice", "keypress"},
    "play": {"keypress"},
    "dial": {"caller_id"},
    "stream": {"parameters"},
    "twiml": set[str](),
}


def _text(text: str) -> str:
    try:
        variables_in(text)
    except BadTextError:
        refuse("lone_brace")
    if CONTROL.search(text):
        refuse("control_character")
    return refuse("blank_text") if is_blank(text) else text


def _language(text: str) -> str:
    """A language as Twilio spells it, as `he-IL`, whatever the case; Hebrew also by its bare code, `he` or the old `iw`."""
    if not LANGUAGE.fullmatch(text):
        refuse("language")
    name, _, region = text.partition("-")
    if name.lower() in {"he", "iw"} and region.upper() in {"", "IL"}:
        return "he-IL"
    return f"{name.lower()}-{region.upper()}" if region else name.lower()


def _matching(pattern: re.Pattern[str], kind: str) -> AfterValidator:
    return AfterValidator(lambda text: text if pattern.fullmatch(text) else refuse(kind))


def _address(text: str, scheme: str, kind: str) -> str:
    try:
        parts = urlsplit(text)
        right = parts.scheme == scheme and bool(parts.hostname) and "@" not in parts.netloc and (parts.port or 1) > 0
    except ValueError:
        right = False
    return text if right and PRINTABLE.fullmatch(text) else refuse(kind)


def _web_address(text: str) -> str:
    return _address(text, "https", "https_address")


def _stream_address(text: str) -> str:
    # Twilio rejects a stream's address with a query string.
    return _address(text, "wss", "wss_address") if "?" not in text and "#" not in text else refuse("wss_address")


def _agent(text: str) -> str:
    return text if E164.fullmatch(text) or SIP.fullmatch(text) else refuse("agent")


SpokenText = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS), AfterValidator(_text)]
WebAddress = Annotated[str, Field(max_length=MAX_ADDRESS_CHARACTERS), AfterValidator(_web_address)]
ParameterName = Annotated[str, _matching(PARAMETER, "parameter_name")]
ParameterText = Annotated[str, Field(max_length=MAX_PARAMETER_CHARACTERS), AfterValidator(lambda text: _text(text) if text else text)]
Key = Annotated[str, _matching(re.compile("[0-9*#]"), "key")]


class Script(BaseModel):
    """One of say, play, dial, stream and twiml, with the fields that go with it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    say: SpokenText | None = None
    language: Annotated[str, AfterValidator(_language)] | None = None
    voice: Annotated[str, _matching(VOICE, "voice")] | None = None
    play: WebAddress | None = None
    dial: Annotated[str, AfterValidator(_agent)] | None = None
    caller_id: Annotated[str, _matching(E164, "e164")] | None = None
    stream: Annotated[str, Field(max_length=MAX_ADDRESS_CHARACTERS), AfterValidator(_stream_address)] | None = None
    parameters: Annotated[dict[ParameterName, ParameterText], Field(max_length=MAX_PARAMETERS)] | None = None
    twiml: WebAddress | None = None
    keypress: Annotated[dict[Key, Literal["do_not_call"]], Field(min_length=1, max_length=12)] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Script:
        given = {name for name in self.model_fields_set if getattr(self, name) is not None}
        kinds = [kind for kind in KINDS if kind in given]
        if len(kinds) != 1:
            refuse("script_kind")
        [kind] = kinds
        for name in sorted(given - {kind} - SIDE_FIELDS[kind]):
            refuse("script_field", field=name, other=kind)
        if kind == "say" and self.language is None:
            refuse("script_language")
        return self

    @property
    def variables(self) -> frozenset[str]:
        """The keys of the variables in its texts."""
        texts = [self.say or "", *(self.parameters or {}).values()]
        return frozenset().union(*(variables_in(text) for text in texts))

    def given(self) -> dict[str, Any]:
        """As JSON, the fields that were given and no others; `model_validate` reads it back."""
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=True)
