"""What goes wrong on a developer's machine.

DevError                   the message is one line that says what to do
├── ChildError             a child process does not start, or is not as it must be
│   └── ServerError        Kafka, Redis or MongoDB does not start
├── ToolError              a program is missing and cannot be fetched
├── DiscoveryError         a server cannot be had: it is away, or its port is not its own
└── PlanError              the Procfile, or what was asked of it, makes no sense
"""


class DevError(Exception):
    """Root of what `dev` raises on purpose; the message is one line that says what to do."""


class ChildError(DevError):
    """A child process does not start, or is not as it must be."""


class ServerError(ChildError):
    """A server does not start."""


class ToolError(DevError):
    """A program is missing and cannot be fetched."""


class DiscoveryError(DevError):
    """A server of the environment is away, or a default port is not its server's own."""


class PlanError(DevError):
    """The Procfile, or the counts that were asked for, make no sense."""
