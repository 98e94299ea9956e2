"""The OpenAPI 3.1 document, made from the URL map and the models that check the requests."""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp.typedefs import Handler
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema

from web.answers import ProblemDetails
from web.fields import DisplayName, GivenId, IdempotencyKey
from web.problems import CODES

_REFERENCE: Final = "#/components/schemas/{model}"
_DESCRIPTION: Final = (
    "The HTTP side of Hubbub, a real-time chat. WebSocket and event streams carry the same events; "
    "what they hold is written in docs/protocol.md. Every process serves `/healthz`, `/readyz` "
    "and `/metrics` beside these."
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter that many calls share: where it stands, what it says, and its type."""

    place: str
    description: str
    type: Any


PARAMETERS: Final[Mapping[str, Parameter]] = {
    "X-User-Id": Parameter("header", "Who asks.", GivenId),
    "X-User-Name": Parameter("header", "The name of who asks.", DisplayName),
    "userId": Parameter("query", "Who asks, as X-User-Id.", GivenId),
    "userName": Parameter("query", "The name of who asks, as X-User-Name.", DisplayName),
    "Idempotency-Key": Parameter(
        "header", "Repeat a write with the same key: it is done once.", IdempotencyKey
    ),
    "Last-Event-ID": Parameter(
        "header", "Where to go on: the last `id:` of a stream of the same channels.", str
    ),
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
    shared: Sequence[str] = ()
    """The names in `PARAMETERS` of those that it takes."""
    answers: Mapping[int, Sequence[type[BaseModel]]] = field(default_factory=dict)
    """Status -> the models one of which is the answer."""
    text: str | None = None
    """The media type of an answer that is no JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of an answer -> their pattern."""
    refusals: Sequence[str] = ()
    """The codes of docs/protocol.md beside those that every call may answer with."""


def describe_calls(calls: Sequence[Call]) -> dict[str, Any]:
    """Return the document for `calls`."""
    schemas = _Schemas(calls)
    paths: dict[str, dict[str, Any]] = {}
    for call in calls:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hubbub", "version": "1", "description": _DESCRIPTION},
        "paths": paths,
        "components": {"schemas": schemas.definitions},
    }


class _Generator(GenerateJsonSchema):
    """Without a title for every field: it would only repeat the field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class _Schemas:
    """The schemas of all models of the calls, by reference."""

    def __init__(self, calls: Sequence[Call]) -> None:
        models = {call.body for call in calls if call.body is not None} | {ProblemDetails}
        models |= {model for call in calls for found in call.answers.values() for model in found}
        # Answers as validated too: what they describe is always there, default or not.
        self._references, document = models_json_schema(
            [(model, "validation") for model in sorted(models, key=lambda model: model.__name__)],
            ref_template=_REFERENCE,
            schema_generator=_Generator,
        )
        self.definitions: dict[str, Any] = document["$defs"]

    def of(self, model: type[BaseModel]) -> JsonSchemaValue:
        return self._references[model, "validation"]


def _operation(call: Call, schemas: _Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{call.handler.__module__.rpartition('.')[2]}_{call.handler.__name__}",
        "tags": [_tag(call.path)],
        "summary": _summary(call.handler),
        "parameters": list(_parameters(call)),
        "responses": {
            **{
                str(status): _answer(call, found, schemas) for status, found in call.answers.items()
            },
            **_refusals(call, schemas),
        },
    }
    if call.body is not None:
        required = any(info.is_required() for info in call.body.model_fields.values())
        content = {"application/json": {"schema": schemas.of(call.body)}}
        operation["requestBody"] = {"required": required, "content": content}
    return operation


def _tag(path: str) -> str:
    return path.removeprefix("/api").split("/")[1]


def _summary(handler: Handler) -> str:
    return re.sub(r"\s+", " ", (inspect.getdoc(handler) or "").partition("\n\n")[0])


def _parameters(call: Call) -> Iterable[dict[str, Any]]:
    for name, pattern in call.ids.items():
        schema = {"type": "string", "pattern": f"^{pattern}$"}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if call.query is not None:
        whole = call.query.model_json_schema(schema_generator=_Generator)
        for info in call.query.model_fields.values():
            yield _query_parameter(info, whole)
    for name in call.shared:
        found = PARAMETERS[name]
        yield {
            "name": name,
            "in": found.place,
            "description": found.description,
            "schema": TypeAdapter(found.type).json_schema(),
        }


def _query_parameter(info: FieldInfo, whole: JsonSchemaValue) -> dict[str, Any]:
    name = str(info.alias)
    schema = dict(whole["properties"][name])
    if schema.get("default", ...) is None:
        # Absent is all that null can be in a query.
        del schema["default"]
        (schema,) = [each for each in schema.pop("anyOf") if each != {"type": "null"}]
    parameter = {"name": name, "in": "query", "required": info.is_required(), "schema": schema}
    if schema.get("type") == "array":
        parameter |= {"style": "form", "explode": False}
    return parameter


def _answer(call: Call, models: Sequence[type[BaseModel]], schemas: _Schemas) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Done."}
    if call.headers:
        answer["headers"] = {
            name: {"required": True, "schema": {"type": "string", "pattern": pattern}}
            for name, pattern in call.headers.items()
        }
    if call.text is not None:
        answer["content"] = {call.text: {"schema": {"type": "string"}}}
    elif models:
        found = [schemas.of(model) for model in models]
        schema = found[0] if len(found) == 1 else {"anyOf": found}
        answer["content"] = {"application/json": {"schema": schema}}
    return answer


def _refusals(call: Call, schemas: _Schemas) -> dict[str, Any]:
    codes = {*call.refusals, "internal", "unavailable"}
    if call.ids or call.query or call.body or call.shared:
        codes.add("invalid")
    if call.body:
        codes |= {"bad_json", "too_large", "unsupported_media_type"}
    by_status: dict[int, list[str]] = {}
    for name, code in CODES.items():
        if name in codes:
            by_status.setdefault(code.status, []).append(name)
    return {str(status): _refusal(status, names, schemas) for status, names in by_status.items()}


def _refusal(status: int, names: Sequence[str], schemas: _Schemas) -> dict[str, Any]:
    # Beside the reference: in 3.1 both hold.
    schema = {**schemas.of(ProblemDetails), "properties": {"code": {"enum": list(names)}}}
    refusal: dict[str, Any] = {
        "description": " ".join(f"`{name}`: {CODES[name].when}" for name in names),
        "content": {"application/problem+json": {"schema": schema}},
    }
    if status == CODES["unavailable"].status:
        refusal["headers"] = {"Retry-After": {"required": True, "schema": {"type": "string"}}}
    return refusal
