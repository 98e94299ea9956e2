"""What the table store tells Prometheus."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

REWRITES: Final = Counter(
    "hubbub_table_store_rewrites",
    "Partitions written whole, because Redis had lost writes or a snapshot was discarded.",
    ["table"],
)
FENCED: Final = Counter(
    "hubbub_table_store_fenced",
    "Partitions dropped, because another owner claimed them.",
    ["table"],
)
DISCARDED: Final = Counter(
    "hubbub_table_store_snapshots_discarded",
    "Snapshots in Redis not used at a claim; the changelog was replayed from its beginning.",
    ["table", "reason"],
)
FLUSH_SECONDS: Final = Histogram(
    "hubbub_table_store_flush_seconds",
    "Time to write a table's changes to Redis.",
    ["table"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
UNFLUSHED_SECONDS: Final = Gauge(
    "hubbub_table_store_unflushed_seconds",
    "Time since Redis last had everything of a table that the changelog has.",
    ["table"],
)
