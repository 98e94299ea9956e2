"""The topics as they are in Kafka, as they were noted, and as the settings want them.

A topic that was deleted and made again has the same name, and offsets that start from zero: beside
the positions that are kept in MongoDB and Redis they would say that its new records are old ones.
Kafka gives every topic an id of its own; it is noted with the topic's incarnation, and a worker
does not start on a topic of another id.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from app.archive.topics import NotedTopic, TopicRegistry
from app.clients import create_admin
from app.errors import ProvisionError
from app.outages import Outage
from app.settings import Settings
from app.topic_metadata import FoundTopic, find_topics
from app.topics import TOPICS, Topic

MIGRATION: Final = "a topic is never repartitioned; see Migration in docs/events.md"
WATCH_SECONDS: Final = 5.0
MIB: Final = 1_048_576
_LOOKS: Final = 20
_LOOK_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class WantedTopic:
    """A topic as the settings want it when it is made; `configs` are Kafka's topic settings."""

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic in Kafka (None: it is not there), in the notes, and in the settings."""

    wanted: WantedTopic
    found: FoundTopic | None
    noted: NotedTopic | None

    @property
    def differences(self) -> list[str]:
        """What is not as it should be, a sentence each."""
        wanted, found, noted = self.wanted, self.found, self.noted
        if found is None:
            return ["is missing; run: python -m app release"]
        said = []
        if noted is None:
            said.append("was never noted; run: python -m app release")
        elif is_made_anew(found, noted):
            said.append(_made_anew(wanted.name))
        elif found.partitions != noted.partitions:
            said.append(_repartitioned(found.partitions, noted.partitions))
        if found.partitions != wanted.partitions:
            said.append(
                f"has {found.partitions} partitions, the settings want {wanted.partitions}: "
                f"{MIGRATION}"
            )
        if found.replication != wanted.replication:
            said.append(f"has {found.replication} replicas, not {wanted.replication}")
        said += [
            f"has {name}={found.configs.get(name)}, not {value}"
            for name, value in wanted.configs.items()
            if found.configs.get(name) != value
        ]
        return said


def wanted_topics(settings: Settings) -> list[WantedTopic]:
    """Return every topic of Hubbub's, with its dead letters and changelogs."""
    return [wanted for topic in TOPICS for wanted in _family(topic, settings)]


def _family(topic: Topic, settings: Settings) -> list[WantedTopic]:
    replicas = settings.topic_replication
    policies = {
        topic.name: _kept_for(settings.retention_hours),
        topic.dead_letters: {
            **_kept_for(settings.dead_letter_retention_hours),
            # A letter is longer than the record in it, by its headers.
            "max.message.bytes": str(2 * MIB),
        },
        **{name: {"cleanup.policy": "compact"} for name in topic.changelogs},
    }
    durable = {"min.insync.replicas": str(min(2, replicas))}
    return [
        WantedTopic(name, settings.topic_partitions, replicas, {**durable, **policy})
        for name, policy in policies.items()
    ]


def _kept_for(hours: int) -> dict[str, str]:
    return {"retention.ms": str(hours * 3_600_000)}


def is_made_anew(found: FoundTopic, noted: NotedTopic) -> bool:
    """Whether this is another topic than the one that was noted under its name."""
    return noted.kafka_id is not None and found.id is not None and noted.kafka_id != found.id


async def read_states(
    admin: AIOKafkaAdminClient, registry: TopicRegistry, settings: Settings
) -> list[TopicState]:
    """Return the state of every topic of Hubbub's."""
    wanted = wanted_topics(settings)
    names = [topic.name for topic in wanted]
    found = await find_topics(admin, names)
    noted = await registry.find_all()
    return [TopicState(topic, found.get(topic.name), noted.get(topic.name)) for topic in wanted]


