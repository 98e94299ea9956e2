"""What has become of dead letters: replayed, or dropped."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.clients import Database

REPLAYED = "replayed"
DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class LetterKey:
    """A dead letter's place: its dead-letter topic in an incarnation, partition, offset."""

    topic: str
    incarnation: str
    partition: int
    offset: int


class LetterStates:
    """The collection `dead_letters`: a document for each letter that somebody has decided on."""

    def __init__(self, database: Database) -> None:
        self._letters = database["dead_letters"]

    async def find_all(self) -> dict[LetterKey, str]:
        """Return the state of every letter that has one."""
        return {LetterKey(**row["_id"]): row["state"] async for row in self._letters.find()}

    async def find(self, key: LetterKey) -> str | None:
        """Return a letter's state; None: nobody has decided on it."""
        row = await self._letters.find_one({"_id": _id(key)})
        return None if row is None else str(row["state"])

    async def note(self, key: LetterKey, state: str) -> None:
        """Note what was done with a letter."""
        change = {"$set": {"state": state, "at": datetime.now(UTC)}}
        await self._letters.update_one({"_id": _id(key)}, change, upsert=True)


def _id(key: LetterKey) -> dict[str, Any]:
    # In this order always: MongoDB compares documents field by field.
    return {
        "topic": key.topic,
        "incarnation": key.incarnation,
        "partition": key.partition,
        "offset": key.offset,
    }
