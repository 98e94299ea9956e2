"""The ids of notifications: of one key and content the same, of any other their own."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from web.actions.notifications import notify
from web.deps import Gateway
from web.schemas import Notify


class Publisher:
    async def publish_unstored(self, _: Any, records: Sequence[Any], __: str) -> list[bool]:
        return [True] * len(records)


async def told(key: str | None, **fields: Any) -> list[tuple[str, str]]:
    body = Notify.model_validate(
        {"userIds": ["ann", "bob"], "kind": "build", "data": {"n": 1, "at": "x"}, **fields}
    )
    gateway = cast(Gateway, SimpleNamespace(publisher=Publisher()))
    return await notify(gateway, body, key=key, traceparent="")


async def test_notification_repeated_with_its_key_has_the_same_ids() -> None:
    assert await told("k") == await told("k", data={"at": "x", "n": 1})


@pytest.mark.parametrize("fields", [{"kind": "alert"}, {"data": {"n": 2, "at": "x"}}, {"data": {}}])
async def test_other_notification_under_a_used_key_has_ids_of_its_own(
    fields: dict[str, Any],
) -> None:
    first, second = dict(await told("k")), dict(await told("k", **fields))
    assert first.keys() == second.keys()
    assert not set(first.values()) & set(second.values())


async def test_notifications_without_a_key_have_ids_of_their_own() -> None:
    first, second = dict(await told(None)), dict(await told(None))
    assert len({*first.values(), *second.values()}) == 4
