"""One Faust App is one consumer group; this makes them all alike, and safe."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import faust
from faust.app import BootStrategy

from app.settings import Settings
from app.streaming.lanes import Lanes
from app.streaming.lease import Lease
from app.streaming.recovery import TableManager
from app.streaming.schema import BatchSchema
from app.streaming.transport import Transport
from app.streaming.work import Refused
from app.topics import Topic

STOP_SECONDS: Final = 8.0
"""What the batches in hand get when a worker stops."""

REVOKE_SECONDS: Final = 2.0
"""What they get when the group rebalances: everybody waits for them."""

_NEVER_SECONDS: Final = 20 * 24 * 3600.0
"""In milliseconds it must fit into 31 bits."""

_NO_ENVIRONMENT: Final[Mapping[str, str]] = {}
"""Faust would take plain variables (WEB_PORT, APP_STORE) over what it is given here; ours are read
in app.settings alone."""


Bury = Callable[[Refused], Awaitable[object]]


async def leave(refused: Refused) -> None:
    """Do nothing about a dead letter: nothing but its record knows of it."""


class Boot(BootStrategy):
    """Faust's start order, without its web server, which would show table data to everybody, and
    without its monitor's clock: nobody reads its averages."""

    enable_web = False
    enable_sensors = False


class Application(faust.App):
    """A Faust App whose records are never acknowledged before their effects are complete.

    `source` is the topic, of `partitions` partitions, in its `incarnation`. `bury` is called with
    each record once Kafka has it as a dead letter, before it is acknowledged.
    """

    BootStrategy = Boot
    # Faust's chatter stays Faust's.
    logger = logging.getLogger("faust.app")

    def __init__(
        self,
        source: Topic,
        settings: Settings,
        *,
        partitions: int,
        incarnation: str,
        table: type,
        bury: Bury = leave,
    ) -> None:
        self.source = source
        self.partitions = partitions
        self.incarnation = incarnation
        self.lease = Lease(settings.session_timeout_seconds)
        self.lanes = Lanes(self)
        self.bury = bury
        instance = settings.instance
        session_seconds = settings.session_timeout_seconds
        super().__init__(
            source.group,
            env=_NO_ENVIRONMENT,
            broker=[f"kafka://{broker}" for broker in settings.kafka_brokers],
            broker_client_id=settings.kafka_client_id,
            store=f"redis://{settings.redis_host}:{settings.redis_port}/0",
            Table=table,
            TableManager=TableManager,
            # Of the source and of the changelogs, which are replayed in batches too.
            Schema=BatchSchema,
            processing_guarantee="at_least_once",
            consumer_group_instance_id=None if instance is None else f"{source.group}.{instance}",
            consumer_auto_offset_reset="earliest",
            broker_session_timeout=session_seconds,
            broker_heartbeat_interval=min(3.0, session_seconds / 5),
            broker_rebalance_timeout=30.0,
            broker_request_timeout=max(40.0, session_seconds + 10),
            # aiokafka lets a consumer that fetches nothing for so long leave its group, and never
            # join again: a long outage of MongoDB would end in that.
            broker_max_poll_interval=_NEVER_SECONDS,
            broker_commit_interval=1.0,
            # Batches, not records.
            stream_buffer_maxsize=64,
            stream_wait_empty=True,
            table_standby_replicas=0,
            topic_partitions=partitions,
            topic_allow_declare=False,
            topic_disable_leader=True,
            producer_acks=-1,
            producer_linger=0.002,
            producer_max_batch_size=131_072,
            # A dead letter is longer than its record.
            producer_max_request_size=2 * 1_048_576,
            # Longer than an outage of Kafka: a changelog record that fails ends the worker.
            producer_request_timeout=120.0,
        )

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Make none: nothing of ours is kept on a worker's disk."""

    @property
    def records(self) -> Any:
        """The source topic as agents subscribe to it: in batches."""
        return self.topic(self.source.name, internal=False)

    async def drain(self) -> None:
        """Let the batches in hand finish, for a bounded time; abandon the rest unacknowledged."""
        await self.lanes.drain(STOP_SECONDS if self.should_stop else REVOKE_SECONDS)

    @property
    def is_ready(self) -> bool:
        """Whether this worker is in its group, with its tables recovered."""
        is_recovered: bool = self.tables.actives_ready
        return is_recovered and not self.rebalancing and not self.should_stop
