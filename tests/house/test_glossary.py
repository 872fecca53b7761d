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
# The fields of a syntax tree's nodes that hold an identifier, or the dotted name of a module.
NAME_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {
    **dict.fromkeys((ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar), ("name",)),
    ast.Name: ("id",),
    ast.Attribute: ("attr",),
    ast.arg: ("arg",),
    ast.keyword: ("arg",),
    ast.alias: ("name", "asname"),
}
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
# What the project called things before it had a glossary: classes, modules, functions and constants.
OLD_CLASSES = """
Ask AwayError Bucket Company Deed Desk Door Driven Ear Front Gate Heard Held Histories Holding Intent Kept Learned Ledger Load Loads Look
LookAgain Make NotLearnedError Partitions Referred Retire Rules Said Seen Sent Sheet Shop Show Shown Stranger Strays TellCall Town Typed
Visitor Withdraw World
"""
OLD_MODULES = "faults gate heard histories leads loading loads looks measure strays wait waiting world"
OLD_MODULES_ALLOWED = {
    "telephony/simulator/faults.py": "the faults that the simulator is told to make: /simulator/faults",
    "tests/mutants/faults.py": "the faults that are put into the product, one at a time",
}
OLD_OTHERS = "AWAY LOCKED bring brought fleet learn refer wire"
# Old names that are plain English words besides. No class or module is called by one of them alone; in other names they mean this.
PLAIN_SENSES = {
    "ask": "to put a question to the provider, to Redis or to the API",
    "away": "of a server: not reachable for now",
    "bucket": "a step of a histogram, as Prometheus calls it",
    "door": "a module through which alone something comes in: tests/house/test_doors.py",
    "driven": "of a run: some worker owns its business",
    "faults": "those that the simulator, the simulation or a mutant has; and mistakes of somebody",
    "front": "of a queue",
    "heard": "by the person on a call",
    "held": "of a lock, a place, a promise: somebody has it",
    "holding": "likewise",
    "kept": "not deleted, or not broken",
    "leads": "people to call",
    "load": "a run, a page, a library: to read it in; and how busy a machine is",
    "loading": "of a run: reading it in",
    "locked": "by another session, another process or a lock file",
    "look": "back, or up: the adverb says where",
    "make": "to create; the program",
    "measure": "to take the time of something",
    "partitions": "the shares of the businesses: docs/glossary.md",
    "rules": "those of calling: docs/rules.md",
    "said": "in words, or by somebody",
    "seen": "observed",
    "sent": "over a wire",
    "show": "to print, or to put on a page",
    "shown": "likewise",
    "stray": "of a quotation mark that belongs to no other",
    "typed": "TypedDict",
    "wait": "to do nothing until something has happened",
    "waiting": "likewise",
    "withdraw": "to take a call, or a request for a place, back before it has begun",
}
# Whole names that somebody else gave.
GIVEN_NAMES = {
    "GATE": "a verdict of the claim, by its name in SQL",
    "SheetVisibleEnum": "the library's name",
    "get_sheet_by_index": "likewise",
    "sheets_metadata": "likewise",
    "STRANGER": "a verdict of the record, likewise",
    "ledger": "the simulator's option --ledger",
}


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


def names_in(node: ast.AST) -> Iterator[str]:
    """The identifiers that this node of a syntax tree bears itself."""
    for field in NAME_FIELDS.get(type(node), ()):
        yield from filter(None, (getattr(node, field) or "").split("."))


def identifiers(modules: list[Module]) -> Iterator[tuple[str, str]]:
    """Every name in the syntax trees, and those of the modules and their folders."""
    yield from module_names(modules)
    for module in modules:
        yield from ((module.path, name) for node in ast.walk(module.tree) for name in names_in(node))


def old_words() -> set[str]:
    """The old names of one word, which no identifier has among its words, unless in its plain sense."""
    names = [words(name) for name in f"{OLD_CLASSES} {OLD_MODULES} {OLD_OTHERS}".split()]
    return {name[0] for name in names if len(name) == 1} - set(PLAIN_SENSES)


def is_old(name: str, old: set[str]) -> bool:
    """True when a word of the name is an old one; singular or plural."""
    return any(not is_known(word, set(PLAIN_SENSES)) and (is_known(word, old) or f"{word}s" in old) for word in words(name))


@pytest.fixture(scope="session")
def all_names(everything: list[Module]) -> dict[str, str]:
    """Every identifier of ours, and a module that has it."""
    return {name: path for path, name in identifiers(everything)}


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


def test_no_old_name_is_used(everything: list[Module], all_names: dict[str, str]) -> None:
    classes = [f"{path}: {name}" for path, name in class_names(everything) if name.strip("_") in OLD_CLASSES.split()]
    modules = {module.path for module in everything if PurePath(module.path).stem in OLD_MODULES.split()}
    assert classes == []
    assert modules == set(OLD_MODULES_ALLOWED)
    old = old_words()
    assert {name: path for name, path in all_names.items() if name not in GIVEN_NAMES and is_old(name, old)} == {}


def test_every_exception_is_needed(all_names: dict[str, str]) -> None:
    used = {word for name in all_names for word in words(name)}
    assert [name for name in GIVEN_NAMES if name not in all_names] == []
    assert [plain for plain in PLAIN_SENSES if not any(is_known(word, {plain}) for word in used)] == []


def test_plain_words_are_sorted() -> None:
    plain = PLAIN_WORDS.read_text().split()
    assert plain == sorted(set(plain))


def test_the_names_of_every_kind_are_found() -> None:
    text = (
        "import a.b as c\nclass D:\n def e(self, f): self.g, h = i(j=1)\n"
        "try: pass\nexcept K as l: pass\nmatch m:\n case [*n]: pass\n case o: pass"
    )
    assert {name for node in ast.walk(ast.parse(text)) for name in names_in(node)} >= set("abcDefghijKlmno")
    old = old_words()
    assert [name for name in ("Intents", "_claimed_intent", "SheetRow", "AWAY_SECONDS", "worldly", "gates") if is_old(name, old)] == [
        "Intents",
        "_claimed_intent",
        "SheetRow",
        "gates",
    ]


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
