"""The doors to time and chance: deadlines never run backwards, ids of one seed repeat."""

from __future__ import annotations

from dialer.clock import Clock, Ids, SeededIds, SystemClock, SystemIds
from dialer.model import Reference


def test_the_system_clock_runs_forward_and_knows_its_zone() -> None:
    clock: Clock = SystemClock()
    first = clock.boot()
    assert clock.boot() >= first
    offset = clock.now().utcoffset()
    assert offset is not None
    assert offset.total_seconds() == 0


def test_a_seed_repeats_its_ids_and_two_processes_do_not() -> None:
    def drawn(ids: Ids) -> list[object]:
        return [ids.uuid(), ids.nonce(), ids.fraction()]

    assert drawn(SeededIds(1)) == drawn(SeededIds(1))
    assert drawn(SeededIds(1)) != drawn(SeededIds(2))
    assert drawn(SystemIds()) != drawn(SystemIds())


def test_a_nonce_is_one_that_references_take() -> None:
    for ids in (SystemIds(), SeededIds(0)):
        reference = Reference(1, 2, ids.nonce())
        assert Reference.parse(str(reference)) == reference
