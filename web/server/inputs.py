"""Validates the input of a request, within bounds, and names every field that is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from dialer.messages import SERIAL_MAX
from dialer.model import bounded_id
from web.server import errors
from web.server.bodies import SMALL_BODY_PACE, pieces_of
from web.server.errors import ApiError, Text
from web.server.i18n import languages, msgid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web as http

SMALL_BODY_BYTES: Final = 64 * 1024
MAX_DETAILS: Final = 50
JSON: Final = "application/json"

Model = TypeVar("Model", bound=BaseModel)

WRONG: Final[dict[str, str]] = {
    "missing": msgid("is missing"),
    "extra_forbidden": msgid("is not a known field"),
    "int_type": msgid("must be a whole number"),
    "int_parsing": msgid("must be a whole number"),
    "int_from_float": msgid("must be a whole number"),
    "int_parsing_size": msgid("is too large"),
    "bool_type": msgid("must be true or false"),
    "bool_parsing": msgid("must be true or false"),
    "string_type": msgid("must be text"),
    "list_type": msgid("must be a list"),
    "greater_than_equal": msgid("must be at least {ge}"),
    "less_than_equal": msgid("must be at most {le}"),
    "string_too_short": msgid("must have at least {min_length} characters"),
    "string_too_long": msgid("must have at most {max_length} characters"),
    "literal_error": msgid("must be one of {expected}"),
    "string_unicode": msgid("must be text"),
    "float_type": msgid("must be a number"),
    "float_parsing": msgid("must be a number"),
    "finite_number": msgid("must be a number"),
    "greater_than": msgid("must be more than {gt}"),
    "model_type": msgid("must be an object"),
    "dict_type": msgid("must be an object"),
    "too_short": msgid("must have at least {min_length} entries"),
    "too_long": msgid("must have at most {max_length} entries"),
    # Those of dialer/policy/field_errors.py.
    "interval": msgid('must be two times, as ["09:00", "13:00"]'),
    "time_of_day": msgid("must be times as 09:00, from 00:00 to 24:00"),
    "interval_order": msgid("must end later than it begins, on the same day"),
    "intervals_overlap": msgid("must not overlap: one begins at {begin}, before the end of another at {end}"),
    "calendar_date": msgid("must be dates of the calendar, as 2026-12-25; {date} is none"),
    "amount": msgid('must be an amount of money as "12.50", and more than zero'),
    "currency": msgid("must be a currency by its three letters, as USD"),
    "budget": msgid('must have "calls", or "amount" and "currency", or all three'),
    "lone_brace": msgid("has a brace that is no part of a placeholder: write {first_name} for a variable, and {{ or }} for a brace"),
    "control_character": msgid("must have no invisible control characters"),
    "blank_text": msgid("must not be blank"),
    "https_address": msgid("must be an https:// address, without user and password"),
    "wss_address": msgid("must be a wss:// address, without user, password and query"),
    "agent": msgid("must be a number as +97231234567, or an address as sip:agent@example.com"),
    "e164": msgid("must be a number as +97231234567"),
    "parameter_name": msgid("must have names of letters, digits, '.', '_' and '-'"),
    "key": msgid("must have keys from 0 to 9, * and #"),
    "language": msgid("must be a language, as he-IL or en-US"),
    "voice": msgid("must be the name of a voice, as Google.he-IL-Standard-A"),
    "script_kind": msgid('must have exactly one of "say", "play", "dial", "stream" and "twiml"'),
    "script_field": msgid("must have no {field} beside {other}"),
    "script_language": msgid('must have a "language" beside "say", as he-IL'),
    # Those of web/operations.
    "email": msgid("must be an e-mail address, as dana@example.com"),
    "moment": msgid("must be a time with its zone, as 2026-12-01T09:00:00+02:00"),
    "country": msgid("must be countries by their two letters, as IL; {code} is none"),
    "zone": msgid("must be a time zone, as Asia/Jerusalem"),
    "inbound_script": msgid("must have no variables and no keypress: the caller is no lead of a list"),
    "repeated": msgid("must not repeat a value"),
    "account_sid": msgid("must be AC and 32 hexadecimal digits, as Twilio's console shows it"),
    "api_key_sid": msgid("must be SK and 32 hexadecimal digits, as Twilio's console shows it"),
    "provider_secret": msgid("must be the secret as Twilio shows it: no blank, no quotation marks, and no SID"),
    "provider_account": msgid('must have "auth_token", or "api_key_sid" and "api_key_secret" with "signing_key" or "auth_token"'),
}


CANNOT_CHANGE: Final = msgid("cannot be changed after loading")
EITHER: Final = msgid("{first} or {last}")


class Input(BaseModel):
    """The fields of a body or a query string; any other field is an error that names it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


