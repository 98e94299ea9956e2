"""An exception in an agent acknowledges its record: it is never tried again."""

from typing import Any

from aiokafka import AIOKafkaProducer

from app.topics import Topic
from tests.support.flavours import Flavour, read_event, running, send, until


async def test_record_whose_handler_failed_once_is_handled_again(
    flavour: type[Flavour], application: Any, topic: Topic, producer: AIOKafkaProducer
) -> None:
    done: list[int] = []
    failures: list[int] = []

    async def handle(number: int) -> None:
        if number == 2 and not failures:
            failures.append(number)
            raise LookupError(number)
        done.append(number)

    flavour.register(application, topic, handle)
    async with running(application):
        for number in (1, 2, 3):
            await send(producer, topic, read_event(number))
        await until(lambda: 3 in done)
    assert 2 in done
