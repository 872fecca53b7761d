"""The operations of web/api/openapi.yaml as tests need them: the role of each, a valid body, and addresses filled with ids."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from dialer.model import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

DESCRIPTION = Path(__file__).parents[2] / "web" / "api" / "openapi.yaml"
PLACEHOLDER = re.compile(r"\{(\w+)\}")
JSON = "application/json"
EVENTS = "text/event-stream"
FORMATS = {
    "date-time": "2030-01-01T12:00:00Z",
    "date": "2030-01-01",
    "email": "someone@example.com",
    "uri": "https://example.com/",
}


@cache
def described() -> dict[str, Any]:
    """The whole description."""
    found: dict[str, Any] = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
    return found


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """This part, its reference followed."""
    while "$ref" in part:
        names = part["$ref"].removeprefix("#/").split("/")
        part = described()
        for name in names:
            part = part[name]
    return part


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path; `role` is None where no credential is asked for."""

    method: str
    path: str
    role: Role | None
    spec: dict[str, Any]

    def __str__(self) -> str:
        """As the contract writes it."""
        return f"{self.method} {self.path}"

    @property
    def ids(self) -> list[str]:
        """The names of the ids in its address."""
        return PLACEHOLDER.findall(self.path)

    @property
    def by_token(self) -> bool:
        """True unless only a person who has signed in may do it."""
        return any("token" in each for each in self.spec.get("security", [{"token": []}]))

    @property
    def body_schema(self) -> dict[str, Any] | None:
        """The schema of its JSON body, if it takes one."""
        content = resolved(self.spec.get("requestBody", {})).get("content", {})
        return resolved(content[JSON]["schema"]) if JSON in content else None

    @property
    def ids_in_body(self) -> list[str]:
        """The names of the ids that its body must have."""
        return [name for name in (self.body_schema or {}).get("required", ()) if name.endswith("_id")]

    def filled(self, ids: Mapping[str, int]) -> str:
        """Its address with these ids."""
        return PLACEHOLDER.sub(lambda found: str(ids[found[1]]), self.path)

    def body(self, ids: Mapping[str, int]) -> Any:  # noqa: ANN401 - any JSON
        """The smallest body it takes, with these ids; None where it takes none."""
        if self.body_schema is None:
            return None
        found = sample(self.body_schema)
        return found | {name: ids[name] for name in self.ids_in_body if name in ids}


def operations() -> Iterator[Operation]:
    """Every operation that is described."""
    for path, methods in described()["paths"].items():
        for method, spec in methods.items():
            role = spec.get("x-role")
            yield Operation(method.upper(), path, Role(role) if role else None, spec)


def sample(schema: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    """The smallest value that fits a schema; where only some texts have a meaning, the first of its `examples`."""
    schema = resolved(schema)
    for key in ("examples", "enum"):
        if key in schema:
            return schema[key][0]
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return sample(schema[key][0])
    kind = schema.get("type", "object")
    return _SAMPLES[kind[0] if isinstance(kind, list) else kind](schema)


_SAMPLES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "object": lambda schema: {name: sample(schema["properties"][name]) for name in schema.get("required", ())},
    "array": lambda schema: [sample(schema["items"]) for _ in range(schema.get("minItems", 0))],
    "string": lambda schema: FORMATS.get(schema.get("format", ""), "x" * schema.get("minLength", 0)),
    "integer": lambda schema: schema.get("minimum", 1),
    "number": lambda schema: schema.get("minimum", 1),
    "boolean": lambda _: False,
    "null": lambda _: None,
}
