"""Changes of a table on their way into a real changelog."""

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.structs import TopicPartition

from app.clients import create_admin
from app.ids import new_id
from app.settings import Settings
from tables.changelog import write_changes
from tests.support.topics import create_topics


async def test_changes_of_several_batches_are_acknowledged_where_they_are(
    settings: Settings, producer: AIOKafkaProducer
) -> None:
    topic, place = f"changelog-{new_id()[-8:]}", 1
    admin = create_admin(settings)
    await admin.start()
    await create_topics(admin, [NewTopic(topic, 2, 1)])
    await admin.close()
    longer_than_a_batch = b"x" * 200_000
    changes: dict[bytes, bytes | None] = {b"%d" % n: b"v" * 500 for n in range(1000)}
    changes |= {b"gone": None, b"long": longer_than_a_batch, b"last": b"1"}
    acknowledged: list[tuple[int, bytes, bytes | None]] = []
    for _ in range(2):
        await write_changes(
            producer, topic, place, changes, lambda *entry: acknowledged.append(entry)
        )
    consumer = AIOKafkaConsumer(
        bootstrap_servers=list(settings.kafka_brokers), auto_offset_reset="earliest"
    )
    await consumer.start()
    consumer.assign([TopicPartition(topic, place)])
    records = [await consumer.getone() for _ in acknowledged]
    await consumer.stop()
    assert acknowledged == [(r.offset, r.key, r.value) for r in records]
    assert [(key, value) for _, key, value in acknowledged] == [*changes.items()] * 2
