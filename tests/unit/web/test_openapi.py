"""The OpenAPI document describes the calls as they are."""

from collections.abc import Iterator
from typing import Any

import orjson

from web.openapi import HEADERS, describe_calls
from web.problems import CODES
from web.routes import CALLS

DOCUMENT = orjson.loads(orjson.dumps(describe_calls(CALLS)))


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def operations() -> dict[tuple[str, str], Any]:
    return {
        (method.upper(), path): operation
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    }


def test_document_has_every_call_but_the_streams() -> None:
    wanted = {(c.method, c.path) for c in CALLS if c.path not in ("/ws", "/api/events")}
    assert set(operations()) == wanted


def test_every_reference_leads_somewhere() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    found = set(references(DOCUMENT))
    assert found
    assert {r.removeprefix("#/components/schemas/") for r in found} <= set(schemas)


def test_every_operation_has_an_id_of_its_own_and_a_summary() -> None:
    ids = [operation["operationId"] for operation in operations().values()]
    assert len(set(ids)) == len(ids)
    assert all(operation["summary"] for operation in operations().values())


def test_every_name_in_a_path_is_a_parameter_of_it() -> None:
    for (_, path), operation in operations().items():
        names = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        assert names == {part[1:-1] for part in path.split("/") if part.startswith("{")}


def test_every_header_and_refusal_is_known() -> None:
    for call in CALLS:
        assert set(call.headers) <= set(HEADERS)
        assert set(call.refusals) <= set(CODES)


def test_body_of_a_message_names_its_fields_as_on_the_wire() -> None:
    schema = DOCUMENT["components"]["schemas"]["SendMessage"]
    assert schema["required"] == ["content", "channelId"]
    assert schema["additionalProperties"] is False
    assert "senderName" in schema["properties"]
