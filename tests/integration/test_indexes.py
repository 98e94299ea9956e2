"""What MongoDB reads for a query that no client may make dear."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.archive import channel_audit
from app.archive.channel_audit import ChannelArchive
from app.archive.history import History
from app.archive.indexes import ensure_indexes
from app.clients import Database
from app.ids import first_id, new_id

NOW = datetime.now(UTC)
ALWAYS = datetime.fromtimestamp(0, UTC)


def message(number: int | None, rev: int = 1, channel: str = "c1") -> dict[str, Any]:
    numbered = {} if number is None else {"number": number}
    return {"_id": new_id(), "channelId": channel, "rev": rev, "createdAt": NOW, "changedAt": NOW,
            **numbered}  # fmt: skip


async def test_changes_since_any_time_are_found_without_what_was_never_changed(
    database: Database,
) -> None:
    await ensure_indexes(database)
    edited = message(501, rev=2)
    await database["messages"].insert_many([*(message(n) for n in range(1, 501)), edited])
    await database.command("profile", 2)
    assert await History(database).changed("c1", 501, ALWAYS, 100) == [edited["_id"]]
    await database.command("profile", 0)
    read = await database["system.profile"].find_one({"command.find": "messages"})
    assert read is not None
    assert read["keysExamined"] < 5


async def test_audit_reads_what_was_sent_or_changed_since(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_audit, "_MESSAGES_PER_QUERY", 2)
    await ensure_indexes(database)
    before = NOW - timedelta(hours=2)
    old_id = f"{first_id(before)}-7000-8000-00000000000"
    unchanged = message(1) | {"_id": f"{old_id}1", "createdAt": before, "changedAt": before}
    changed = message(2, rev=2) | {"_id": f"{old_id}2", "createdAt": before}
    lost, sent = message(None), [message(number) for number in range(3, 8)]
    await database["messages"].insert_many([unchanged, changed, lost, *sent, message(1, 2, "c2")])
    since = NOW - timedelta(hours=1)
    found = await ChannelArchive(database, "c1").changed_since(since)
    assert {each["_id"] for each in found} == {each["_id"] for each in (changed, lost, *sent)}
