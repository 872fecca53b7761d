"""What is wrong with a form, by the names of its fields, so that each sentence stands beside its field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from web.server.error_responses import said, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiohttp import web as http

    from web.server.errors import ApiError

# Errors that a person can correct in the form; any other is an error page.
CORRECTABLE: Final = frozenset({409, 422})
# Of a sentence that is about no field.
FORM: Final = ""


def outer(path: Sequence[str]) -> str:
    """The field of a form that the field of a request belongs to: one inside a list or an object counts as the outer one."""
    return path[0]


def problems_of(request: http.Request, error: ApiError, inside: str = "", place: Callable[[Sequence[str]], str] = outer) -> dict[str, str]:
    """The sentences of an error by the field of the form that they are about, which `place` finds by the path of the field.

    The fields of the object `inside` have their own names.

    Raises:
        ApiError: `error` itself, when the form cannot be corrected.
    """
    if error.status not in CORRECTABLE:
        raise error
    problems: dict[str, list[str]] = {}
    for detail in error.details:
        field = place(str(detail.get("field", FORM)).removeprefix(f"{inside}.").split("."))
        problems.setdefault(field, []).append(str(translated(request, detail.get("message", error.text))))
    if not problems:
        return {FORM: said(request, error.text)}
    return {field: joined(sentences) for field, sentences in problems.items()}


def joined(sentences: Sequence[str]) -> str:
    """These sentences in a line, each once."""
    said_once = list(dict.fromkeys(sentences))
    return "".join(text + (" " if text.endswith(".") else "; ") for text in said_once[:-1]) + said_once[-1]
