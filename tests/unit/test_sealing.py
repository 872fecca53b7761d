"""Sealing with several keys: the first seals, all open, and what an older key sealed is renewed."""

from __future__ import annotations

import time

import pytest

from dialer.sealing import BrokenSealError, Seal

OLD, NEW = "old" * 12, "new" * 12
BOTH = f"{NEW}, {OLD}"


def test_every_key_opens_and_the_first_seals() -> None:
    before, after = Seal(OLD, "account").close(b"secret"), Seal(BOTH, "account").close(b"secret")
    assert Seal(BOTH, "account").open(before) == b"secret"
    assert Seal(NEW, "account").open(after) == b"secret"
    for seal, sealed in ((Seal(NEW, "account"), before), (Seal(OLD, "account"), after), (Seal(BOTH, "session"), before)):
        with pytest.raises(BrokenSealError):
            seal.open(sealed)


def test_what_an_older_key_sealed_is_renewed_once() -> None:
    before = Seal(OLD, "session").close(b"secret")
    renewed = Seal(BOTH, "session").renew(before)
    assert Seal(NEW, "session").open(renewed) == b"secret"
    assert Seal(BOTH, "session").renew(renewed) == renewed
    with pytest.raises(BrokenSealError):
        Seal(NEW, "session").renew(before)


def test_a_renewed_seal_is_as_old_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Seal(OLD, "session").close(b"secret")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 100)
    renewed = Seal(BOTH, "session").renew(before)
    with pytest.raises(BrokenSealError):
        Seal(BOTH, "session").open(renewed, max_age_seconds=50)
