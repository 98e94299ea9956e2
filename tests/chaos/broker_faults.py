"""What hits a cluster of three brokers: the one that matters most is killed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from app.topics import MESSAGES
from tests.chaos.cluster import READY_SECONDS
from tests.chaos.faults import FAULTS, Fault, Target

Choose = Callable[[AIOKafkaAdminClient], Awaitable[int]]
"""Names the broker, by its node id."""


async def _find_leader(admin: AIOKafkaAdminClient) -> int:
    (topic,) = await admin.describe_topics([MESSAGES.name])
    return int(next(each["leader"] for each in topic["partitions"] if each["partition"] == 0))


async def _find_coordinator(admin: AIOKafkaAdminClient) -> int:
    return int(await admin.find_coordinator(MESSAGES.group))


def _kill(name: str, choose: Choose) -> Fault:
    async def hit(target: Target) -> None:
        cluster = target.cluster
        assert cluster.brokers is not None
        brokers = {broker.node_id: broker for broker in cluster.brokers.brokers}
        bootstrap = cluster.brokers.environment["KAFKA_BROKERS"]
        victim = brokers[await _ask(bootstrap, choose)]
        victim.kill()
        if await target.measure_delivery() is None:
            target.cluster.tally.complain("process", f"nothing is delivered without {victim.name}")
        await cluster.bring_back(victim)
        # A second one that is missing would be no fault that two replicas can carry.
        await _until_whole(bootstrap)

    return Fault(f"{name} killed", "kafka", hit)


async def _ask(bootstrap: str, choose: Choose) -> int:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return await choose(admin)
    finally:
        await admin.close()


async def _until_whole(bootstrap: str) -> None:
    async def count_missing(admin: AIOKafkaAdminClient) -> int:
        topics = await admin.describe_topics()
        return sum(
            len(partition["replicas"]) - len(partition["isr"])
            for topic in topics
            for partition in topic["partitions"]
        )

    async with asyncio.timeout(READY_SECONDS):
        while True:
            try:
                if await _ask(bootstrap, count_missing) == 0:
                    return
            except KafkaError:
                pass  # It asked the one that is just coming back.
            await asyncio.sleep(0.5)


BROKER_FAULTS: Final = (
    _kill("leader of messages:0", _find_leader),
    _kill("coordinator of messages-group", _find_coordinator),
)

WITH_THREE_BROKERS: Final = (
    *(fault for fault in FAULTS if fault.place != "kafka"),
    *BROKER_FAULTS,
)
