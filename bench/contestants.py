"""Who is measured: Hubbub in its processes, and the references beside it, on the same servers."""

import os
import shutil
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from dev.processes import ROOT, Process

BENCH: Final = Path(__file__).resolve().parent
PACKAGES: Final = BENCH / "peers" / "python" / "site-packages"
NODE: Final = BENCH / "peers" / "node"


class Contestant(ABC):
    """One system: its processes, its port, how it is spoken to."""

    name: ClassVar[str]
    title: ClassVar[str]
    dialect: ClassVar[str]
    gateway: ClassVar[str]
    consumer: ClassVar[str]
    """The names of its processes that serve clients and that consume the messages."""
    backlog: ClassVar[int] = 20_000
    """Messages that it is given while its consumer is stopped; fewer where it takes long."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.environment = environment
        self.folder = folder
        self.processes: dict[str, Process] = {}

    @classmethod
    def missing(cls) -> str:
        """Why it cannot run here; empty if it can."""
        return ""

    @abstractmethod
    def start(self) -> None:
        """Start its processes; return when they serve.

        Raises:
            ChildError: one of them does not.
        """

    def stop(self) -> None:
        """End all of them in good order: what leaves its consumer group is not waited for."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.stop()
        self.processes.clear()

    def restart(self) -> None:
        """Stop and start: memory is measured in fresh processes."""
        self.stop()
        self.start()

    def start_what_ended(self) -> None:
        """Start again whatever has ended, as a supervisor does; return at once."""
        for process in self.processes.values():
            if not process.is_running:
                process.start()

    def stop_consumer(self) -> None:
        """Stop what consumes the messages; the gateway goes on."""
        self.processes[self.consumer].stop()

    def start_consumer(self) -> None:
        """Let it go on; return at once."""
        self.processes[self.consumer].start()

    @property
    def port(self) -> int:
        """The port of its gateway."""
        return self.processes[self.gateway].port

    @property
    def pids(self) -> dict[str, int]:
        """Its processes that run, by name."""
        running = {name: each for name, each in self.processes.items() if each.is_running}
        return {name: process.pid for name, process in running.items()}

    def _process(self, name: str, command: list[str], **environment: str) -> Process:
        process = Process(
            name, command, environment={**self.environment, **environment}, folder=self.folder
        )
        process.start()
        self.processes[name] = process
        return process


class Hubbub(Contestant):
    """One gateway and one worker a consumer group."""

    name = "hubbub"
    title = "Hubbub"
    dialect = "hubbub"
    gateway = "web.1"
    consumer = "messages.1"
    workers: ClassVar[tuple[str, ...]] = ("messages", "activity", "reactions", "notifications")

    def start(self) -> None:
        self._start_module("web.1", "web")
        for worker in self.workers:
            self._start_module(f"{worker}.1", "agents", worker)
        for process in self.processes.values():
            process.wait_ready()

    def _start_module(self, name: str, *module: str) -> None:
        self._process(name, ["python", "-m", *module], HUBBUB_INSTANCE=name)


class PythonPeer(Contestant):
    """aiohttp and python-socketio on its Redis manager, and a consumer on aiokafka."""

    name = "python"
    title = "python-socketio"
    dialect = "socketio"
    gateway = "python-gateway"
    consumer = "python-consumer"
    backlog = 1_000

    def start(self) -> None:
        for program in ("gateway", "consumer"):  # The gateway makes the topic.
            self._start_program(program).wait_ready()

    def _start_program(self, name: str) -> Process:
        path = os.pathsep.join([str(PACKAGES), str(ROOT)])
        program = str(BENCH / "peers" / "python" / f"{name}.py")
        return self._process(f"python-{name}", ["python", program], PYTHONPATH=path)


class NodePeer(Contestant):
    """Express, kafkajs and Socket.IO in one process."""

    name = "node"
    title = "Node"
    dialect = "socketio"
    gateway = consumer = "node"
    backlog = 1_000

    @classmethod
    def missing(cls) -> str:
        return "" if shutil.which("node") and shutil.which("npm") else "node is not installed"

    def start(self) -> None:
        node = self._process("node", ["node", str(NODE / "server.js")], NODE_ENV="production")
        node.wait_ready()

    def stop_consumer(self) -> None:
        self.processes["node"].popen.send_signal(signal.SIGUSR2)

    def start_consumer(self) -> None:
        self.processes["node"].popen.send_signal(signal.SIGUSR2)


class Echo(Contestant):
    """Sends every post to all clients at once, and keeps nothing: the load client's own limit."""

    name = "echo"
    title = "limit of the client"
    dialect = "hubbub"
    gateway = "echo"

    def start(self) -> None:
        program = str(BENCH / "peers" / "echo" / "server.py")
        self._process("echo", ["python", program]).wait_ready()


REFERENCES: Final[tuple[type[Contestant], ...]] = (PythonPeer, NodePeer, Echo)


def install() -> None:
    """Fetch the references' packages, as their lock files name them, where they are missing.

    Raises:
        subprocess.CalledProcessError: they cannot be had.
    """
    if not PACKAGES.is_dir():
        say = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        lock = str(BENCH / "requirements.lock")
        target = ["--require-hashes", "--no-deps", "--target", str(PACKAGES), "-r", lock]
        subprocess.run([*say, *target], check=True)
    if not NodePeer.missing() and not (NODE / "node_modules").is_dir():
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=NODE, check=True)
