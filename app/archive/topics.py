"""What each topic was made as: its partition count, its id in Kafka, and its incarnation."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.clients import Database
from app.errors import ProvisionError


@dataclass(frozen=True, slots=True)
class NotedTopic:
    """A topic as it was noted. `kafka_id` is None if Kafka told none then."""

    partitions: int
    incarnation: str
    kafka_id: str | None


class TopicRegistry:
    """The collection `topics`: name, partitions, incarnation, kafkaId.

    An incarnation tells a topic from one of the same name that was made anew, whose offsets start
    from zero again and mean nothing beside the old ones.
    """

    def __init__(self, database: Database) -> None:
        self._topics = database["topics"]

    async def register(self, name: str, partitions: int, kafka_id: str | None = None) -> str:
        """Note a topic if it is not noted yet; return its incarnation.

        Raises:
            ProvisionError: it was noted with another number of partitions.
        """
        noted = {"partitions": partitions, "incarnation": _fresh_incarnation()}
        await self._topics.update_one({"_id": name}, {"$setOnInsert": noted}, upsert=True)
        if kafka_id is not None:  # Also for one that was noted before Kafka told ids.
            unknown = {"_id": name, "kafkaId": None}
            await self._topics.update_one(unknown, {"$set": {"kafkaId": kafka_id}})
        known = await self._topics.find_one({"_id": name})
        if known is None or known["partitions"] != partitions:
            was = None if known is None else known["partitions"]
            raise ProvisionError(f"topic {name} has {partitions} partitions, was made with {was}")
        return str(known["incarnation"])

    async def adopt(self, name: str, partitions: int, kafka_id: str | None) -> str:
        """Note a topic as it is now, under a new incarnation, which is returned."""
        noted = {
            "partitions": partitions,
            "incarnation": _fresh_incarnation(),
            "kafkaId": kafka_id,
        }
        await self._topics.update_one({"_id": name}, {"$set": noted}, upsert=True)
        return str(noted["incarnation"])

    async def find(self, name: str) -> tuple[int, str]:
        """Return a topic's partition count and its incarnation.

        Raises:
            ProvisionError: the topic was never provisioned.
        """
        known = await self._topics.find_one({"_id": name})
        if known is None:
            raise ProvisionError(f"topic {name} is not provisioned; run: python -m app release")
        return int(known["partitions"]), str(known["incarnation"])

    async def find_all(self) -> dict[str, NotedTopic]:
        """Return every topic that is noted, by name."""
        return {known["_id"]: _noted(known) async for known in self._topics.find()}


def _noted(known: Mapping[str, Any]) -> NotedTopic:
    return NotedTopic(int(known["partitions"]), str(known["incarnation"]), known.get("kafkaId"))


def _fresh_incarnation() -> str:
    return secrets.token_hex(4)
