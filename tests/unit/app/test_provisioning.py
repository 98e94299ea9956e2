"""What differs between a topic in Kafka, the notes, and the settings."""

import pytest

from app.archive.topics import NotedTopic
from app.commands.dlq import Coordinates
from app.errors import CommandError
from app.outgoing import kind_of
from app.provisioning import TopicState, WantedTopic
from app.topic_metadata import FoundTopic

CONFIGS = {"retention.ms": "1000"}
WANTED = WantedTopic("messages", 4, 1, CONFIGS)
FOUND = FoundTopic("id-1", 4, 1, {"retention.ms": "1000", "segment.ms": "5"})
NOTED = NotedTopic(4, "aaaaaaaa", "id-1")


def test_topic_as_wanted_differs_in_nothing() -> None:
    assert TopicState(WANTED, FOUND, NOTED).differences == []


@pytest.mark.parametrize(
    ("found", "noted", "said"),
    [
        (None, NOTED, "is missing"),
        (FOUND, None, "was never noted"),
        (FoundTopic("id-2", 4, 1, CONFIGS), NOTED, "was made anew"),
        (FOUND, NotedTopic(8, "aaaaaaaa", "id-1"), "has 4 partitions, was made with 8"),
        (FoundTopic("id-1", 4, 3, CONFIGS), NOTED, "has 3 replicas, not 1"),
        (FoundTopic("id-1", 4, 1, {}), NOTED, "has retention.ms=None, not 1000"),
    ],
)
def test_difference_is_said(found: FoundTopic | None, noted: NotedTopic | None, said: str) -> None:
    (difference,) = TopicState(WANTED, found, noted).differences
    assert difference.startswith(said)


def test_topic_that_kafka_gives_no_id_is_not_called_new() -> None:
    found = FoundTopic(None, 4, 1, CONFIGS)
    assert TopicState(WANTED, found, NOTED).differences == []


def test_letters_place_is_read_as_it_is_written() -> None:
    assert str(Coordinates.parse("messages-dlq:3:17")) == "messages-dlq:3:17"
    for text in ("messages:3:17", "messages-dlq:3", "messages-dlq:x:1", "messages-dlq:1:-1"):
        with pytest.raises(CommandError):
            Coordinates.parse(text)


def test_message_without_a_number_is_created_whatever_became_of_it() -> None:
    assert kind_of({"deletedAt": 1}) == "message_created"
    assert kind_of({"number": 1}) == "message_updated"
    assert kind_of({"number": 1, "deletedAt": 1}) == "message_deleted"
