"""`topics`: show the topics, and adopt one that was made anew."""

from collections.abc import Sequence
from typing import Any

from app.archive.topics import TopicRegistry
from app.commands.output import print_json, print_line, print_table
from app.commands.servers import kafka_admin, mongodb
from app.errors import ProvisionError
from app.provisioning import TopicState, read_states
from app.settings import Settings


async def list_topics(settings: Settings, *, as_json: bool) -> int:
    """Print what exists, what was noted and what differs; return 1 if anything does.

    Raises:
        Unavailable: MongoDB or Kafka does not answer.
    """
    async with mongodb(settings) as database, kafka_admin(settings) as admin:
        states = await read_states(admin, TopicRegistry(database), settings)
    if as_json:
        print_json([_describe(state) for state in states])
    else:
        rows = [
            (
                state.wanted.name,
                state.found and state.found.partitions,
                state.found and state.found.replication,
                state.noted and state.noted.incarnation,
                "no" if state.differences else "yes",
            )
            for state in states
        ]
        print_table(("topic", "partitions", "replicas", "incarnation", "as wanted"), rows)
        for state in states:
            for difference in state.differences:
                print_line(f"{state.wanted.name} {difference}")
    return int(any(state.differences for state in states))


async def adopt_topics(settings: Settings, names: Sequence[str]) -> int:
    """Note topics that were made anew, each under a new incarnation.

    Raises:
        ProvisionError: there is no such topic, it is as it was noted, or the family of a topic
            would not have one number of partitions.
    """
    async with mongodb(settings) as database, kafka_admin(settings) as admin:
        registry = TopicRegistry(database)
        states = {s.wanted.name: s for s in await read_states(admin, registry, settings)}
        for name in names:
            _ensure_adoptable(name, states.get(name))
        for name in names:
            found = states[name].found
            assert found is not None  # noqa: S101 - it was looked at before
            incarnation = await registry.adopt(name, found.partitions, found.id)
            print_line(f"{name} is incarnation {incarnation} now; start its workers again")
    return 0


def _ensure_adoptable(name: str, state: TopicState | None) -> None:
    if state is None:
        raise ProvisionError(f"{name} is no topic of Hubbub's; topics list shows them")
    if state.found is None:
        raise ProvisionError(f"topic {name} is missing; run: python -m app release")


def _describe(state: TopicState) -> dict[str, Any]:
    return {
        "topic": state.wanted.name,
        "partitions": state.found and state.found.partitions,
        "replicas": state.found and state.found.replication,
        "kafkaId": state.found and state.found.id,
        "incarnation": state.noted and state.noted.incarnation,
        "wanted": {
            "partitions": state.wanted.partitions,
            "replicas": state.wanted.replication,
            "configs": dict(state.wanted.configs),
        },
        "differences": state.differences,
    }
