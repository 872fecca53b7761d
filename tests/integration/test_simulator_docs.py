"""docs/simulator.md names every flag, scenario, field, fault and address of the simulator, and none that does not exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from telephony.simulator import Faults, Scenario
from telephony.simulator.__main__ import parser
from telephony.simulator.accounts.account_record import SimulatorAccount
from telephony.simulator.http.control import Control
from telephony.simulator.http.page import Page
from telephony.simulator.scenarios import Course
from tests.simulator_client import running_here

TEXT: Final = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")


def column(head: str) -> set[str]:
    """The names in backticks of the first column of the table with this heading."""
    table = TEXT.split(f"\n| {head} |", 1)[1].split("\n\n", 1)[0]
    rows = [re.split(r"(?<!\\)\|", line)[1] for line in table.splitlines()[2:]]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


@pytest.mark.parametrize(
    ("head", "names"),
    [
        ("scenario", {kind.value for kind in Scenario}),
        ("field of a course", {*Course.model_fields}),
        ("field of an account", {*SimulatorAccount.model_fields} - {"sid"}),
        ("fault", {*Faults.model_fields}),
    ],
)
def test_the_tables_name_what_there_is(head: str, names: set[str]) -> None:
    assert column(head) == names


def test_every_flag_is_explained() -> None:
    flags = {option for action in parser()._actions for option in action.option_strings if option.startswith("--")} - {"--help"}
    assert {re.split(r"[ \\]", flag)[0] for flag in column("flag")} == flags


async def test_every_address_of_the_control_interface_is_explained() -> None:
    async with running_here() as here:
        routes = [*Control(here.sim).routes(), *Page(here.sim).routes()]
    assert column("request") == {f"{route.method} {route.path}" for route in routes if "/page/" not in route.path}
