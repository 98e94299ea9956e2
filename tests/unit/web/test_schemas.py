"""What a client may send."""

import json
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from app.errors import RequestError
from web.parsing import check_idempotency_key, decode, parse
from web.schemas import EditMessage, MessagesQuery, ReactionsQuery, SendMessage

GOOD = {"content": "Hello", "channelId": "c", "senderId": "u", "senderName": "U"}
ID = "0197f3b0-7c11-7abc-8def-0123456789ab"


def refusal(model: type[BaseModel], data: Any) -> RequestError:
    with pytest.raises(RequestError) as raised:
        parse(model, data)
    return raised.value


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"content": None}, "content"),
        ({"content": 1}, "content"),
        ({"content": ""}, "content"),
        ({"content": " \n\t\u2003"}, "content"),
        ({"content": "a\x00b"}, "content"),
        ({"content": "x" * 4001}, "content"),
        ({"channelId": ""}, "channelId"),
        ({"channelId": "a b"}, "channelId"),
        ({"channelId": "c\n"}, "channelId"),
        ({"channelId": "é"}, "channelId"),
        ({"channelId": "c" * 65}, "channelId"),
        ({"channelId": 7}, "channelId"),
        ({"senderId": "../x"}, "senderId"),
        ({"senderId": ["u"]}, "senderId"),
        ({"senderName": ""}, "senderName"),
        ({"senderName": "  "}, "senderName"),
        ({"senderName": "a\nb"}, "senderName"),
        ({"senderName": "n" * 101}, "senderName"),
        ({"nonce": ""}, "nonce"),
        ({"nonce": "a\nb"}, "nonce"),
        ({"nonce": 5}, "nonce"),
        ({"replyTo": "5"}, "replyTo"),
        ({"replyTo": ID.upper()}, "replyTo"),
        ({"mentions": "u"}, "mentions"),
        ({"mentions": ["a b"]}, "mentions.0"),
        ({"mentions": ["u"] * 51}, "mentions"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"a": "x" * 4096}}, "metadata"),
        ({"metadata": {"a": [2**64]}}, "metadata"),
        ({"metadata": {"a": [-(2**63) - 1]}}, "metadata"),
        ({"metadata": {"a": {"b": 2**80}}}, "metadata"),
        ({"channel_id": "c"}, "channel_id"),
        ({"extra": 1}, "extra"),
    ],
)
def test_message_with_a_wrong_field_is_refused_by_its_wire_name(
    change: dict[str, Any], path: str
) -> None:
    data = {**GOOD, **change}
    for form in (json.dumps(data).encode(), data):
        error = refusal(SendMessage, form)
        assert error.code == "invalid"
        assert [field.path for field in error.errors] == [path]
        assert path in error.detail


@pytest.mark.parametrize("field", ["content", "channelId"])
def test_message_without_a_required_field_is_refused_by_its_wire_name(field: str) -> None:
    error = refusal(SendMessage, {k: v for k, v in GOOD.items() if k != field})
    assert [field.path for field in error.errors] == [field]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff",
        b'{"content":"\xff"}',
        b'{"content":"\\ud800"}',
        b"nope",
        b'{"metadata":' + b"[" * 1000 + b"]" * 1000 + b"}",
    ],
)
def test_body_that_is_not_json_is_bad_json(text: bytes) -> None:
    assert refusal(SendMessage, text).code == "bad_json"
    with pytest.raises(RequestError) as raised:
        decode(text)
    assert raised.value.code == "bad_json"


@pytest.mark.parametrize("text", [b"[]", b"1", b"null", b'"text"'])
def test_body_that_is_no_object_is_invalid(text: bytes) -> None:
    assert refusal(SendMessage, text).code == "invalid"
    with pytest.raises(RequestError) as raised:
        decode(text)
    assert raised.value.code == "invalid"


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999", b"-1e999"])
def test_metadata_with_a_number_that_json_cannot_say_is_refused(number: bytes) -> None:
    body = orjson.dumps(GOOD)[:-1] + b',"metadata":{"n":' + number + b"}}"
    assert refusal(SendMessage, body).code in ("invalid", "bad_json")
    with pytest.raises(RequestError):
        parse(SendMessage, decode(body))


def test_content_of_4000_code_points_is_accepted_whatever_their_bytes() -> None:
    body = parse(SendMessage, orjson.dumps({**GOOD, "content": "😀" * 4000}))
    assert len(body.content) == 4000


def test_metadata_is_kept_as_it_was_given() -> None:
    text = '{"z":1,"a":[1.5,null,"é\\u0000"],"max":18446744073709551615,"low":-9223372036854775808}'
    body = orjson.dumps(GOOD).decode()[:-1] + f',"metadata":{text}}}'
    assert parse(SendMessage, body.encode()).metadata_text == text
    assert parse(SendMessage, decode(body)).metadata_text == text


def test_refusal_of_thousands_of_fields_names_twenty() -> None:
    error = refusal(SendMessage, {**GOOD, **{f"f{n}": 1 for n in range(3000)}})
    assert len(error.errors) == 20


def test_edit_without_any_field_is_accepted() -> None:
    assert parse(EditMessage, {}).metadata_text is None


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "1.0"}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"limit": "1_0"}, "limit"),
        ({"limit": ""}, "limit"),
        ({"before": "x"}, "before"),
        ({"before": "1" * 16}, "before"),
        ({"after": "-1"}, "after"),
        ({"before": "1", "after": "2"}, "after"),
        ({"channelId": "a b"}, "channelId"),
        ({"offset": "1"}, "offset"),
    ],
)
def test_query_with_a_wrong_parameter_is_refused_by_its_name(
    change: dict[str, str], path: str
) -> None:
    error = refusal(MessagesQuery, {"channelId": "c", **change})
    assert (error.code, [field.path for field in error.errors]) == ("invalid", [path])


def test_number_below_its_range_is_refused_as_one() -> None:
    error = refusal(ReactionsQuery, {"limit": "-1", "after": "-1"})
    assert [field.message for field in error.errors] == [
        "Input should be greater than or equal to 1",
        "Input should be greater than or equal to 0",
    ]


def test_query_takes_numbers_and_message_ids_as_bounds() -> None:
    assert parse(MessagesQuery, {"channelId": "c", "limit": "100", "before": ID}).limit == 100
    assert parse(MessagesQuery, {"channelId": "c", "after": "0"}).after == "0"


@pytest.mark.parametrize("key", ["", "k" * 256, "a\x7f", "\udcff"])
def test_idempotency_key_that_is_no_plain_text_is_refused(key: str) -> None:
    with pytest.raises(RequestError) as raised:
        check_idempotency_key(key)
    assert [field.path for field in raised.value.errors] == ["Idempotency-Key"]
