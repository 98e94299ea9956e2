"""The exception tree.

HubbubError
├── SettingsError          a setting is missing or wrong; the message names its variable
├── Unavailable            a dependency cannot be reached; carries its name
├── UnfitServer            a server answers, and is not one that Hubbub can run on
├── PartitionLost          this process holds a table's partition no longer
├── ProvisionError         topics or indexes are not as the settings want them
├── CommandError           an operator's command cannot be carried out as it was given
└── RequestError           a client's request cannot be served; carries a code of the protocol
"""

from collections.abc import Sequence
from dataclasses import dataclass


class HubbubError(Exception):
    """Root of everything this project raises on purpose."""


class SettingsError(HubbubError):
    """A setting is wrong; the message is one line that names its variable."""


class ProvisionError(HubbubError):
    """Topics or indexes are not as they must be, and must not be changed silently."""


class CommandError(HubbubError):
    """A command cannot be carried out as it was given; the message is one line."""


class UnfitServer(HubbubError):  # noqa: N818 - said of a server
    """A server is too old or set up wrongly; the message is one line that says what it must be."""


class PartitionLost(HubbubError):  # noqa: N818 - said of a partition
    """This process does not hold a table's partition, or another process has taken it over.

    The batch in hand must not be acknowledged; trying again in this process does not help.
    """


class Unavailable(HubbubError):  # noqa: N818 - said of a dependency
    """A dependency (`kafka`, `redis`, `mongodb`) did not answer in time."""

    def __init__(self, dependency: str, detail: str = "") -> None:
        super().__init__(detail or f"{dependency} does not answer")
        self.dependency = dependency


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with an input: where (a dotted path), and what."""

    path: str
    message: str


class RequestError(HubbubError):
    """A request that cannot be served, with a `code` of docs/protocol.md."""

    def __init__(self, code: str, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
