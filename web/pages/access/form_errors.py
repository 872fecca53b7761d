"""What is wrong with the fields of a form, in the reader's language, by the name of the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from web.pages.settings.problems import problems_of
from web.server import inputs
from web.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web as http
    from pydantic import BaseModel

Model = TypeVar("Model", bound="BaseModel")
# Of a field: why it is wrong.
Wrong = dict[str, str]


def checked(request: http.Request, model: type[Model], values: Mapping[str, object]) -> tuple[Model | None, Wrong]:
    """The fields as `model`, or None with what is wrong."""
    try:
        return inputs.check(model, values, texts=True), {}
    except ApiError as error:
        return None, problems_of(request, error)
