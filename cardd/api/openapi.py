"""The OpenAPI 3.1 document, generated from the route table and the models."""

import re
from typing import Any

import msgspec
from aiohttp import web

from cardd.api.models import ProblemBody
from cardd.api.problems import CONTENT_TYPE
from cardd.api.routes import Route

PATH = "/openapi.json"
_REFERENCE = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)\}")


def route(document: bytes) -> Route:
    """Return the route that serves an encoded document."""

    async def get_openapi(_call: Any) -> web.StreamResponse:
        return web.Response(body=document, content_type="application/json")

    return Route(
        method="GET",
        path=PATH,
        summary="This document",
        handler=get_openapi,
        rights=None,
        answers={200: dict[str, Any]},
    )


def document(routes: tuple[Route, ...], description: str, version: str) -> dict[str, Any]:
    """Describe the routes and every model that they take or give."""
    schemas, components = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for each in routes:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cardd",
            "version": version,
            "description": description,
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _schemas(routes: tuple[Route, ...]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Return the schema of each model, and the components that they refer to."""
    models: dict[Any, None] = {ProblemBody: None}
    for each in routes:
        for model in (each.body, *each.answers.values()):
            if model is not None:
                models[model] = None
    schemas, components = msgspec.json.schema_components(tuple(models), ref_template=_REFERENCE)
    return dict(zip(models, schemas, strict=True)), components


def _operation(each: Route, schemas: dict[Any, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": each.name,
        "summary": each.summary,
        "parameters": [*_path_parameters(each), *_query_parameters(each)],
        "responses": {
            **{
                str(status): _answer(each, model, schemas) for status, model in each.answers.items()
            },
            "default": {
                "description": "A problem (RFC 9457)",
                "content": {CONTENT_TYPE: {"schema": schemas[ProblemBody]}},
            },
        },
        "x-stability": each.stability,
        "x-rights": sorted(each.rights or ()),
    }
    if each.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schemas[each.body]}},
        }
    return described


def _answer(each: Route, model: Any, schemas: dict[Any, Any]) -> dict[str, Any]:
    if model is None:
        return {"description": "Done"}
    content = {media: {"schema": schemas[model]} for media in each.content_types}
    return {"description": each.summary, "content": content}


def _path_parameters(each: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(each.path)
    ]


def _query_parameters(each: Route) -> list[dict[str, Any]]:
    """Describe the fields of the query's model as parameters."""
    _, components = msgspec.json.schema_components((each.query,), ref_template=_REFERENCE)
    schema = components[each.query.__name__]
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": field}
        for name, field in schema["properties"].items()
    ]
