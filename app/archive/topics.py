"""What each topic was made as: its partition count and its incarnation."""

import secrets

from app.clients import Database
from app.errors import ProvisionError


class TopicRegistry:
    """The collection `topics`: name, partitions, incarnation.

    An incarnation tells a topic from one of the same name that was made anew, whose offsets start
    from zero again and mean nothing beside the old ones.
    """

    def __init__(self, database: Database) -> None:
        self._topics = database["topics"]

    async def register(self, name: str, partitions: int) -> str:
        """Note a topic if it is not noted yet; return its incarnation.

        Raises:
            ProvisionError: it was noted with another number of partitions.
        """
        await self._topics.update_one(
            {"_id": name},
            {"$setOnInsert": {"partitions": partitions, "incarnation": secrets.token_hex(4)}},
            upsert=True,
        )
        known = await self._topics.find_one({"_id": name})
        if known is None or known["partitions"] != partitions:
            was = None if known is None else known["partitions"]
            raise ProvisionError(f"topic {name} has {partitions} partitions, was made with {was}")
        return str(known["incarnation"])

    async def find(self, name: str) -> tuple[int, str]:
        """Return a topic's partition count and its incarnation.

        Raises:
            ProvisionError: the topic was never provisioned.
        """
        known = await self._topics.find_one({"_id": name})
        if known is None:
            raise ProvisionError(f"topic {name} is not provisioned; run: python -m app release")
        return int(known["partitions"]), str(known["incarnation"])
