"""Real Kafka, Redis and MongoDB, started, stopped, killed and frozen by process id."""

from dev.errors import ServerError
from dev.servers.kafka import Kafka
from dev.servers.kafka_cluster import Broker, KafkaCluster
from dev.servers.mongodb import MongoDB
from dev.servers.mongodb_replicas import Member, MongoDBReplicas
from dev.servers.redis import Redis
from dev.servers.server import Address, Server

__all__ = [
    "Address",
    "Broker",
    "Kafka",
    "KafkaCluster",
    "Member",
    "MongoDB",
    "MongoDBReplicas",
    "Redis",
    "Server",
    "ServerError",
]
