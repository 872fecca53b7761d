"""The description of the API: as OpenAPI for programs, as a page for people."""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path
from typing import Any, Final

import yaml
from aiohttp import web as http

routes = http.RouteTableDef()

FOLDER: Final = Path(__file__).parent
DESCRIPTION: Final = FOLDER / "openapi.yaml"
STYLE: Final = FOLDER / "docs.css"
EXAMPLES: Final = FOLDER.parents[1] / "docs" / "api.md"


@routes.get("/api/openapi.yaml")
async def openapi(_: http.Request) -> http.Response:
    """The description in OpenAPI 3.1."""
    return http.Response(text=_text(), content_type="application/yaml")


@routes.get("/api/docs")
async def docs_page(_: http.Request) -> http.Response:
    """The description as a page, without scripts."""
    return http.Response(text=_page(), content_type="text/html")


@routes.get("/api/docs/examples.md")
async def examples(_: http.Request) -> http.Response:
    """The usual requests with curl, Python and Node, as text."""
    return http.Response(text=_examples(), content_type="text/plain", charset="utf-8")


@routes.get("/api/docs.css")
async def stylesheet(_: http.Request) -> http.FileResponse:
    """The page's style."""
    return http.FileResponse(STYLE)


@cache
def _text() -> str:
    return DESCRIPTION.read_text(encoding="utf-8")


@cache
def _examples() -> str:
    return EXAMPLES.read_text(encoding="utf-8")


@cache
def _page() -> str:
    api = yaml.safe_load(_text())
    info = api["info"]
    operations = [_operation(path, method, operation) for path, methods in api["paths"].items() for method, operation in methods.items()]
    schemas = [_schema(name, schema) for name, schema in api["components"]["schemas"].items()]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{escape(info["title"])}</title><link rel="stylesheet" href="/api/docs.css"></head><body><main>'
        f"<h1>{escape(info['title'])}</h1>{_paragraphs(info['description'])}"
        '<p>For programs: <a href="/api/openapi.yaml">openapi.yaml</a>. <a href="/api/docs/examples.md">By example</a></p>'
        f"{''.join(operations)}<h2>Shapes</h2>{''.join(schemas)}</main></body></html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    responses = "".join(
        f"<dt>{escape(str(status))}</dt><dd>{escape(response.get('description', '') or _name(response['$ref']))}</dd>"
        for status, response in operation["responses"].items()
    )
    parameters = "".join(f"<li>{_parameter(parameter)}</li>" for parameter in operation.get("parameters", []))
    bodies = "".join(
        f"<li>body, <code>{escape(kind)}</code>: {_shape(body.get('schema', {}))}</li>"
        for kind, body in operation.get("requestBody", {}).get("content", {}).items()
    )
    return (
        f'<section><h2 id="{escape(operation["operationId"])}"><code>{method.upper()} {escape(path)}</code></h2>'
        f"<p><strong>{escape(operation['summary'])}</strong></p>{_role(operation)}{_paragraphs(operation.get('description', ''))}"
        f"<ul>{parameters}{bodies}</ul><dl>{responses}</dl></section>"
    )


def _role(operation: dict[str, Any]) -> str:
    return f"<p>Role: {escape(operation['x-role'])}</p>" if "x-role" in operation else ""


def _parameter(parameter: dict[str, Any]) -> str:
    if "$ref" in parameter:
        return f"<code>{escape(_name(parameter['$ref']))}</code>"
    return f"<code>{escape(parameter['name'])}</code> ({escape(parameter['in'])}): {escape(parameter.get('description', ''))}"


def _schema(name: str, schema: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code></td><td>{_shape(shape)}</td><td>{escape(shape.get('description', ''))}</td></tr>"
        for field, shape in schema.get("properties", {}).items()
    )
    text = _paragraphs(schema.get("description", ""))
    return f'<section><h3 id="{escape(name)}">{escape(name)}</h3>{text}<table>{rows}</table></section>'


def _shape(shape: dict[str, Any]) -> str:
    if "$ref" in shape:
        name = escape(_name(shape["$ref"]))
        return f'<a href="#{name}">{name}</a>'
    if "items" in shape:
        return f"list of {_shape(shape['items'])}"
    if "enum" in shape:
        return escape(" | ".join(str(value) for value in shape["enum"]))
    kind = shape.get("type", "any")
    return escape(" or ".join(kind) if isinstance(kind, list) else str(kind))


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{escape(part)}</p>" for part in text.strip().split("\n\n") if part)


def _name(reference: str) -> str:
    return reference.rsplit("/", 1)[-1]
