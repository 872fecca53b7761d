"""Parses a TwiML document and checks it against the grammar."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from telephony.simulator.voice.grammar import ROOT, RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from urllib.parse import SplitResult

NOT_XML: Final = 12100
NOT_TWIML: Final = 12200
NO_TEXT: Final = 13520
MAX_SAY_CHARACTERS: Final = 4_096
MAX_DEPTH: Final = 16
MAX_NUMBER_DIGITS: Final = 5
XML_PREFIX: Final = "{http://www.w3.org/XML/1998/namespace}"


class ScriptError(Exception):
    """The script cannot be heard further; `code` is Twilio's for the debugger."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


@dataclass(frozen=True, slots=True)
class Verb:
    """An element of a document; `text` of a <Say> includes that of its SSML."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    children: tuple[Verb, ...] = ()

    def number(self, name: str, default: int) -> int:
        """A whole number of an attribute.

        Raises:
            ScriptError: when it is another text.
        """
        text = self.attributes.get(name, "") or str(default)
        if not (text.isascii() and text.isdigit() and len(text) <= MAX_NUMBER_DIGITS):
            raise ScriptError(NOT_TWIML, f"{self.name}: {name} must be a whole number")
        return int(text)

    def entry(self) -> dict[str, object]:
        """The element as JSON: `verb`, and `attributes`, `text` and `children` where it has some."""
        entry: dict[str, object] = {"verb": self.name}
        if self.attributes:
            entry["attributes"] = dict(self.attributes)
        if self.text:
            entry["text"] = self.text
        if self.children:
            entry["children"] = [child.entry() for child in self.children]
        return entry


def parse(document: bytes) -> tuple[Verb, ...]:
    """The verbs of a document.

    Raises:
        ScriptError: 12100 when it is not XML with a `Response`, 12200 when something in it does not belong there, 13520 for a <Say>
            without text or with too much.
    """
    # No document type: entities could make a small answer huge.
    if b"<!DOCTYPE" in document:
        raise ScriptError(NOT_XML, "a document type is not allowed")
    try:
        root = ET.fromstring(document)  # noqa: S314 - entities are refused above
    except (ET.ParseError, ValueError, LookupError):
        # A LookupError: an encoding that does not exist.
        raise ScriptError(NOT_XML, "the document is not well-formed XML") from None
    if root.tag != ROOT:
        raise ScriptError(NOT_XML, f"the root element must be <{ROOT}>")
    return _verb(root, 0).children


def _verb(element: ET.Element, depth: int) -> Verb:
    name = element.tag
    rule = RULES[name]
    attributes = {key.replace(XML_PREFIX, "xml:"): value for key, value in element.attrib.items()}
    _expect(depth <= MAX_DEPTH, f"<{name}> is nested too deeply")
    for key in sorted(attributes.keys() - rule.attributes):
        raise ScriptError(NOT_TWIML, f"<{name}> has no attribute {key}")
    for child in element:
        _expect(child.tag in rule.children, f"<{child.tag}> may not stand in <{name}>")
    own_text = (element.text or "") + "".join(child.tail or "" for child in element)
    _expect(rule.text or not own_text.strip(), f"<{name}> may not hold text")
    text = "".join(element.itertext()) if name == "Say" else own_text
    verb = Verb(name, attributes, text.strip(), tuple(_verb(child, depth + 1) for child in element))
    if (check := CHECKS.get(name)) is not None:
        check(verb)
    return verb


def _expect(holds: object, why: str) -> None:
    if not holds:
        raise ScriptError(NOT_TWIML, why)


def _address(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:
        raise ScriptError(NOT_TWIML, "an address is malformed") from None


def _say(verb: Verb) -> None:
    if not 0 < len(verb.text) <= MAX_SAY_CHARACTERS:
        raise ScriptError(NO_TEXT, f"<Say> needs 1 to {MAX_SAY_CHARACTERS} characters")


def _play(verb: Verb) -> None:
    by_address = verb.text and _address(verb.text).scheme in {"", "http", "https"}
    _expect(verb.attributes.get("digits") or by_address, "<Play> needs an http or https address, or digits")


def _dial(verb: Verb) -> None:
    _expect(verb.text or verb.children, "<Dial> needs a number or an element that names one")


def _with_text(verb: Verb) -> None:
    _expect(verb.text or verb.children, f"<{verb.name}> needs text")


def _with_children(verb: Verb) -> None:
    _expect(verb.children, f"<{verb.name}> needs an element")


def _stream(verb: Verb) -> None:
    parts = _address(verb.attributes.get("url", ""))
    _expect(
        verb.attributes.get("connectorName") or (parts.scheme == "wss" and parts.hostname and not parts.query),
        "<Stream>: url must begin with wss:// and have no query string",
    )


def _parameter(verb: Verb) -> None:
    _expect(verb.attributes.get("name") and "value" in verb.attributes, f"<{verb.name}> needs name and value")


CHECKS: Final[dict[str, Callable[[Verb], None]]] = {
    "Say": _say,
    "Play": _play,
    "Dial": _dial,
    "Number": _with_text,
    "Sip": _with_text,
    "Client": _with_text,
    "Redirect": _with_text,
    "Connect": _with_children,
    "Stream": _stream,
    "Parameter": _parameter,
}
