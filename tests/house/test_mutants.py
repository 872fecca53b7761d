"""Every deliberate fault of `python -m tests.mutants` still finds what it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutants.faults import FAULTS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.mutants.fault import Fault


def effect_of(fault: Fault, root: Path) -> str:
    """What is wrong with the fault; empty when it would have an effect."""
    try:
        fault.text()
        missing = [name for target, name, _ in fault.replaces if not hasattr(target, name)]
    except LookupError as error:
        return str(error)
    if fault.test and not (root / fault.test.partition("::")[0]).is_file():
        missing.append(fault.test)
    return ", ".join(missing)


def test_every_fault_has_an_effect(root: Path) -> None:
    assert {fault.name: effect for fault in FAULTS if (effect := effect_of(fault, root))} == {}
