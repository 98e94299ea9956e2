"""`release`: provision topics and indexes. Idempotent; runs before every deploy."""

import logging

from app.archive.indexes import ensure_indexes
from app.archive.topics import TopicRegistry
from app.commands.servers import kafka_admin, mongodb
from app.provisioning import provision
from app.settings import Settings

log = logging.getLogger(__name__)


async def release(settings: Settings) -> None:
    """Make what is missing, note each topic's incarnation, and refuse what differs.

    Raises:
        Unavailable: MongoDB or Kafka does not answer.
        ProvisionError: a topic was made anew, or has another number of partitions than it was made
            with.
    """
    async with mongodb(settings) as database:
        await ensure_indexes(database)
        async with kafka_admin(settings) as admin:
            counts = await provision(admin, TopicRegistry(database), settings)
    log.info("provisioned", extra={"topics": counts})
