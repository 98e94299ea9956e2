"""Each test here runs twice: on Faust as it is installed, where it must fail, and on ours.

Once a test passes on stock Faust (`xfail` is strict), the library is mended: docs/faust.md says
what may go then.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.clients import create_admin, create_producer
from app.ids import new_id
from app.records import TYPES
from app.settings import Settings, load
from app.topics import Topic
from dev.servers import Kafka
from tests.support.flavours import Flavour, Ours, Stock
from tests.support.topics import create_topics


@pytest.fixture(
    params=[
        pytest.param(Stock, id="stock", marks=pytest.mark.xfail(raises=AssertionError)),
        pytest.param(Ours, id="ours"),
    ]
)
def flavour(request: pytest.FixtureRequest) -> type[Flavour]:
    """Stock Faust, or ours."""
    chosen: type[Flavour] = request.param
    return chosen


@pytest.fixture
def topic() -> Iterator[Topic]:
    """A topic of the test's own, in the form of `messages`."""
    name = f"messages-{new_id()[-8:]}"
    TYPES[name] = TYPES["messages"]
    yield Topic(name, "channel_id", f"{name}-group", ("counts",))
    del TYPES[name]


@pytest.fixture
async def faust_app(flavour: type[Flavour], topic: Topic) -> AsyncIterator[Any]:
    """An app that is not started: direct calls show the bug."""
    app: Any = flavour.create(topic, load())
    yield app
    _close(app)


@pytest.fixture
def settings(kafka_server: Kafka, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in kafka_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HUBBUB_SESSION_TIMEOUT_SECONDS", "3")
    return load()


@pytest.fixture
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = create_admin(settings)
    await admin.start()
    yield admin
    await admin.close()


@pytest.fixture
async def producer(
    settings: Settings, admin: AIOKafkaAdminClient, topic: Topic
) -> AsyncIterator[AIOKafkaProducer]:
    """A producer; the topic is there, with one partition."""
    await create_topics(admin, [NewTopic(name, 1, 1) for name in (topic.name, topic.dead_letters)])
    producer = create_producer(settings)
    await producer.start()
    yield producer
    await producer.stop()


@pytest.fixture
async def application(
    flavour: type[Flavour], topic: Topic, settings: Settings, producer: AIOKafkaProducer
) -> AsyncIterator[Any]:
    """An app that can be started on the real Kafka."""
    app: Any = flavour.create(topic, settings)
    yield app
    _close(app)


def _close(app: Any) -> None:
    """Close the loop of a consumer thread that never ran, or that did not end."""
    thread = getattr(app._consumer, "_thread", None)
    if thread is not None and not thread.thread_loop.is_running():
        thread.thread_loop.close()
