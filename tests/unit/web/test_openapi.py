"""The OpenAPI document describes the calls as they are."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

from app.archive.members import MEMBER, OWNER
from web.fields import is_display_name
from web.openapi import PARAMETERS, describe_calls
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


def test_document_has_every_call() -> None:
    assert set(operations()) == {(call.method, call.path) for call in CALLS}


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


def test_every_shared_parameter_and_refusal_is_known() -> None:
    for call in CALLS:
        assert set(call.shared) <= set(PARAMETERS)
        assert set(call.refusals) <= set(CODES)


def test_body_of_a_message_names_its_fields_as_on_the_wire() -> None:
    schema = DOCUMENT["components"]["schemas"]["SendMessage"]
    assert schema["required"] == ["content", "channelId"]
    assert schema["additionalProperties"] is False
    assert "senderName" in schema["properties"]


def test_limits_of_a_query_are_in_its_parameters() -> None:
    parameters = {p["name"]: p for p in operations()["GET", "/api/messages"]["parameters"]}
    assert parameters["limit"]["schema"] == {
        "type": "integer", "minimum": 1, "maximum": 100, "default": 50,
    }  # fmt: skip
    assert "null" not in str(parameters)


def test_list_in_a_query_is_separated_by_commas() -> None:
    (parameter,) = operations()["GET", "/api/presence"]["parameters"]
    assert (parameter["style"], parameter["explode"]) == ("form", False)


def test_refusal_names_the_codes_that_it_may_have() -> None:
    responses = operations()["POST", "/api/messages"]["responses"]
    schema = responses["422"]["content"]["application/problem+json"]["schema"]
    assert schema["properties"]["code"]["enum"] == ["invalid", "idempotency_conflict"]
    assert set(responses) == {
        "200", "201", "400", "401", "403", "413", "415", "422", "500", "503",
    }  # fmt: skip


def test_pattern_of_a_content_and_a_name_allows_what_the_check_does() -> None:
    fields = DOCUMENT["components"]["schemas"]["SendMessage"]["properties"]
    content = re.compile(fields["content"]["pattern"])
    name = re.compile(fields["senderName"]["anyOf"][0]["pattern"])
    for character in map(chr, (*range(0xD800), *range(0xE000, 0x10000))):
        is_content = bool(character.strip()) and character != "\x00"
        assert (content.fullmatch(character) is not None) == is_content, repr(character)
        assert (name.fullmatch(character) is not None) == is_display_name(character)


def test_roles_of_members_are_those_that_are_given() -> None:
    member = DOCUMENT["components"]["schemas"]["Member"]
    assert set(member["properties"]["role"]["enum"]) == {OWNER, MEMBER}
