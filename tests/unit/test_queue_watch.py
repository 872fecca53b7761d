"""A pace that is set higher than the provider allows is told: by the time that calls wait in its queue."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from pydantic import SecretStr

from actors.calls.queue_watch import REPEAT_SECONDS, QueueWatch
from telephony.provider import Account, CallFacts
from telephony.twilio.client import queue_seconds

if TYPE_CHECKING:
    from dialer.clock import Clock

ACCOUNT, OTHER = Account("AC1", SecretStr("x")), Account("AC2", SecretStr("x"))


def waited(seconds: float | None) -> CallFacts:
    return CallFacts("CA1", "ringing", "", "", None, None, None, None, None, seconds)


def test_a_warning_an_account_every_ten_minutes(caplog: pytest.LogCaptureFixture) -> None:
    now = [1000.0]
    watch = QueueWatch(cast("Clock", SimpleNamespace(boot=lambda: now[0])))
    watch.note(ACCOUNT, [])
    watch.note(ACCOUNT, [waited(None), waited(5)])
    assert caplog.records == []
    watch.note(ACCOUNT, [waited(0), waited(12)])
    watch.note(ACCOUNT, [waited(30)])
    watch.note(OTHER, [waited(30)])
    now[0] += REPEAT_SECONDS
    watch.note(ACCOUNT, [waited(7)])
    assert [(record.args or ()) for record in caplog.records] == [("AC1", 12), ("AC2", 30), ("AC1", 7)]


@pytest.mark.parametrize(("sent", "read"), [("1500", 1.5), ("0", 0), (None, None), ("", None), ("soon", None), ("-1", None), (2000, 2)])
def test_the_time_is_read_in_milliseconds(sent: object, read: float | None) -> None:
    assert queue_seconds(sent) == read
