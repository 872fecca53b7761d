"""Ids from outside: whatever text comes, it is read as a number PostgreSQL can hold, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.messages import Command, CommandType
from dialer.model import BIGINT_MAX, INTEGER_MAX, Reference, bounded_id

NONCE = "0123456789abcdef" * 2
# Near every bound there is, and anything at all.
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from([INTEGER_MAX, BIGINT_MAX, 10**19, 2**64]).flatmap(lambda edge: st.integers(edge - 2, edge + 2).map(str)),
    st.text(max_size=30),
    st.integers(0, 2**70).map(lambda number: f"{number:030}"),
)


@settings(deadline=None)
@given(NUMBERS, st.sampled_from([INTEGER_MAX, BIGINT_MAX]))
def test_an_id_is_within_its_bounds_or_refused(text: str, largest: int) -> None:
    try:
        found = bounded_id(text, largest)
    except ValueError:
        return
    assert 1 <= found <= largest
    assert int(text) == found


@settings(deadline=None)
@given(NUMBERS, NUMBERS, st.one_of(st.just(NONCE), st.text(max_size=40)))
def test_a_reference_holds_what_postgresql_can_hold_or_is_none(business_id: str, attempt_id: str, nonce: str) -> None:
    try:
        found = Reference.parse(f"{business_id}-{attempt_id}-{nonce}")
    except ValueError:
        return
    assert 1 <= found.business_id <= INTEGER_MAX
    assert 1 <= found.attempt_id <= BIGINT_MAX
    assert found.nonce == NONCE or len(found.nonce) == 32


@pytest.mark.parametrize("kind", CommandType)
def test_everything_that_changes_the_answer_is_in_the_digest(kind: CommandType) -> None:
    plain = Command(1, "id", kind, 7)
    others = [
        Command(1, "id", kind, 8),
        Command(1, "id", kind, 7, 3),
        Command(1, "id", kind, 7, hang_up=True),
        Command(1, "id", kind, 7, wait=True),
        Command(1, "id", kind, 7, hang_up=True, wait=True),
    ]
    assert len({command.digest for command in (plain, *others)}) == len(others) + 1
    assert plain.digest == Command(1, "another", kind, 7, requested_by="somebody").digest
