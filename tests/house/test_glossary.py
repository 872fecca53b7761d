"""The names of classes and modules are made of the glossary's words and of plain engineering words, and none is a past participle."""

from __future__ import annotations

import ast
import re
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.house.conftest import Module

PLAIN_WORDS = Path(__file__).with_name("plain_words.txt")
HEADWORD = re.compile(r"^\| ([^|]+) \|", re.MULTILINE)
WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
PLURALS = (("ies", "y"), ("es", ""), ("s", ""))
# A class is a thing: name it by a noun. These are the participles that do not end in -ed.
IRREGULAR = """
begun bound bought broken brought built caught chosen done drawn driven fallen found given gone grown heard held hidden kept known laid led
left lent lost made meant met paid put read rung said seen sent shown shut spoken spent taken taught thought told understood won written
"""
NOUNS_IN_ED = {"feed", "need", "seed", "speed"}
# Why a name may end in one.
PARTICIPLES_ALLOWED = {
    "CallChanged": "a hint: it says what has happened",
    "RunChanged": "likewise",
    "SharedRead": "a read is a noun here",
}
# What the project called things before it had a glossary: whole names of classes and of modules.
OLD_CLASSES = """
Ask AwayError Bucket Company Deed Desk Door Driven Ear Front Gate Heard Held Histories Holding Intent Kept Learned Ledger Load Loads Look
LookAgain Make NotLearnedError Partitions Referred Retire Rules Said Seen Sent Sheet Shop Show Shown Stranger Strays TellCall Town Typed
Visitor Withdraw World
"""
OLD_MODULES = "faults gate heard histories leads loading loads looks measure strays wait waiting world"
OLD_MODULES_ALLOWED = {"telephony/simulator/faults.py": "the faults that the simulator is told to make: /simulator/faults"}


def words(name: str) -> list[str]:
    """The words of a CamelCase or snake_case name, in lower case."""
    return [word.lower() for word in WORD.findall(name)]


def is_known(word: str, known: set[str]) -> bool:
    """True when the word, or its singular, is known."""
    return word in known or any(word.endswith(plural) and word.removesuffix(plural) + singular in known for plural, singular in PLURALS)


def ends_in_participle(name: str) -> bool:
    last = words(name)[-1]
    return (last.endswith("ed") and last not in NOUNS_IN_ED) or last in IRREGULAR.split()


def class_names(product: list[Module]) -> Iterator[tuple[str, str]]:
    for module in product:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                yield module.path, node.name


def module_names(product: list[Module]) -> Iterator[tuple[str, str]]:
    for module in product:
        path = PurePath(module.path)
        yield from ((module.path, name) for name in (*path.parent.parts, path.stem) if not name.startswith("__"))


@pytest.fixture(scope="session")
def known(root: Path) -> set[str]:
    """The words of the glossary's headwords, and the plain ones."""
    headwords = HEADWORD.findall((root / "docs" / "glossary.md").read_text())
    return {word for headword in headwords for word in words(headword)} | set(PLAIN_WORDS.read_text().split())


def test_names_are_made_of_known_words(product: list[Module], known: set[str]) -> None:
    names = [*class_names(product), *module_names(product)]
    unknown = {(word, f"{path}: {name}") for path, name in names for word in words(name) if not is_known(word, known)}
    assert sorted(unknown) == [], "add a domain word to docs/glossary.md, or an engineering word to tests/house/plain_words.txt"


def test_no_class_is_named_by_a_past_participle(product: list[Module]) -> None:
    found = {name: path for path, name in class_names(product) if ends_in_participle(name)}
    assert {name: path for name, path in found.items() if name not in PARTICIPLES_ALLOWED} == {}
    assert set(PARTICIPLES_ALLOWED) <= set(found)


def test_no_old_name_is_used(product: list[Module]) -> None:
    classes = [f"{path}: {name}" for path, name in class_names(product) if name.strip("_") in OLD_CLASSES.split()]
    modules = {module.path for module in product if PurePath(module.path).stem in OLD_MODULES.split()}
    assert classes == []
    assert modules == set(OLD_MODULES_ALLOWED)


def test_plain_words_are_sorted() -> None:
    plain = PLAIN_WORDS.read_text().split()
    assert plain == sorted(set(plain))


def test_the_rules_find_what_they_forbid() -> None:
    assert words("RefusedPhoneError") == ["refused", "phone", "error"]
    assert words("HTTPReader") == ["http", "reader"]
    assert words("sign_in_delays") == ["sign", "in", "delays"]
    assert is_known("businesses", {"business"})
    assert is_known("queries", {"query"})
    assert not is_known("whatsit", {"what"})
    assert [name for name in ("Shown", "CallKept", "Loaded", "Feed", "NotRecordedError", "LoadedRun") if ends_in_participle(name)] == [
        "Shown",
        "CallKept",
        "Loaded",
    ]
