"""Logging: one event per line, JSON or for a terminal; phone numbers and secrets are masked.

Records of Python's own `logging`, those of libraries included, are processed in the same way.
"""

from __future__ import annotations

import logging
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from dialer.phone_masks import MASK, mask_phone, mask_phones

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

    from structlog.typing import Processor, WrappedLogger

    from dialer.config import Settings

# What `format_exc_info` names the traceback.
TRACEBACK = "exception"
# C0 and C1 controls, line and paragraph separators, and marks that turn the direction of a text.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
DEPTH = 6  # levels of nested values that are masked in part; deeper ones are masked whole

SECRET_NAMES = re.compile(
    r"(?i)(password|passwd|secret|auth_?token|(^|_)token$|authorization|cookie|nonce|api_?key|credential|signature)",
)
PHONE_NAMES = re.compile(
    r"(?i)(^|_)(phones?|phone_numbers?|telephone|tel|mobile|cell|msisdn|to|from|from_|to_number|from_number|caller_ids?|called|caller|callee)$"
)

# Every repetition below is bounded: a line of a hundred thousand letters must not take a second.
URL_PASSWORD = re.compile(r"(?i)(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,30}://[^\s:/@]{0,256}):[^\s/]{0,1024}@")
AUTHORIZATION = re.compile(r"(?i)\b(basic|bearer|digest)\s+[a-z0-9._~+/=-]{6,}")
# A reference in a callback's address, business-attempt-nonce: the nonce is the secret.
REFERENCE = re.compile(r"\b(\d+-\d+)-[0-9a-f]{32}\b")
# name=value and "name": "value" in foreign text
ASSIGNED = re.compile(
    r"""(?ix)
    ((?:password|passwd|secret|auth_?token|authorization|cookie|nonce|api_?key|signature) [\w-]{0,40} ["']? \s{0,8} [=:] \s{0,8})
    (?: "[^"]*" | '[^']*' | [^\s,;&)}\]]+ )
    """,
)


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
            # Exceptions become text before masking, so that nothing is added after it. Tracebacks omit local variables: they hold
            # requests and credentials.
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                mask_event,
                escape_controls,
                renderer,
            ],
        ),
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.log_level)
    # Each line would contain the address, and with it the nonce of a callback.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    # The library logs the headers and the form of every request at INFO.
    logging.getLogger("twilio").setLevel(logging.WARNING)


@contextmanager
def about(**ids: object) -> Iterator[None]:
    """Add ids to every line that is logged in a block, libraries' included: business_id, run_id, job_id, attempt_id, sid; but None."""
    with structlog.contextvars.bound_contextvars(**{name: value for name, value in ids.items() if value is not None}):
        yield


def mask_event(_: WrappedLogger, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Mask the whole event, its nested values and the text of its exception."""
    # The time stamp and the level are our own values.
    return {name: value if name in {"timestamp", "level"} else _mask(name, value, DEPTH) for name, value in event.items()}


def escape_controls(_: WrappedLogger, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Escape what could forge a line or move the cursor of a terminal in every text of the event, but for the lines of a traceback."""
    return {name: value if name == TRACEBACK else _escaped(value) for name, value in event.items()}


def _escaped(value: object) -> object:
    return CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", value) if isinstance(value, str) else value


def mask_text(text: str) -> str:
    """Mask the phone numbers and secrets in `text`: for output that is not a log line."""
    text = URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    text = AUTHORIZATION.sub(rf"\1 {MASK}", text)
    text = ASSIGNED.sub(rf"\1{MASK}", text)
    text = REFERENCE.sub(rf"\1-{MASK}", text)
    return mask_phones(text)


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