async def provision(
    admin: AIOKafkaAdminClient, registry: TopicRegistry, settings: Settings
) -> dict[str, int]:
    """Make the topics that are missing, and note those that are not noted; return their partitions.

    Raises:
        ProvisionError: a topic could not be made, was made anew, or has another number of
            partitions than it was made with or than its dead letters and changelogs have.
    """
    wanted = wanted_topics(settings)
    await _create(admin, wanted)
    await _find_all(admin, [topic.name for topic in wanted])
    states = await read_states(admin, registry, settings)
    counts = {}
    for state in states:
        name, found = state.wanted.name, state.found
        if found is None:
            raise ProvisionError(f"topic {name} was made, and is not there")
        if state.noted is not None and is_made_anew(found, state.noted):
            raise ProvisionError(f"topic {name} {state.differences[0]}")
        counts[name] = found.partitions
    for topic in TOPICS:
        for name in (topic.dead_letters, *topic.changelogs):
            if counts[topic.name] != counts[name]:
                raise ProvisionError(f"{topic.name} and {name} differ in partitions: {MIGRATION}")
    for state in states:
        if state.found is not None:
            await registry.register(state.wanted.name, state.found.partitions, state.found.id)
    await _await_coordinators(admin)
    return counts


async def _await_coordinators(admin: AIOKafkaAdminClient) -> None:
    """Let a new cluster make its topic of offsets now: else workers log errors at their start."""
    for topic in TOPICS:
        for look in range(1, _LOOKS + 1):
            try:
                await admin.list_consumer_group_offsets(topic.group)
            except KafkaError as error:
                if look == _LOOKS or not error.retriable:
                    raise
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                break


async def _create(admin: AIOKafkaAdminClient, wanted: list[WantedTopic]) -> None:
    response: Any = await admin.create_topics(
        [
            NewTopic(
                name=topic.name,
                num_partitions=topic.partitions,
                replication_factor=topic.replication,
                topic_configs=dict(topic.configs),
            )
            for topic in wanted
        ]
    )
    for name, code, *_ in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise ProvisionError(f"topic {name} could not be made: {error.__name__}")


async def ensure_known(
    admin: AIOKafkaAdminClient, registry: TopicRegistry, topic: Topic
) -> tuple[int, str]:
    """Return a worker's topic's partitions and incarnation, if it and its changelogs are as noted.

    Raises:
        ProvisionError: one is missing, was made anew, or was repartitioned.
    """
    names = [topic.name, topic.dead_letters, *topic.changelogs]
    noted = await registry.find_all()
    found = await _find_all(admin, names)
    for name in names:
        here, known = found.get(name), noted.get(name)
        if here is None or known is None:
            raise ProvisionError(f"topic {name} is not provisioned; run: python -m app release")
        if is_made_anew(here, known):
            raise ProvisionError(f"topic {name} {_made_anew(name)}")
        if here.partitions != known.partitions:
            said = _repartitioned(here.partitions, known.partitions)
            raise ProvisionError(f"topic {name} {said}")
    return noted[topic.name].partitions, noted[topic.name].incarnation


async def _find_all(admin: AIOKafkaAdminClient, names: Sequence[str]) -> Mapping[str, FoundTopic]:
    """Find topics; one just made, and any on a broker that has just started, takes a moment."""
    for _ in range(_LOOKS):
        found = await find_topics(admin, names)
        if len(found) == len(names):
            break
        await asyncio.sleep(_LOOK_SECONDS)
    return found


async def watch_topic(settings: Settings, registry: TopicRegistry, topic: Topic) -> None:
    """Return only by an exception: the topic of a running worker was made anew.

    A topic that is missing, and a server that does not answer, are waited for.

    Raises:
        ProvisionError: the topic, or one of its changelogs, is another one now.
    """
    names = [topic.name, *topic.changelogs]
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        admin = create_admin(settings)
        try:
            await admin.start()
            found, noted = await find_topics(admin, names), await registry.find_all()
        except Outage:
            continue
        finally:
            await admin.close()
        for name, here in found.items():
            if name in noted and is_made_anew(here, noted[name]):
                raise ProvisionError(f"topic {name} {_made_anew(name)}")


def _made_anew(name: str) -> str:
    return f"was made anew; run: python -m app topics adopt {name}"


def _repartitioned(now: int, before: int) -> str:
    return f"has {now} partitions, was made with {before}: {MIGRATION}"
