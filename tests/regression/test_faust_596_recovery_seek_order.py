"""faust-streaming 596: recovery lets records through before it seeks and clears the queues."""

from typing import Any

from faust.types import TP

SOURCE = TP("source", 0)


async def test_source_partitions_are_resumed_after_the_seek_and_the_clearing(
    faust_app: Any,
) -> None:
    steps: list[str] = []

    class Consumer:
        def assignment(self) -> set[TP]:
            return {SOURCE}

        def resume_partitions(self, _: set[TP]) -> None:
            steps.append("resume partitions")

        async def perform_seek(self) -> None:
            steps.append("seek")

        def resume_flow(self) -> None:
            steps.append("resume flow")

    class FlowControl:
        def resume(self) -> None:
            steps.append("clear queues")

    class Fetcher:
        async def maybe_start(self) -> None:
            pass

    app: Any = faust_app
    app._consumer, app.flow_control, app._fetcher = Consumer(), FlowControl(), Fetcher()
    await app.tables.recovery.on_recovery_completed(app.consumer_generation_id)
    assert steps.index("resume partitions") > steps.index("clear queues") > steps.index("seek")
