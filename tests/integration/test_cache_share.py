"""How many reads the cache spares MongoDB, with a stated mix of reads."""

import asyncio
import random
from collections import Counter

from app.archive.messages import Draft
from app.clients import Database
from app.settings import Settings
from tests.support.rest import Client, gateway_of, number_all, running_gateway

CHANNELS = [f"c{n}" for n in range(8)]
MESSAGES = 160
READS = 600


async def test_cache_spares_mongodb_four_reads_of_five(
    settings: Settings, database: Database
) -> None:
    """Of ten reads eight open a channel, one scrolls up once, one looks further back."""
    async with running_gateway(settings) as client:
        await asyncio.gather(*(_fill(client, channel, database) for channel in CHANNELS))
        chance = random.Random(7)
        answers: Counter[str] = Counter()
        for _ in range(READS):
            before = chance.choices(["", f"{MESSAGES - 49}", "40"], weights=[8, 1, 1])[0]
            query = {"channelId": chance.choice(CHANNELS), "limit": "50"}
            query |= {"before": before} if before else {}
            async with client.get("/api/messages", params=query) as response:
                assert len((await response.json())["items"]) in (50, 39)
                answers[response.headers["X-Cache"]] += 1
    assert answers["hit"] / READS > 0.8, answers


async def _fill(client: Client, channel: str, database: Database) -> None:
    messages = gateway_of(client).messages
    drafts = [Draft(channel, "alice", "Alice", f"message {n}") for n in range(MESSAGES)]
    await asyncio.gather(*(messages.insert(draft) for draft in drafts))
    await number_all(client, channel, database)
