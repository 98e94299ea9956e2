"""The schema of batched topics: Faust passes a batch on; its records are decoded in the lane."""

from typing import Any

import faust
from faust.types import Message

from app.streaming.batches import batch_of


class BatchSchema(faust.Schema[Any, Any]):
    """Leaves batches alone, so that no record can reach Faust as a decode error.

    Stock Faust acknowledges what it cannot decode and throws into the agent.
    """

    def loads_key(self, app: Any, message: Message, **options: Any) -> Any:
        """Return no key for a batch: each of its records has its own."""
        if batch_of(message) is not None:
            return None
        return super().loads_key(app, message, **options)

    def loads_value(self, app: Any, message: Message, **options: Any) -> Any:
        """Return a batch as it is."""
        batch = batch_of(message)
        return super().loads_value(app, message, **options) if batch is None else batch
