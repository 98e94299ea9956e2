"""Stock faust-streaming with a table in memory: at each start it replays the table's changelog.

Its first record is noted in Redis, where the benchmark looks for it.
"""

import os
import sys
from collections.abc import AsyncIterator
from typing import Any, Final

import faust
import faust.app
from redis.asyncio import Redis

TOPIC: Final = "stock-messages"
GROUP: Final = "stock-group"
HANDLED: Final = "stock:handled"

_redis = Redis(host=os.environ["REDIS_HOST"], port=int(os.environ["REDIS_PORT"]))


class _WithoutWeb(faust.app.BootStrategy):
    enable_web = False


app = faust.App(
    GROUP,
    broker=[f"kafka://{broker}" for broker in os.environ["KAFKA_BROKERS"].split(",")],
    store="memory://",
    topic_partitions=int(os.environ["STOCK_PARTITIONS"]),
    topic_allow_declare=False,
    topic_disable_leader=True,
    table_standby_replicas=0,
    stream_wait_empty=False,
    datadir="/nonexistent",
    BootStrategy=_WithoutWeb,
)
read_state: Any = app.Table("read_state")


@app.agent(app.topic(TOPIC, value_type=bytes, value_serializer="raw"))
async def messages(stream: AsyncIterator[bytes]) -> None:
    """Count what comes."""
    async for _ in stream:
        await _redis.set(HANDLED, len(read_state))


if __name__ == "__main__":
    sys.argv[1:] = ["worker", "--loglevel", "error"]
    app.main()
