"""What Kafka says of topics: their own ids, partitions, replicas and settings.

aiokafka 0.14 speaks Metadata up to version 5, which does not know of topic ids; version 10 does,
and every Kafka since 2.8. https://kafka.apache.org/protocol#The_Messages_Metadata
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

_NO_ID: Final = bytes(16)


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """A topic as it is. `id` is None where Kafka is older than topic ids (2.8)."""

    id: str | None
    partitions: int
    replication: int
    configs: Mapping[str, str]


async def find_topics(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, FoundTopic]:
    """Return those of the topics that exist, by name.

    Raises:
        aiokafka.errors.KafkaError: Kafka does not answer, or not about these topics.
    """
    response: Any = await admin._send_request(_MetadataRequest(names))
    ids, shapes = {}, {}
    for error, name, topic_id, _, partitions, _, _ in response.topics:
        if error == UnknownTopicOrPartitionError.errno:
            continue
        if error:
            raise for_code(error)(name)
        ids[name] = None if topic_id == _NO_ID else str(UUID(bytes=topic_id))
        shapes[name] = (len(partitions), len(partitions[0][4]) if partitions else 0)
    configs = await _find_configs(admin, list(ids))
    return {name: FoundTopic(ids[name], *shapes[name], configs.get(name, {})) for name in ids}


async def _find_configs(
    admin: AIOKafkaAdminClient, names: Sequence[str]
) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    wanted = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    return {
        name: {entry[0]: entry[1] for entry in entries}
        for response in await admin.describe_configs(wanted)
        for _, _, _, name, entries in response.resources
    }


# aiokafka is not typed, so its classes are nothing to mypy.
class _Id(AbstractType[bytes]):  # type: ignore[misc] # see above
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


class _MetadataResponse(Response):  # type: ignore[misc] # see above
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Id),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _MetadataStruct(RequestStruct):  # type: ignore[misc] # see above
    API_KEY = 3
    API_VERSION = 10
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic_id", _Id), ("name", CompactString("utf-8")), ("tags", TaggedFields)
            ),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataStruct]):  # type: ignore[misc] # see above
    API_KEY = 3

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def build(self, request_struct_class: type[_MetadataStruct]) -> _MetadataStruct:
        topics: Any = [(_NO_ID, name, {}) for name in self._names]
        return request_struct_class(topics, False, False, False, {})
