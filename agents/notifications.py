"""The notifications agent."""

from typing import Any

from faust.types import StreamT

from agents.deps import Deps
from app.streaming.application import Application
from app.streaming.work import Barrier, Work


class Rule:
    """Decodes and acknowledges: no gateway publishes to `notifications` yet."""

    async def handle(self, work: Work) -> Barrier | None:
        """Do nothing."""
        return None

    async def settle(self) -> None:
        """Return at once: there is no table."""

    def forget(self, partition: int) -> None:
        """Drop nothing: nothing is remembered."""


def register(app: Application, deps: Deps) -> None:
    """Give `app` its agent."""
    rule = Rule()

    @app.agent(app.records, name="notifications")
    async def notifications(stream: StreamT[Any]) -> None:
        await app.lanes.run(stream, rule)
