"""The OpenAPI 3.1 document, made from the URL map and the models that check the requests."""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp.typedefs import Handler
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from web.answers import ProblemDetails
from web.problems import CODES

_REFERENCE: Final = "#/components/schemas/{model}"

HEADERS: Final[Mapping[str, str]] = {
    "X-User-Id": "Who asks, in open mode.",
    "X-User-Name": "Their name, in open mode.",
    "Idempotency-Key": "Repeat a write with the same key: it is done once.",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One line of the URL map: where, by what it is answered, and what goes in and out."""

    method: str
    path: str
    handler: Handler
    ids: Mapping[str, str] = field(default_factory=dict)
    """Names in the path -> their pattern."""
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    headers: Sequence[str] = ()
    answers: Mapping[int, Sequence[type[BaseModel]]] = field(default_factory=dict)
    """Status -> the models one of which is the answer; no status: not in the document."""
    refusals: Sequence[str] = ()
    """The codes of docs/protocol.md beside those that every call may answer with."""


def describe_calls(calls: Iterable[Call]) -> dict[str, Any]:
    """Return the document for those of `calls` that have an answer to describe."""
    described = [call for call in calls if call.answers]
    schemas = _Schemas(described)
    paths: dict[str, dict[str, Any]] = {}
    for call in described:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hubbub", "version": "1", "description": "Real-time chat."},
        "paths": paths,
        "components": {"schemas": schemas.definitions},
    }


class _Schemas:
    """The schemas of all models of the calls, by reference."""

    def __init__(self, calls: Sequence[Call]) -> None:
        bodies = {call.body for call in calls if call.body is not None}
        answers = {m for call in calls for models in call.answers.values() for m in models}
        inputs = [(model, "validation") for model in sorted(bodies, key=lambda m: m.__name__)]
        # As validated too: what they describe is always there, default or not.
        outputs = [(m, "validation") for m in sorted(answers, key=lambda m: m.__name__)]
        self._references, document = models_json_schema(
            [*inputs, *outputs, (ProblemDetails, "validation")],  # type: ignore[list-item]  # a Literal
            ref_template=_REFERENCE,
        )
        self.definitions: dict[str, Any] = document["$defs"]

    def of(self, model: type[BaseModel]) -> dict[str, Any]:
        return self._references[model, "validation"]


def _operation(call: Call, schemas: _Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{call.handler.__module__.rpartition('.')[2]}_{call.handler.__name__}",
        "summary": _summary(call.handler),
        "parameters": _parameters(call),
        "responses": {
            **{str(status): _answer(models, schemas) for status, models in call.answers.items()},
            **_refusals(call, schemas),
        },
    }
    if call.body is not None:
        required = any(info.is_required() for info in call.body.model_fields.values())
        content = {"application/json": {"schema": schemas.of(call.body)}}
        operation["requestBody"] = {"required": required, "content": content}
    return operation


def _summary(handler: Handler) -> str:
    return re.sub(r"\s+", " ", (inspect.getdoc(handler) or "").partition("\n\n")[0])


def _parameters(call: Call) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": f"^{pattern}$"},
        }
        for name, pattern in call.ids.items()
    ]
    if call.query is not None:
        schema = call.query.model_json_schema(ref_template=_REFERENCE)
        parameters += (
            {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", ()),
                "schema": {key: v for key, v in item.items() if key != "title"},
            }
            for name, item in schema["properties"].items()
        )
    parameters += (
        {"name": n, "in": "header", "description": HEADERS[n], "schema": {"type": "string"}}
        for n in call.headers
    )
    return parameters


def _answer(models: Sequence[type[BaseModel]], schemas: _Schemas) -> dict[str, Any]:
    if not models:
        return {"description": "Done."}
    found = [schemas.of(model) for model in models]
    schema = found[0] if len(found) == 1 else {"anyOf": found}
    return {"description": "Done.", "content": {"application/json": {"schema": schema}}}


def _refusals(call: Call, schemas: _Schemas) -> dict[str, Any]:
    codes = {*call.refusals, "internal", "unavailable"}
    if call.ids or call.query or call.body:
        codes.add("invalid")
    if call.body:
        codes |= {"bad_json", "too_large", "unsupported_media_type"}
    by_status: dict[str, list[str]] = {}
    for code, (status, _) in CODES.items():
        if code in codes:
            by_status.setdefault(str(status), []).append(code)
    content = {"application/problem+json": {"schema": schemas.of(ProblemDetails)}}
    return {
        status: {"description": ", ".join(f"`{code}`" for code in found), "content": content}
        for status, found in by_status.items()
    }