async def read(request: http.Request, limit: int = SMALL_BODY_BYTES) -> bytes:
    """The body.

    Raises:
        ApiError: 400 when it is broken, 408 when it does not arrive in time, 413 when it has more than `limit` bytes.
    """
    return b"".join([piece async for piece in pieces_of(request, limit, request.app[SMALL_BODY_PACE])])


async def body_of(request: http.Request, model: type[Model]) -> Model:
    """A small JSON body as `model`; an empty one is an empty object.

    Raises:
        ApiError: 400, 408, 413, 415 or 422.
    """
    body = await read(request)
    if body and request.content_type != JSON:
        raise ApiError(415, "unsupported_media_type", Text(msgid("The body must be JSON, with Content-Type: application/json.")))
    return check(model, json_object(body) if body else {})


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`.

    Raises:
        ApiError: 400, when it is not one.
    """
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ApiError(400, "malformed_json", Text(msgid("The body is not valid JSON."))) from None
    if not isinstance(value, dict):
        raise ApiError(400, "malformed_json", Text(msgid("The body must be a JSON object.")))
    return value


def query_of(request: http.Request, model: type[Model]) -> Model:
    """The query string as `model`.

    Raises:
        ApiError: 422, naming the fields.
    """
    return check(model, query_texts(request), texts=True)


def query_texts(request: http.Request) -> dict[str, str]:
    """The fields of the query string.

    Raises:
        ApiError: 422, when one is empty or given twice.
    """
    values: dict[str, str] = {}
    for name, value in request.query.items():
        if name in values:
            raise errors.wrong_field(name, Text(msgid("is given twice")))
        if not value:
            # `?status=` is more likely a mistake than a wish for no filter.
            raise errors.wrong_field(name, Text(msgid("must not be empty")))
        values[name] = value
    return values


def check(model: type[Model], values: Mapping[str, Any], *, texts: bool = False) -> Model:
    """`values` as `model`; with `texts` its values are strings to be parsed, as in a query string, else they must have the right type.

    Raises:
        ApiError: 422, naming the fields.
    """
    try:
        return model.model_validate(values, strict=not texts)
    except ValidationError as error:
        fixed: frozenset[str] = getattr(model, "FIXED", frozenset())
        raise errors.invalid([_detail(dict(item), fixed) for item in error.errors(include_url=False)[:MAX_DETAILS]]) from None


def id_of(request: http.Request, name: str, largest: int = SERIAL_MAX) -> int:
    """An id in the path, from 1 to `largest`.

    Raises:
        ApiError: 404, as for a missing row, when it is not an id.
    """
    try:
        return bounded_id(request.match_info[name], largest)
    except ValueError:
        raise errors.not_found() from None


def optional_id(text: str, largest: int = SERIAL_MAX) -> int | None:
    """The id that `text` spells, from 1 to `largest`; None when it is not one."""
    try:
        return bounded_id(text, largest)
    except ValueError:
        return None


def refuse(kind: str, **context: str) -> NoReturn:
    """Refuse a value, within a validator; `kind` is one of WRONG.

    Raises:
        PydanticCustomError: always.
    """
    raise PydanticCustomError(kind, WRONG[kind], context)


def _known_language(code: str) -> str:
    if code not in languages():
        refuse("literal_error", expected=" or ".join(", ".join(map(repr, languages())).rsplit(", ", 1)))
    return code


# The code of a language that has a catalog.
KnownLanguage = Annotated[str, AfterValidator(_known_language)]


def _no_constant(name: str) -> None:
    """NaN and Infinity are not JSON (RFC 8259, section 6), although Python's parser accepts them."""
    raise ValueError(name)


def _detail(error: dict[str, Any], fixed: frozenset[str]) -> dict[str, Any]:
    """What is wrong with a field; one of `fixed` is known, and cannot be changed."""
    name = ".".join(str(part) for part in error["loc"]) or "body"
    text = CANNOT_CHANGE if error["type"] == "extra_forbidden" and name in fixed else WRONG.get(error["type"])
    if text is None:
        return {"field": name[:100], "message": str(error["msg"]).removeprefix("Value error, ")}
    values = error.get("ctx") or {}
    if error["type"] == "literal_error":
        values = {"expected": _in_words(values["expected"])}
    return {"field": name[:100], "message": Text(text, values)}


def _in_words(expected: str) -> Text | str:
    """The values that pydantic expects, `'wait' or 'skip'`, with its English word translated."""
    first, between, last = expected.rpartition(" or ")
    return Text(EITHER, {"first": first, "last": last}) if between else expected
