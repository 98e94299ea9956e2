"""The gateway of the Python reference: aiohttp, PyMongo, aiokafka, python-socketio over Redis."""

import asyncio
import os
import uuid
from datetime import UTC, datetime
from typing import Any

import orjson
import socketio
import uvloop
from aiohttp import web
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from effects import DATABASE, TOPIC, redis_url, serve
from pymongo import AsyncMongoClient, WriteConcern

server = socketio.AsyncServer(
    async_mode="aiohttp",
    client_manager=socketio.AsyncRedisManager(redis_url()),
    cors_allowed_origins="*",
)


@server.event  # type: ignore[untyped-decorator]
async def join_channel(sid: str, data: dict[str, Any]) -> None:
    """Let a client into a channel's room."""
    await server.enter_room(sid, data["channelId"])
    await server.emit("joined", {"channelId": data["channelId"]}, to=sid)


class Gateway:
    """The REST call that a message comes by."""

    def __init__(self, messages: Any, producer: AIOKafkaProducer) -> None:
        self._messages = messages
        self._producer = producer

    async def post(self, request: web.Request) -> web.Response:
        """`POST /api/messages`: MongoDB by majority, then Kafka, then 201."""
        body = orjson.loads(await request.read())
        message = {
            "_id": str(uuid.uuid4()),
            "content": body["content"],
            "channelId": body["channelId"],
            "senderId": body["senderId"],
            "senderName": body["senderName"],
            "createdAt": datetime.now(UTC).isoformat(),
        }
        await self._messages.insert_one(message)
        value = orjson.dumps(message)
        await self._producer.send_and_wait(TOPIC, value, key=message["channelId"].encode())
        return web.Response(body=value, status=201, content_type="application/json")


async def run() -> None:
    """Serve until killed."""
    brokers = os.environ["KAFKA_BROKERS"]
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    if TOPIC not in await admin.list_topics():
        await admin.create_topics([NewTopic(TOPIC, 4, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all", enable_idempotence=True)
    await producer.start()
    mongo: Any = AsyncMongoClient(os.environ["MONGODB_URI"])
    messages = mongo[DATABASE].get_collection("messages", write_concern=WriteConcern("majority"))
    application = web.Application()
    server.attach(application)
    application.router.add_post("/api/messages", Gateway(messages, producer).post)
    await serve(application)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(run())
