"""No phone number and no secret reaches a log line, by whatever road it comes; what is neither stays readable."""

from __future__ import annotations

import json
import logging
import unicodedata
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from dialer import log
from dialer.log import mask_text
from tests.log_lines import logged

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

NONCE = "0123456789abcdef" * 2


@pytest.fixture(params=["json", "console"])
def lines(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What is logged while the test runs, in both formats."""
    with logged(request.param) as stream:
        yield stream


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("calling +972501234567 now", "calling ***567 now"),
        ("calling +972 50-123-4567.", "calling ***567."),
        ("to=050-123-4567", "to=***567"),
        ("(212) 555-0123 rang", "(***123 rang"),
        ("tel %2B12125550123&x=1", "tel ***123&x=1"),
        ("postgresql://u:p@ss@host:5432/d", "postgresql://u:***@host:5432/d"),
        ("redis://:pw@127.0.0.1:6379/0", "redis://:***@127.0.0.1:6379/0"),
        ("Authorization: Basic QUMxMjM0OnNlY3JldA==", "Authorization: *** ***"),
        ("Bearer abcdef.12345", "Bearer ***"),
        ("auth_token='s3cret' next", "auth_token=*** next"),
        ('{"password": "open sesame", "n": 1}', '{"password": ***, "n": 1}'),
        (f"/callbacks/3-77-{NONCE}", "/callbacks/3-77-***"),
    ],
)
def test_what_must_be_hidden(text: str, masked: str) -> None:
    assert mask_text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "run 12345678 took 3.14159265358 s",
        "2026-11-23T12:38:53.367Z done",
        "at 2026-11-23 12:38:53",
        "CA0123456789abcdef0123456789abcdef",
        "4ac8dcd0-1f4b-4d39-8e2c-6a2e8e2f5b11",
        "http://127.0.0.1:8080/healthz",
        "entry 1763901533367-0 trimmed",
        "100,000 leads at business 42",
    ],
)
def test_what_must_stay_readable(text: str) -> None:
    assert mask_text(text) == text


@given(st.integers(10**9, 10**14), st.sampled_from(["", " ", "x=", "[", "'", "to "]), st.sampled_from(["", ".", " y", "'", "]", ","]))
def test_no_number_in_international_form_survives(number: int, before: str, after: str) -> None:
    assert str(number)[:-3] not in mask_text(f"{before}+{number}{after}")


def refuse(phone: str, address: str) -> None:
    message = f"cannot call {phone} at {address}"
    raise ValueError(message)


def test_no_road_into_the_log_is_open(lines: io.StringIO) -> None:
    logger = structlog.get_logger("dialer.test")
    logger.info("placed", phone="+972501234567", to=972501234567, lead={"phone": "050 123 4567", "why": ["+972501234567"]})
    logger.info("set", auth_token="hush", headers={"Authorization": "Basic hush", "Cookie": "session=hush"}, body=b"+972501234567")
    logging.getLogger("a.library").warning("dialled %s with password=%s", "+972501234567", "hush")
    logging.getLogger("a.library").warning("extra", extra={"nonce": "hush", "caller_id": "+972501234567"})
    try:
        refuse("+972501234567", "postgresql://u:hush@h/d")
    except ValueError:
        logger.exception("failed")
        logging.getLogger("a.library").exception("failed")
    written = lines.getvalue()
    assert len(written.splitlines()) >= 6
    assert "ValueError" in written
    for secret in ("hush", "50123456", "50 123 45", "+972"):
        assert secret not in written


@pytest.mark.parametrize("lines", ["json"], indirect=True)
def test_json_lines_say_when_who_and_what(lines: io.StringIO) -> None:
    structlog.get_logger("dialer.test").warning("taken over", partition=7, epoch=3)
    line = json.loads(lines.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "taken over", "level": "warning", "logger": "dialer.test", "partition": 7, "epoch": 3}


def test_debug_of_libraries_that_log_requests_is_silent(lines: io.StringIO) -> None:
    logging.getLogger("twilio.http_client").info("POST %s", "anything")
    logging.getLogger("aiohttp.access").info("GET anything")
    assert lines.getvalue() == ""


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40), name=st.sampled_from(["event", "name", "reason"]))
def test_no_text_forges_a_line_or_moves_the_cursor(text: str, name: str) -> None:
    [shown] = log.escape_controls(None, "", {name: f"before{text}after"}).values()
    assert len(str(shown).splitlines()) == 1
    assert not any(unicodedata.category(sign) in {"Cc", "Zl", "Zp"} for sign in str(shown))
    assert [sign for sign in text if sign.isalnum()] == [sign for sign in text if sign.isalnum() and sign in str(shown)]


def test_a_lead_cannot_write_a_line_of_its_own(lines: io.StringIO) -> None:
    logging.getLogger("test").warning("calling %s", "Dana\n2026-01-01 [error] forged\x1b[2J\u2028more")
    structlog.get_logger("test").warning("calling", name="Dana\r\nforged\x85more")
    assert len(lines.getvalue().splitlines()) == 2
    assert "\x1b" not in lines.getvalue()
