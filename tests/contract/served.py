"""Looks whether a row of docs/contract.md that says *not yet* is served all the same."""

from __future__ import annotations

import argparse
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from dialer.config import Settings
from dialer.model import Outcome
from ringmaster.cli import parser as dialer_parser
from telephony.simulator.http.rest import Rest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.contract.contract_page import Promise

ROOT = Path(__file__).parents[2]
TOPICS = {"scripts and accounts", "console", "platforms"}


@cache
def openapi() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "web" / "api" / "openapi.yaml").read_text(encoding="utf-8"))
    return found


def operations() -> set[str]:
    """Every request the API describes (tests/contract/test_openapi.py holds that against the routes), as `GET /path`."""
    return {f"{method.upper()} {path}" for path, methods in openapi()["paths"].items() for method in methods}


def properties(schema: str) -> dict[str, Any]:
    """The fields of a schema of the API."""
    found: dict[str, Any] = openapi()["components"]["schemas"].get(schema, {}).get("properties", {})
    return found


def words(part: object) -> set[str]:
    """Every word that an `enum` or a `const` in this part of the description allows, references followed."""
    found: set[str] = set()
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            return words(openapi()["components"]["schemas"].get(part["$ref"].rpartition("/")[2], {}))
        found |= {str(word) for word in part.get("enum", ())} | ({str(part["const"])} if "const" in part else set())
        for inner in part.values():
            found |= words(inner)
    elif isinstance(part, list):
        for inner in part:
            found |= words(inner)
    return found


def settings() -> dict[str, Any]:
    """Every setting by the name of its variable."""
    return {str(field.alias): field for field in Settings.model_fields.values()}


@cache
def commands() -> dict[str, argparse.ArgumentParser]:
    """Every command of `python -m dialer`, by its words, such as `business create`."""
    return dict(_leaves("", dialer_parser()))


def options(command: str) -> tuple[str, set[str]]:
    """The words of a command line of the page and the options it names, alternatives and values left out."""
    plain = re.sub(r"[\[\]]", " ", command).removeprefix("python -m dialer ")
    arguments = plain.split()
    named = {word for word in arguments if word.startswith("--")}
    first_option = next((n for n, word in enumerate(arguments) if word.startswith("--")), len(arguments))
    verb = [word for word in arguments[:first_option] if word.islower()]
    return " ".join(verb), named


def _leaves(words_before: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield words_before.strip(), parser
    for group in groups:
        for name, inner in group.choices.items():
            yield from _leaves(f"{words_before} {name}", inner)


def _command_is_served(promise: Promise) -> bool:
    if promise.id in EXTRA:
        return EXTRA[promise.id]()
    verbs, named = options(promise.name)
    # `run start|pause`: one of them is enough to say that it is there.
    first, _, rest_of_it = verbs.partition(" ")
    each = [f"{first} {verb}".strip() for verb in (rest_of_it.split("|") if rest_of_it else [""])]
    for verb in each:
        known = commands().get(verb)
        if known is not None:
            own = {option for action in known._actions for option in action.option_strings}
            # Of a command that is built, an option more.
            return named <= own
    return False


def _request_is_served(promise: Promise) -> bool:
    request, _, query = promise.name.partition("?")
    if promise.section == 6:
        # What the simulator answers about calls is what the dialer asks for; the resources of an account are further files.
        nobody: Any = None
        return any(route.path.endswith(request.partition(" ")[2].rpartition("/")[2]) for route in Rest(nobody).routes())
    if request not in operations():
        return False
    if promise.id in EXTRA:
        return EXTRA[promise.id]()
    method, _, path = request.partition(" ")
    known = {parameter.get("name") for parameter in openapi()["paths"][path][method.lower()].get("parameters", ())}
    return not query or query.partition("=")[0] in known


# What is asked in the manner of no other row.
EXTRA: dict[str, Callable[[], bool]] = {}


# By the heading of the first column.
BY_KIND: dict[str, Callable[[Promise], bool]] = {
    "request": _request_is_served,
    "command": _command_is_served,
    "answer of": lambda promise: EXTRA[promise.id](),
    "variable": lambda promise: promise.name in settings(),
    "field of a run to load": lambda promise: EXTRA[promise.id]() if promise.id in EXTRA else promise.name in properties("NewRun"),
    "reason of a skipped lead": lambda promise: promise.name in words(properties("Job").get("reason")),
    "rule of why": lambda promise: promise.name in words(properties("JobDetail").get("why")),
    "reason of waits_for": lambda promise: promise.name in words(properties("Run").get("waits_for")),
    "outcome": lambda promise: promise.name in set(Outcome) | words(properties("Job")["outcome"]),
    "promise": lambda promise: EXTRA[promise.id](),
}


def served(promise: Promise) -> bool:
    """True when what this row promises for later is there."""
    assert promise.kind in BY_KIND, f"nobody can tell whether a {promise.kind} is served: say how in BY_KIND"
    return BY_KIND[promise.kind](promise)
