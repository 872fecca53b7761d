"""Logs: one event a line, JSON or for a terminal; phone numbers and secrets never in the clear.

Whatever passes through Python's own `logging` takes the same road, libraries included.

On the road of a call: beside every step of it; nothing here decides anything.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any, TextIO

import structlog

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from structlog.typing import Processor, WrappedLogger

    from dialer.config import Settings

MASK = "***"
SHOWN_DIGITS = 3  # of a phone number: enough to tell two apart, not to call one
DEPTH = 6  # of nested values looked into; what lies deeper is masked whole

SECRET_NAMES = re.compile(
    r"(?i)(password|passwd|secret|auth_?token|(^|_)token$|authorization|cookie|nonce|api_?key|credential|signature)",
)
PHONE_NAMES = re.compile(r"(?i)(^|_)(phone|phone_number|to|from|from_|caller_id|called|caller)$")

# +972 50-123-4567, tel:+1..., 0501234567: with a plus 7 to 15 digits (E.164); without, 9 to 15, which ids of ours stay below and
# times of day are not. Not within a longer word or number: a Twilio sid, a uuid and a decimal fraction stay readable.
PHONE = re.compile(r"(?<![\w.:])(?:\+(?:[ .()-]?\d){7,15}|\(?\d(?:[ ()-]{0,2}\d){8,14})(?![\w:]|[.-]\d)")
ENCODED_PHONE = re.compile(r"(?i)%2B\d{7,15}")
URL_PASSWORD = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/]*@")
AUTHORIZATION = re.compile(r"(?i)\b(basic|bearer|digest)\s+[a-z0-9._~+/=-]{6,}")
# A reference in a callback's address, business-attempt-nonce: the first two say which, the third lets in.
REFERENCE = re.compile(r"\b(\d+-\d+)-[0-9a-f]{32}\b")
# name=value and "name": "value" in texts of others
ASSIGNED = re.compile(
    r"""(?ix)
    (["']? [\w-]* (?:password|passwd|secret|auth_?token|authorization|cookie|nonce|api_?key|signature) [\w-]* ["']? \s* [=:] \s*)
    (?: "[^"]*" | '[^']*' | [^\s,;&)}\]]+ )
    """,
)
# Digits that look like a phone number and are not: a time, the id of a stream's entry.
READABLE = re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?|(?<![\d+-])\d{13}-\d{1,6}(?![\w-])")


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Set up structlog and `logging` for this process; `stream` is standard error unless a test wants to read it."""
    out = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    renderer: Processor = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    if not settings.logs_json:
        renderer = structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            # Exceptions become text before the mask, so that nothing can be added after it. The traceback has no local variables:
            # they hold requests and credentials.
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                mask_event,
                renderer,
            ],
        ),
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.log_level)
    # Each request's line would carry its address, and with it the reference that lets a callback in.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    # The library logs the headers and the form of every request at INFO.
    logging.getLogger("twilio").setLevel(logging.WARNING)


def mask_event(_: WrappedLogger, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Mask the whole event, its nested values and the text of its exception."""
    # The time stamp and the level are ours.
    return {name: value if name in {"timestamp", "level"} else _mask(name, value, DEPTH) for name, value in event.items()}


def mask_text(text: str) -> str:
    """Mask the phone numbers and secrets in `text`: for whatever leaves us and is not a log line."""
    text = URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    text = AUTHORIZATION.sub(rf"\1 {MASK}", text)
    text = ASSIGNED.sub(rf"\1{MASK}", text)
    text = REFERENCE.sub(rf"\1-{MASK}", text)
    text = ENCODED_PHONE.sub(lambda found: mask_phone(found[0]), text)
    return _mask_phones(text)


def mask_phone(text: str) -> str:
    """A phone number as its last three digits; `***` when it is too short to hide the rest."""
    digits = re.sub(r"\D", "", text)
    return MASK + digits[-SHOWN_DIGITS:] if len(digits) > 2 * SHOWN_DIGITS else MASK


def _mask_phones(text: str) -> str:
    """Mask phone numbers everywhere but in what only looks like one."""
    parts, last = [], 0
    for kept in READABLE.finditer(text):
        parts += [PHONE.sub(_shorten, text[last : kept.start()]), kept[0]]
        last = kept.end()
    return "".join([*parts, PHONE.sub(_shorten, text[last:])])


def _shorten(found: re.Match[str]) -> str:
    return mask_phone(found[0])


def _mask(name: str, value: object, depth: int) -> object:
    if value is None or isinstance(value, bool):
        return value
    if SECRET_NAMES.search(name):
        return MASK
    if isinstance(value, int | float):
        return mask_phone(str(value)) if PHONE_NAMES.search(name) else value
    if isinstance(value, str):
        return mask_phone(value) if PHONE_NAMES.search(name) and re.search(r"\d{4}", value) else mask_text(value)
    return MASK if depth == 0 else _mask_inside(name, value, depth - 1)


def _mask_inside(name: str, value: object, depth: int) -> object:
    if isinstance(value, dict):
        return {mask_text(str(key)): _mask(str(key), inner, depth) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_mask(name, inner, depth) for inner in value]
    return mask_text(value.decode(errors="replace") if isinstance(value, bytes) else str(value))
