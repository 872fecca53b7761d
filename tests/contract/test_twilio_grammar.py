"""The simulator's grammar of TwiML allows whatever Twilio's own library can write."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING, Final

from twilio.twiml import voice_response

from telephony.simulator.voice.documents import parse
from telephony.simulator.voice.grammar import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

# What the library takes as a parameter and writes as the text of the element.
TEXTS: Final = {"number", "message", "words", "identity", "sipUrl"}
TEXTS_OF: Final = {"Play": {"url"}, "Enqueue": {"name"}, "Application": {"applicationSid"}}
# It writes these with other letters.
SPELLINGS: Final = {"xmlLang": "xml:lang", "interpretAs": "interpret-as"}
# Elements that Twilio no longer hears.
GONE: Final = {"Autopilot"}


def camel(name: str) -> str:
    first, *rest = name.rstrip("_").split("_")
    text = first + "".join(word.title() for word in rest)
    return SPELLINGS.get(text, text)


def classes() -> dict[str, ast.ClassDef]:
    return {node.name: node for node in ast.parse(inspect.getsource(voice_response)).body if isinstance(node, ast.ClassDef)}


def element(node: ast.ClassDef) -> str:
    """The name of the element that a class writes."""
    [name] = [
        assign.value.value
        for assign in ast.walk(node)
        if isinstance(assign, ast.Assign)
        and isinstance(assign.targets[0], ast.Attribute)
        and assign.targets[0].attr == "name"
        and isinstance(assign.value, ast.Constant)
    ]
    return str(name)


def nestings() -> Iterator[tuple[str, str, set[str]]]:
    """What the library nests: parent, child, and the attributes of the child."""
    known = classes()
    for parent in known.values():
        for call in ast.walk(parent):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "nest":
                child = call.args[0]
                if isinstance(child, ast.Call) and isinstance(child.func, ast.Name):
                    yield element(parent), element(known[child.func.id]), {camel(word.arg) for word in child.keywords if word.arg}


def test_whatever_the_library_nests_is_allowed() -> None:
    nested = [(parent, child) for parent, child, _ in nestings() if child not in GONE]
    assert len(nested) > 100
    assert [pair for pair in nested if pair[1] not in RULES[pair[0]].children] == []


def test_whatever_attribute_the_library_writes_is_allowed() -> None:
    written = {(child, name) for _, child, names in nestings() if child not in GONE for name in names - TEXTS - TEXTS_OF.get(child, set())}
    assert len(written) > 200
    assert sorted((child, name) for child, name in written if name not in RULES[child].attributes) == []


def test_every_child_has_a_rule() -> None:
    assert {child for rule in RULES.values() for child in rule.children} <= set(RULES)


def test_a_document_of_the_library_is_heard_as_it_was_written() -> None:
    response = voice_response.VoiceResponse()
    gather = response.gather(num_digits=1, action="/keys", action_on_empty_result=True)
    say = gather.say("שלום <b> & ", language="he-IL")
    say.break_(strength="weak", time="1s")
    dial = response.dial(caller_id="+97237000000", answer_on_bridge=True)
    dial.number("+97230000009", status_callback_event="answered completed")
    dial.sip("sip:agent@x.example;transport=tcp")
    response.connect().stream(url="wss://x.example/").parameter(name="lead", value='"1"')
    first, second, third = parse(str(response).encode())
    assert (first.attributes["numDigits"], first.children[0].text) == ("1", "שלום <b> &")
    assert [child.name for child in second.children] == ["Number", "Sip"]
    assert third.children[0].children[0].attributes == {"name": "lead", "value": '"1"'}
