"""What the rules are given: the archive and the stream log."""

from dataclasses import dataclass

from app.archive.marks import Marks
from app.stream_log.log import StreamLog


@dataclass(frozen=True, slots=True)
class Deps:
    """The dependencies of a worker's rule. `instance` names this process to the archive."""

    marks: Marks
    log: StreamLog
    instance: str
