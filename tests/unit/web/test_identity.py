"""Who is asking, in open mode."""

from types import SimpleNamespace

import pytest
from aiohttp.test_utils import make_mocked_request

from app.errors import RequestError
from web.identity import User, sender_of, user_of


def who(path: str = "/", headers: dict[str, str] | None = None, **said: str) -> User:
    return user_of(make_mocked_request("GET", path, headers or {}), **said)


def refusal(path: str = "/", headers: dict[str, str] | None = None, **said: str) -> str:
    with pytest.raises(RequestError) as raised:
        who(path, headers, **said)
    return raised.value.code


def test_user_is_named_by_header_query_or_body() -> None:
    assert who(headers={"X-User-Id": "u", "X-User-Name": "U"}) == User("u", "U")
    assert who("/?userId=u&userName=U") == User("u", "U")
    assert who(sender_id="u", sender_name="U") == User("u", "U")
    assert who("/?userId=u", {"X-User-Id": "u"}, sender_name="U") == User("u", "U")


def test_user_named_nowhere_is_not_authenticated() -> None:
    assert refusal(sender_name="U") == "not_authenticated"
    with pytest.raises(RequestError, match="X-User-Id, or userId in the query") as raised:
        who()
    assert raised.value.code == "not_authenticated"


def test_user_named_twice_and_differently_is_forbidden() -> None:
    assert refusal(headers={"X-User-Id": "u"}, sender_id="v") == "forbidden"
    assert refusal("/?userId=v", {"X-User-Id": "u"}) == "forbidden"
    assert refusal("/?userName=V", {"X-User-Id": "u", "X-User-Name": "U"}) == "forbidden"


@pytest.mark.parametrize("value", ["", "a b", "é", "u" * 65])
def test_user_with_a_strange_id_is_invalid(value: str) -> None:
    assert refusal(headers={"X-User-Id": value}) == "invalid"


@pytest.mark.parametrize("value", ["", " ", "n" * 101, "a\x01"])
def test_user_with_a_strange_name_is_invalid(value: str) -> None:
    assert refusal(headers={"X-User-Id": "u", "X-User-Name": value}) == "invalid"


def test_sender_needs_a_name_from_somewhere() -> None:
    assert sender_of(User("u"), sender_id=None, sender_name="U") == User("u", "U")
    assert sender_of(User("u", "U"), sender_id="u", sender_name=None) == User("u", "U")
    with pytest.raises(RequestError) as raised:
        sender_of(User("u"), sender_id="u", sender_name=None)
    assert [field.path for field in raised.value.errors] == ["senderName"]


def test_sender_other_than_the_user_is_forbidden() -> None:
    for said in ({"sender_id": "v", "sender_name": None}, {"sender_id": None, "sender_name": "V"}):
        with pytest.raises(RequestError) as raised:
            sender_of(User("u", "U"), **said)
        assert raised.value.code == "forbidden"


def test_user_with_stray_bytes_in_the_name_is_invalid() -> None:
    # What aiohttp makes of a header that is not UTF-8; its mocked request cannot be made of it.
    request = SimpleNamespace(headers={"X-User-Id": "u", "X-User-Name": "\udcff"}, query={})
    with pytest.raises(RequestError) as raised:
        user_of(request)
    assert raised.value.code == "invalid"
